import { expect } from 'chai';
import { rowList } from '../../bench/compare/row-list.ts';
import { BUDGET, FULL, isMeasured, QUICK } from '../../bench/compare/scale.ts';

const ROWS = rowList(20);

describe('the sizes of the comparison', () => {
  for (const scale of [BUDGET, QUICK]) {
    it(`name rows that exist: ${scale.name}`, () => {
      expect(ROWS.map(({ id }) => id)).to.include.members([...(scale.rows ?? [])]);
      expect(scale.rows).to.include.members([...(scale.posthornOnly ?? [])]);
    });
  }

  it('measure every row that has a goal against the budgets', () => {
    const withGoals = ROWS.filter((row) => row.goals(FULL).length > 0).map(({ id }) => id);
    expect([...(BUDGET.rows ?? []), 'login-starttls']).to.have.members(withGoals);
  });

  it('leave to Posthorn alone what only holds it against itself', () => {
    for (const row of ROWS.filter((candidate) => !isMeasured(BUDGET, candidate, 'prosody'))) {
      expect(row.goals(BUDGET).map(({ kind }) => kind)).to.not.include('ratio');
      expect(isMeasured(BUDGET, row, 'posthorn')).to.equal(true);
    }
    for (const row of ROWS) expect(isMeasured(FULL, row, 'ejabberd'), row.id).to.equal(true);
  });
});
