import { mkdir } from 'node:fs/promises';
import { ClassicLevel, type Snapshot } from 'classic-level';
import { StoreError } from '../ordered-store.ts';
import type { Entry, Key, OrderedStore, Range, StoreView, Write } from '../ordered-store.ts';
import { probeRoom } from './disk-room.ts';
import { levelError } from './level-error.ts';
import { withoutRanges } from './simple-writes.ts';
import type { SimpleWrite } from './simple-writes.ts';

export interface LevelStoreOptions {
  /** Where LevelDB keeps its files; made, with mode 0700, if it does not exist. */
  readonly directory: string;
  /** `sync`: a batch is on the disk (survives power loss). `process`: it is with the kernel (survives kill -9). */
  readonly durability: 'sync' | 'process';
  /** Makes the database of a directory, not yet open. Default: LevelDB; tests put faults in between. */
  readonly makeDatabase?: (directory: string) => LevelDatabase;
  /** Rejects if the disk has no room for so many bytes. Default: tries it. */
  readonly probeRoom?: (directory: string, bytes: number) => Promise<void>;
}

export type LevelDatabase = ClassicLevel<Uint8Array, Uint8Array>;

/**
 * What LevelDB gathers in memory before it writes a table, twice at most. Four times its default: what history writes is merged
 * less often, which saves a tenth of a message's processor time. It is occupied only as far as it is used.
 */
const WRITE_BUFFER_BYTES = 16 * 1024 * 1024;
const TABLE_BYTES = WRITE_BUFFER_BYTES / 2;
/**
 * What LevelDB compresses, and hands to the system, in one piece. Four times its default: a message with history takes 0.4 system
 * calls for writing in place of 1, and LevelDB alone 11.4 µs in place of 12.1; a page of an archive is several blocks anyway.
 */
const BLOCK_BYTES = 16 * 1024;
/** What opening after a failure may write (recovered tables, a manifest), with as much again to go on with. */
const ROOM_BYTES = 2 * WRITE_BUFFER_BYTES;
const RANGE_PAGE_KEYS = 1000;
/** Bytes fetched in one go to the thread pool while paging. */
const PAGE_BYTES = 256 * 1024;

/** The LevelDB of a directory. */
export function makeLevelDatabase(directory: string): LevelDatabase {
  return new ClassicLevel<Uint8Array, Uint8Array>(directory, {
    keyEncoding: 'view',
    valueEncoding: 'view',
    writeBufferSize: WRITE_BUFFER_BYTES,
    maxFileSize: TABLE_BYTES,
    blockSize: BLOCK_BYTES,
  });
}

/**
 * Opens a store on LevelDB. Rejects with StoreError: `locked` if a process holds the directory, `corrupt`, `full`,
 * `failed`.
 */
export async function openLevelStore(options: LevelStoreOptions): Promise<OrderedStore> {
  const store = new LevelStore(options);
  await store.open();
  return store;
}

/**
 * A store on LevelDB.
 *
 * After a failed write LevelDB must be opened anew: its log may end in half a record, and what an fsync did not confirm
 * may be there after all. So the first write after a failure probes the disk for room (until then the open database goes
 * on serving readers), opens the database anew and puts back what the keys of the failed batch held before.
 */
class LevelStore implements OrderedStore {
  readonly #directory: string;
  readonly #isSynced: boolean;
  readonly #makeDatabase: (directory: string) => LevelDatabase;
  readonly #probeRoom: (directory: string, bytes: number) => Promise<void>;
  #database: LevelDatabase | undefined;
  #opening: Promise<LevelDatabase> | undefined;
  /** Batches take effect one after the other: a range is read before it is deleted. */
  #lastWrite: Promise<unknown> = Promise.resolve();
  /** Keys of a batch that failed: LevelDB is not written to until it was opened anew. */
  #failedKeys: Key[] | undefined;
  /** What those keys held before the batch; applied when the database is opened. */
  #undo: SimpleWrite[] = [];
  #isClosed = false;

  constructor(options: LevelStoreOptions) {
    this.#directory = options.directory;
    this.#isSynced = options.durability === 'sync';
    this.#makeDatabase = options.makeDatabase ?? makeLevelDatabase;
    this.#probeRoom = options.probeRoom ?? probeRoom;
  }

