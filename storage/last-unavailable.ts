import type { StorageAccess } from './access.ts';
import { textKey } from './keys.ts';
import { RecordReader, RecordWriter } from './record.ts';

const FORMAT = 1;

/** When each account's last available resource became unavailable (RFC 6121 4.3.2, rule 3). */
export class LastUnavailable {
  readonly #access: StorageAccess;

  constructor(access: StorageAccess) {
    this.#access = access;
  }

  /** Milliseconds since the epoch; undefined for who was never available. Rejects with StoreError. */
  async get(owner: string): Promise<number | undefined> {
    const key = textKey('unavailable', owner);
    const [value] = await this.#access.store.getMany([key]);
    if (value === undefined) return undefined;
    const reader = new RecordReader(key, value, FORMAT);
    const atMs = reader.number();
    reader.end();
    return atMs;
  }

  /** @param atMs milliseconds since the epoch; a clock that is before it counts as at it */
  put(owner: string, atMs: number): Promise<void> {
    const value = new RecordWriter(FORMAT).number(Math.max(0, atMs)).end();
    return this.#access.commit.write([{ type: 'put', key: textKey('unavailable', owner), value }]);
  }
}
