import { expect } from 'chai';

import { Tally } from '../../../server/metrics/tally.ts';

describe('server/metrics/tally', () => {
  it('shows each value from the start, and takes what it does not know together', () => {
    const tally = new Tally<string>(['PLAIN', 'SCRAM-SHA-256']);
    expect([...tally.entries()]).to.deep.equal([
      ['PLAIN', 0],
      ['SCRAM-SHA-256', 0],
    ]);
    tally.add('SCRAM-SHA-256');
    for (let index = 0; index < 1000; index++) tally.add(`POISON-${index}`);
    expect([...tally.entries()]).to.deep.equal([
      ['PLAIN', 0],
      ['SCRAM-SHA-256', 1],
      ['other', 1000],
    ]);
  });
});
