import { MemoryStore } from '../../storage/backends/memory.ts';
import { StoreError } from '../../storage/ordered-store.ts';
import type { Key, Write } from '../../storage/ordered-store.ts';

/** A store in memory whose disk can be made to stall, or to fail when it is read. */
export class TroubledStore extends MemoryStore {
  isUnreadable = false;
  #release: (() => void) | undefined;
  #stalled: Promise<void> | undefined;

  /** Writes wait from now on until the returned function is called. */
  stall(): () => void {
    this.#stalled = new Promise((resolve) => (this.#release = resolve));
    return () => {
      this.#release?.();
      this.#stalled = undefined;
    };
  }

  override async getMany(keys: readonly Key[]): Promise<readonly (Uint8Array | undefined)[]> {
    if (this.isUnreadable) throw new StoreError('failed', 'the disk does not answer');
    return super.getMany(keys);
  }

  override async write(batch: readonly Write[]): Promise<void> {
    await this.#stalled;
    await super.write(batch);
  }
}
