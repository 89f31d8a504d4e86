import { MemoryStore } from '../../storage/backends/memory.ts';
import { StoreError } from '../../storage/ordered-store.ts';
import type { Key, Write } from '../../storage/ordered-store.ts';

/** A store in memory whose disk can be made to stall, or to fail when it is read. */
export class TroubledStore extends MemoryStore {
  isUnreadable = false;
  #writesMayGoOn: Promise<void> | undefined;
  #readsMayGoOn: Promise<void> | undefined;
  #wasAsked: (() => void) | undefined;

  /** Writes wait from now on until the returned function is called. */
  stall(): () => void {
    const [promise, release] = gate();
    this.#writesMayGoOn = promise;
    return () => {
      this.#writesMayGoOn = undefined;
      release();
    };
  }

  /** The same for reading single values. */
  stallReads(): () => void {
    const [promise, release] = gate();
    this.#readsMayGoOn = promise;
    return () => {
      this.#readsMayGoOn = undefined;
      release();
    };
  }

  /** Resolves when a value is read next. */
  asked(): Promise<void> {
    return new Promise((resolve) => (this.#wasAsked = resolve));
  }

  override async getMany(keys: readonly Key[]): Promise<readonly (Uint8Array | undefined)[]> {
    if (this.isUnreadable) throw new StoreError('failed', 'the disk does not answer');
    const found = await super.getMany(keys);
    this.#wasAsked?.();
    await this.#readsMayGoOn;
    return found;
  }

  override async write(batch: readonly Write[]): Promise<void> {
    await this.#writesMayGoOn;
    await super.write(batch);
  }
}

function gate(): [Promise<void>, () => void] {
  let release = (): void => undefined;
  const promise = new Promise<void>((resolve) => (release = resolve));
  return [promise, release];
}
