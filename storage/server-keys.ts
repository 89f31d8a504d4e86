import type { StorageAccess } from './access.ts';
import { textKey } from './keys.ts';
import { RecordReader, RecordWriter } from './record.ts';

/** Gives that many unpredictable bytes. */
export type RandomBytes = (length: number) => Uint8Array;

const FORMAT = 1;

/** Secrets the server makes for itself and keeps across restarts. */
export class ServerKeys {
  readonly #access: StorageAccess;
  readonly #randomBytes: RandomBytes;
  /** Who asks while another is waiting gets the same secret; empty when nobody is. */
  readonly #asked = new Map<string, Promise<Uint8Array>>();

  constructor(access: StorageAccess, randomBytes: RandomBytes) {
    this.#access = access;
    this.#randomBytes = randomBytes;
  }

  /**
   * The secret of that name, made of `length` random bytes and stored when it is first asked for. Rejects with StoreError,
   * `corrupt` if the stored one has another length.
   */
  async secret(name: string, length: number): Promise<Uint8Array> {
    let asked = this.#asked.get(name);
    if (asked === undefined) {
      asked = this.#loadOrMake(name, length).finally(() => this.#asked.delete(name));
      this.#asked.set(name, asked);
    }
    return new Uint8Array(await asked);
  }

  async #loadOrMake(name: string, length: number): Promise<Uint8Array> {
    const key = textKey('serverKeys', '', name);
    const [value] = await this.#access.store.getMany([key]);
    if (value === undefined) {
      const secret = this.#randomBytes(length);
      await this.#access.commit.write([{ type: 'put', key, value: new RecordWriter(FORMAT).bytes(secret).end() }]);
      return secret;
    }
    const reader = new RecordReader(key, value, FORMAT);
    const secret = reader.bytes();
    reader.end();
    if (secret.length !== length) throw reader.corrupt(`it has ${secret.length} bytes, not ${length}`);
    return secret;
  }
}
