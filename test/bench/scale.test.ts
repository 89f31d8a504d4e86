import { expect } from 'chai';
import { rowList } from '../../bench/compare/row-list.ts';
import { BUDGET, FULL, isMeasured, QUICK } from '../../bench/compare/scale.ts';

const ROWS = rowList(20);
const POSTHORN = { name: 'posthorn', tuning: 'tuned' } as const;
const PROSODY = { name: 'prosody', tuning: 'tuned' } as const;

describe('the sizes of the comparison', () => {
  for (const scale of [BUDGET, QUICK]) {
    it(`name rows that exist: ${scale.name}`, () => {
      expect(ROWS.map(({ id }) => id)).to.include.members([...(scale.rows ?? [])]);
      expect(scale.rows).to.include.members([...(scale.posthornOnly ?? [])]);
      if (scale.variantRows !== undefined) expect(scale.rows).to.include.members([...scale.variantRows]);
    });
  }

  it('measure every row that has a goal against the budgets', () => {
    const withGoals = ROWS.filter((row) => row.goals(FULL).length > 0).map(({ id }) => id);
    expect([...(BUDGET.rows ?? []), 'login-starttls']).to.have.members(withGoals);
  });

  it('leave to Posthorn alone what only holds it against itself', () => {
    for (const row of ROWS.filter((candidate) => !isMeasured(BUDGET, candidate, PROSODY, 0))) {
      expect(row.goals(BUDGET).map(({ kind }) => kind)).to.not.include('ratio');
      expect(isMeasured(BUDGET, row, POSTHORN, 0)).to.equal(true);
    }
    for (const row of ROWS) expect(isMeasured(FULL, row, PROSODY, 4), row.id).to.equal(true);
  });

  it('give servers as installed one round, and another Node.js some rows', () => {
    const row = ROWS.find(({ id }) => id === 'chat-1')!;
    const installed = { ...PROSODY, tuning: 'installed' } as const;
    expect([0, 1].map((round) => isMeasured(FULL, row, installed, round))).to.deep.equal([true, false]);
    const variant = { ...POSTHORN, variant: 'Node.js 24' };
    expect([FULL, BUDGET].map((scale) => isMeasured(scale, row, variant, 1))).to.deep.equal([true, false]);
  });
});
