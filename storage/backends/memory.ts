import { StoreError } from '../ordered-store.ts';
import type { Entry, Key, OrderedStore, Range, StoreView, Write } from '../ordered-store.ts';

const SNAPSHOT_ENTRIES = 1000;

/**
 * A store in memory, for tests and for trying things out: it forgets everything when the process ends. Keeps the keys
 * as sorted byte strings, whose order is the order of their bytes.
 */
export class MemoryStore implements OrderedStore {
  readonly #keys: string[] = [];
  readonly #values = new Map<string, Uint8Array>();
  #isClosed = false;

  async getMany(keys: readonly Key[]): Promise<readonly (Uint8Array | undefined)[]> {
    await this.#turn();
    return keys.map((key) => this.#copyOf(byteString(key)));
  }

  async page(range: Range, limit: number): Promise<readonly Entry[]> {
    await this.#turn();
    const start = this.#indexOf(byteString(range.from));
    const end = Math.max(start, this.#indexOf(byteString(range.to)));
    const keys =
      range.reverse === true
        ? this.#keys.slice(Math.max(start, end - limit), end).reverse()
        : this.#keys.slice(start, Math.min(end, start + limit));
    return keys.map((key): Entry => [Buffer.from(key, 'latin1'), this.#copyOf(key) ?? new Uint8Array()]);
  }

  async view(): Promise<StoreView> {
    await this.#turn();
    const copy = new MemoryStore();
    for (const key of this.#keys) copy.#keys.push(key);
    for (const [key, value] of this.#values) copy.#values.set(key, value); // values are replaced, never changed
    return copy;
  }

  async *snapshot(): AsyncGenerator<readonly Entry[]> {
    await this.#turn();
    const entries = this.#keys.map((key): Entry => [Buffer.from(key, 'latin1'), this.#copyOf(key) ?? new Uint8Array()]);
    for (let start = 0; start < entries.length; start += SNAPSHOT_ENTRIES) {
      await this.#turn();
      yield entries.slice(start, start + SNAPSHOT_ENTRIES);
    }
  }

  async write(batch: readonly Write[]): Promise<void> {
    await this.#turn();
    for (const write of batch) this.#apply(write);
  }

  async close(): Promise<void> {
    if (!this.#isClosed) await this.#turn();
    this.#isClosed = true;
  }

  /** A store answers later, never within the call: who relies on the contrary fails here already. */
  async #turn(): Promise<void> {
    if (this.#isClosed) throw new StoreError('closed', 'the store is closed');
    await Promise.resolve();
  }

  #apply(write: Write): void {
    switch (write.type) {
      case 'put': {
        const key = byteString(write.key);
        if (!this.#values.has(key)) this.#keys.splice(this.#indexOf(key), 0, key);
        this.#values.set(key, new Uint8Array(write.value));
        break;
      }
      case 'delete': {
        const key = byteString(write.key);
        if (this.#values.delete(key)) this.#keys.splice(this.#indexOf(key), 1);
        break;
      }
      case 'deleteRange': {
        const start = this.#indexOf(byteString(write.from));
        const end = Math.max(start, this.#indexOf(byteString(write.to)));
        for (const key of this.#keys.splice(start, end - start)) this.#values.delete(key);
        break;
      }
    }
  }

  #copyOf(key: string): Uint8Array | undefined {
    const value = this.#values.get(key);
    return value === undefined ? undefined : new Uint8Array(value);
  }

  /** Where the key is, or would be. */
  #indexOf(key: string): number {
    let low = 0;
    let high = this.#keys.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#keys[middle] ?? '') < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function byteString(key: Key): string {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('latin1');
}
