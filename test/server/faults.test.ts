import { expect } from 'chai';

import { Faults } from '../../server/faults.ts';
import { ManualClock } from '../support/manual-clock.ts';

describe('server/faults', () => {
  let clock: ManualClock;
  let faults: Faults;

  beforeEach(() => {
    clock = new ManualClock();
    faults = new Faults(clock);
  });

  const noteTimes = (times: number): boolean[] => Array.from({ length: times }, () => faults.note(new Error('alas')));

  it('counts what nothing caught, and remembers the last ten by their first lines', () => {
    for (let n = 1; n <= 12; n++) {
      clock.advance(1000);
      faults.note(new Error(`fault ${n}\nsecond line`));
    }
    expect(faults.count).to.equal(12);
    expect(faults.recent).to.have.length(10);
    expect(faults.recent[0]).to.deep.equal({ at: Date.UTC(1597, 0, 1) + 3000, text: 'Error: fault 3' });
    expect(faults.recent.at(-1)?.text).to.equal('Error: fault 12');
  });

  it('keeps little of one that is long', () => {
    faults.note('x'.repeat(10_000));
    expect(faults.recent[0]?.text).to.have.length(200);
  });

  it('lets the process go on after 49 in a minute, not after 50', () => {
    expect(noteTimes(49)).not.to.include(false);
    expect(noteTimes(1)).to.deep.equal([false]);
  });

  it('begins to count anew after a minute', () => {
    noteTimes(49);
    clock.advance(60_000);
    expect(noteTimes(49)).not.to.include(false);
  });

  it('does not let it go on when the process itself is broken', () => {
    expect(faults.note(Object.assign(new Error('out of memory'), { code: 'ENOMEM' }))).to.equal(false);
    expect(faults.note(Object.assign(new Error('the pipe'), { code: 'EPIPE' }))).to.equal(true);
    expect(faults.note(undefined)).to.equal(true);
  });
});