  async open(): Promise<void> {
    try {
      await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    } catch (error) {
      throw levelError(this.#directory, error);
    }
    await this.#openDatabase();
  }

  getMany(keys: readonly Key[]): Promise<readonly (Uint8Array | undefined)[]> {
    return this.#read((database) => database.getMany([...keys]));
  }

  page(range: Range, limit: number): Promise<readonly Entry[]> {
    return this.#read((database) => pageOf(database, range, limit));
  }

  view(): Promise<StoreView> {
    return this.#read((database) => Promise.resolve(new LevelView(database, this.#directory)));
  }

  /** LevelDB's iterators see the database as it was when they were made. */
  async *snapshot(): AsyncGenerator<readonly Entry[]> {
    if (this.#isClosed) throw closed();
    const database = await this.#current();
    const iterator = database.iterator({ highWaterMarkBytes: PAGE_BYTES });
    try {
      for (;;) {
        const page = await iterator.nextv(RANGE_PAGE_KEYS);
        if (page.length === 0) return;
        yield page;
      }
    } catch (error) {
      throw levelError(this.#directory, error);
    } finally {
      await iterator.close();
    }
  }

  write(batch: readonly Write[]): Promise<void> {
    if (this.#isClosed) return Promise.reject(closed());
    const written = this.#lastWrite.then(() => this.#write(batch));
    this.#lastWrite = written.catch(() => undefined);
    return written;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#lastWrite;
    await this.#opening?.catch(() => undefined);
    const database = this.#database;
    this.#database = undefined;
    await database?.close();
  }

  async #write(batch: readonly Write[]): Promise<void> {
    try {
      if (this.#failedKeys !== undefined) await this.#reopen(this.#failedKeys);
      const database = await this.#current();
      const writes = await withoutRanges(batch, (from, to) => keysOf(database, from, to));
      try {
        await this.#commit(database, writes);
      } catch (error) {
        this.#failedKeys = writes.map((write) => write.key);
        throw error;
      }
    } catch (error) {
      throw levelError(this.#directory, error);
    }
  }

  /**
   * A chained batch: half the time of an array of operations, whose every element is cloned on the way. It copies what it is
   * given within the call (`leveldb::WriteBatch::Put`), so what is lent will do.
   */
  async #commit(database: LevelDatabase, writes: readonly SimpleWrite[]): Promise<void> {
    const chain = database.batch();
    for (const write of writes) {
      if (write.type === 'delete') {
        chain.del(write.key);
        continue;
      }
      const lent = write.lend?.();
      if (lent === undefined) chain.put(write.key, write.value);
      else chain.put(lent[0], lent[1]);
    }
    await chain.write({ sync: this.#isSynced });
  }

  async #reopen(failedKeys: Key[]): Promise<void> {
    await this.#probeRoom(this.#directory, ROOM_BYTES);
    const database = await this.#current();
    // The old database answers as if the failed batch had not been: it applies a batch to its memory last.
    const values = await database.getMany(failedKeys);
    this.#undo = failedKeys.map((key, index): SimpleWrite => {
      const value = values[index];
      return value === undefined ? { type: 'delete', key } : { type: 'put', key, value };
    });
    this.#failedKeys = undefined;
    this.#database = undefined;
    await this.#openDatabase(database);
  }

  /** Opens the database, once for all who ask meanwhile. */
  #openDatabase(previous?: LevelDatabase): Promise<LevelDatabase> {
    this.#opening ??= this.#open(previous).finally(() => {
      this.#opening = undefined;
    });
    return this.#opening;
  }

  async #open(previous: LevelDatabase | undefined): Promise<LevelDatabase> {
    let database: LevelDatabase | undefined;
    try {
      // Within the opening: until it is closed it holds the directory.
      await previous?.close();
      database = this.#makeDatabase(this.#directory);
      await database.open();
      if (this.#undo.length > 0) await this.#commit(database, this.#undo);
    } catch (error) {
      await database?.close().catch(() => undefined);
      throw levelError(this.#directory, error);
    }
    this.#undo = [];
    this.#database = database;
    return database;
  }

  /** The open database; opened now if the last attempt failed. */
  async #current(): Promise<LevelDatabase> {
    return this.#database ?? (await this.#openDatabase());
  }

  async #read<Result>(read: (database: LevelDatabase) => Promise<Result>): Promise<Result> {
    for (;;) {
      if (this.#isClosed) throw closed();
      const database = await this.#current();
      try {
        return await read(database);
      } catch (error) {
        // Read again what a reopening has interrupted.
        if (database === this.#database) throw levelError(this.#directory, error);
      }
    }
  }
}

/** Reads through a snapshot of LevelDB. */
class LevelView implements StoreView {
  readonly #database: LevelDatabase;
  readonly #directory: string;
  readonly #snapshot: Snapshot;

  constructor(database: LevelDatabase, directory: string) {
    this.#database = database;
    this.#directory = directory;
    this.#snapshot = database.snapshot();
  }

  async getMany(keys: readonly Key[]): Promise<readonly (Uint8Array | undefined)[]> {
    try {
      return await this.#database.getMany([...keys], { snapshot: this.#snapshot });
    } catch (error) {
      throw levelError(this.#directory, error);
    }
  }

  async page(range: Range, limit: number): Promise<readonly Entry[]> {
    try {
      return await pageOf(this.#database, range, limit, this.#snapshot);
    } catch (error) {
      throw levelError(this.#directory, error);
    }
  }

  close(): Promise<void> {
    return this.#snapshot.close();
  }
}

async function pageOf(
  database: LevelDatabase,
  range: Range,
  limit: number,
  snapshot?: Snapshot,
): Promise<readonly Entry[]> {
  const iterator = database.iterator({
    gte: range.from,
    lt: range.to,
    reverse: range.reverse === true,
    limit,
    highWaterMarkBytes: PAGE_BYTES,
    snapshot,
  });
  try {
    const entries: Entry[] = [];
    while (entries.length < limit) {
      const more = await iterator.nextv(limit - entries.length);
      if (more.length === 0) break;
      for (const entry of more) entries.push(entry);
    }
    return entries;
  } finally {
    await iterator.close();
  }
}

/** The keys of a range, page by page. */
async function* keysOf(database: LevelDatabase, from: Key, to: Key): AsyncGenerator<Key> {
  const iterator = database.keys({ gte: from, lt: to, highWaterMarkBytes: PAGE_BYTES });
  try {
    let keys = await iterator.nextv(RANGE_PAGE_KEYS);
    while (keys.length > 0) {
      yield* keys;
      keys = await iterator.nextv(RANGE_PAGE_KEYS);
    }
  } finally {
    await iterator.close();
  }
}

function closed(): StoreError {
  return new StoreError('closed', 'the store is closed');
}
