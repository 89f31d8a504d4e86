import { expect } from 'chai';
import { rowList } from '../../bench/compare/row-list.ts';
import type { Row } from '../../bench/compare/row.ts';
import { BUDGET, FULL, isMeasured, QUICK } from '../../bench/compare/scale.ts';

const ROWS = rowList(20);
const POSTHORN = { name: 'posthorn', tuning: 'tuned' } as const;
const PROSODY = { name: 'prosody', tuning: 'tuned' } as const;

describe('the sizes of the comparison', () => {
  for (const scale of [FULL, BUDGET, QUICK]) {
    it(`name rows that exist: ${scale.name}`, () => {
      const all = ROWS.map(({ id }) => id);
      const measured = scale.rows ?? all;
      expect(all).to.include.members([...measured]);
      for (const some of [scale.posthornOnly, scale.variantRows, scale.installedRows]) {
        expect(measured).to.include.members([...(some ?? [])]);
      }
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

  it('give servers as installed one round of some rows, and another Node.js some rows', () => {
    const [chat, other] = ['chat-8', 'chat-1'].map((id) => ROWS.find((row) => row.id === id)!) as [Row, Row];
    const installed = { ...PROSODY, tuning: 'installed' } as const;
    expect([0, 1].map((round) => isMeasured(FULL, chat, installed, round))).to.deep.equal([true, false]);
    expect(isMeasured(FULL, other, installed, 0)).to.equal(false);
    const variant = { ...POSTHORN, variant: 'Node.js 24' };
    for (const scale of [FULL, BUDGET]) {
      expect([chat, other].map((row) => isMeasured(scale, row, variant, 1))).to.deep.equal([true, false]);
    }
  });
});
