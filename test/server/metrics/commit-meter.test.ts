import { expect } from 'chai';

import { CommitMeter } from '../../../server/metrics/commit-meter.ts';
import { GroupCommit } from '../../../storage/group-commit.ts';
import { StoreError, type Write } from '../../../storage/ordered-store.ts';
import { MemoryStore } from '../../../storage/backends/memory.ts';
import { ManualClock } from '../../support/manual-clock.ts';

/** A store that takes its time, and refuses while it is full. */
class SlowStore extends MemoryStore {
  isFull = false;
  readonly #clock: ManualClock;

  constructor(clock: ManualClock) {
    super();
    this.#clock = clock;
  }

  override async write(batch: readonly Write[]): Promise<void> {
    this.#clock.advance(40);
    if (this.isFull) throw new StoreError('full', 'the disk is full');
    await super.write(batch);
  }
}

describe('server/metrics/commit-meter', () => {
  it('sees records, bytes, duration and failure of each batch that writes something', async () => {
    const clock = new ManualClock();
    const store = new SlowStore(clock);
    const commit = new GroupCommit(store);
    const meter = new CommitMeter(clock);
    commit.observeWith(meter);
    const put = { type: 'put', key: new Uint8Array([1]), value: new Uint8Array(99) } as const;
    await Promise.all([commit.write([put, put]), commit.write([put])]);
    await commit.flush(); // writes nothing
    expect(meter.records.sum).to.equal(3);
    expect(meter.bytes.sum).to.equal(3 * (200 + 100));
    expect(meter.seconds.sum).to.be.closeTo(0.04, 1e-9);
    store.isFull = true;
    await commit.write([put]).catch(() => undefined);
    expect(new Map(meter.failures.entries()).get('full')).to.equal(1);
    expect(meter.seconds.sum).to.be.closeTo(0.08, 1e-9);
  });
});
