import { expect } from 'chai';
import { IdleCollection } from '../../server/idle-collection.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { silentLog } from '../support/silent-log.ts';

const MB = 1024 * 1024;

describe('collecting garbage while idle', () => {
  let clock: ManualClock;
  let collection: IdleCollection;
  let activeMs: number;
  let usedBytes: number;
  let heldBytes: number;
  let collected: number;

  beforeEach(() => {
    clock = new ManualClock();
    activeMs = 0;
    usedBytes = 40 * MB;
    heldBytes = 0;
    collected = 0;
    const look = {
      activeMs: () => activeMs,
      usedBytes: () => usedBytes,
      heldBytes: () => heldBytes,
      collect: () => {
        collected++;
        usedBytes = 20 * MB;
        activeMs += 300;
      },
    };
    collection = new IdleCollection({ clock, log: silentLog, look });
  });
  afterEach(() => collection.close());

  /** @param share of the time in which the loop is at work */
  const pass = (seconds: number, share: number): void => {
    for (let passed = 0; passed < seconds; passed++) {
      activeMs += share * 1000;
      clock.advance(1000);
    }
  };

  it('waits until a server has been idle for some time', () => {
    pass(60, 0.1);
    pass(4, 0.01);
    pass(1, 0.1);
    pass(4, 0.01);
    expect(collected).to.equal(0);
    pass(1, 0.01);
    expect(collected).to.equal(1);
  });

  it('waits until there is more to be had than there was left', () => {
    pass(60, 0);
    expect(collected).to.equal(1);
    usedBytes = 29 * MB;
    pass(60, 0);
    expect(collected).to.equal(1);
    usedBytes = 30 * MB;
    pass(60, 0);
    expect(collected).to.equal(2);
  });

  it('collects once more at once where the first time has left much room between what lives', () => {
    heldBytes = 31 * MB;
    pass(5, 0);
    expect(collected).to.equal(1);
    pass(1, 0);
    expect(collected).to.equal(2);
    pass(60, 0);
    expect(collected).to.equal(2);
    usedBytes = 40 * MB;
    pass(60, 0);
    expect(collected).to.equal(4);
  });

  it('knows a first time from a second one although it was busy between', () => {
    heldBytes = 31 * MB;
    pass(5, 0);
    usedBytes = 40 * MB;
    pass(60, 0.1);
    expect(collected).to.equal(1);
    pass(6, 0);
    expect(collected).to.equal(3);
  });

  it('waits with that until the server is idle again', () => {
    heldBytes = 31 * MB;
    pass(5, 0);
    pass(3, 0.1);
    pass(4, 0);
    expect(collected).to.equal(1);
    pass(1, 0);
    expect(collected).to.equal(2);
  });

  it('ends with the server', () => {
    collection.close();
    pass(60, 0);
    expect(collected).to.equal(0);
  });

  it('collects in a real process', async () => {
    const garbage = new WeakRef({ what: 'garbage' });
    await new Promise((resolve) => setImmediate(resolve)); // what was seen in a turn lives until its end
    const real = new IdleCollection({ clock, log: silentLog });
    pass(10, 0);
    real.close();
    expect(garbage.deref()).to.equal(undefined);
  });
});
