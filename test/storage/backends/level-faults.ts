import { makeLevelDatabase, openLevelStore } from '../../../storage/backends/level.ts';
import type { LevelDatabase } from '../../../storage/backends/level.ts';
import type { OrderedStore } from '../../../storage/ordered-store.ts';

/** Makes LevelDB fail as a disk would. */
export class Faults {
  /** The message of the failure. */
  failNextWrite: string | undefined;
  /** The failed batch is found on the disk when the database is opened again: written, but the fsync failed. */
  keepsFailedWrite = false;
  failNextOpen = false;
  lackOfRoom: Error | undefined;
  beforeClose: (() => Promise<void>) | undefined;
  opened = 0;
  /** Writes found on the disk although they had failed. */
  kept = 0;
  #failed: { type: 'put' | 'del'; key: Uint8Array; value: Uint8Array }[] = [];

  open(directory: string): Promise<OrderedStore> {
    return openLevelStore({
      directory,
      durability: 'process',
      makeDatabase: (path) => this.#make(path),
      probeRoom: () => (this.lackOfRoom === undefined ? Promise.resolve() : Promise.reject(this.lackOfRoom)),
    });
  }

  #make(path: string): LevelDatabase {
    const database = makeLevelDatabase(path);
    const open = database.open.bind(database);
    database.open = async () => {
      if (this.failNextOpen) {
        this.failNextOpen = false;
        throw new Error('IO error: cannot open');
      }
      this.opened++;
      await open();
      if (this.keepsFailedWrite) {
        this.kept += this.#failed.length;
        await database.batch(this.#failed);
      }
      this.#failed = [];
    };
    const close = database.close.bind(database);
    database.close = async () => {
      await this.beforeClose?.();
      await close();
    };
    const batch = database.batch.bind(database) as () => ReturnType<LevelDatabase['batch']>;
    const failing = (): unknown => {
      const message = this.failNextWrite;
      if (message === undefined) return batch();
      this.failNextWrite = undefined;
      const none = new Uint8Array();
      return {
        // As LevelDB does, it copies what it is given within the call: what is lent is another entry by the time of the failure.
        put: (key: Uint8Array, value: Uint8Array) =>
          this.#failed.push({ type: 'put', key: Uint8Array.from(key), value: Uint8Array.from(value) }),
        del: (key: Uint8Array) => this.#failed.push({ type: 'del', key: Uint8Array.from(key), value: none }),
        write: () => Promise.reject(new Error(message)),
      };
    };
    const native = database.batch.bind(database) as (...args: unknown[]) => unknown;
    const patched = (...args: unknown[]): unknown => (args.length === 0 ? failing() : native(...args));
    Object.defineProperty(database, 'batch', { value: patched });
    return database;
  }
}
