import type { Entry, Key, OrderedStore, Range, StoreView, Write } from '../../storage/ordered-store.ts';

/** A batch on its way, in the hand of the test. */
export interface HeldBatch {
  readonly writes: readonly Write[];
  readonly land: () => Promise<void>;
  readonly fail: (error: unknown) => void;
}

/** Holds every batch until the test lets it land or fail; reads pass. */
export class HeldStore implements OrderedStore {
  readonly held: HeldBatch[] = [];
  readonly #store: OrderedStore;

  constructor(store: OrderedStore) {
    this.#store = store;
  }

  getMany(keys: readonly Key[]): Promise<readonly (Uint8Array | undefined)[]> {
    return this.#store.getMany(keys);
  }

  page(range: Range, limit: number): Promise<readonly Entry[]> {
    return this.#store.page(range, limit);
  }

  view(): Promise<StoreView> {
    return this.#store.view();
  }

  snapshot(): AsyncIterable<readonly Entry[]> {
    return this.#store.snapshot();
  }

  write(writes: readonly Write[]): Promise<void> {
    return new Promise((resolve, reject) => {
      const land = async (): Promise<void> => {
        await this.#store.write(writes);
        resolve();
      };
      this.held.push({ writes, land, fail: reject as (error: unknown) => void });
    });
  }

  close(): Promise<void> {
    return this.#store.close();
  }
}
