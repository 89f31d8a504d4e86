/** A key. Keys sort bytewise; storage/keys.ts lays them out. */
export type Key = Uint8Array;

/** One change in a batch. Changes take effect in the order of the batch. */
export type Write =
  | {
      readonly type: 'put';
      readonly key: Key;
      readonly value: Uint8Array;
      /** Their length, where they are made only when they are asked for. */
      readonly byteLength?: number;
      /** The same key and value, good until the next ones are lent: for a store that copies them at once. */
      lend?(): Entry;
    }
  | { readonly type: 'delete'; readonly key: Key }
  /** Deletes every key from `from` (inclusive) to `to` (exclusive), those put earlier in the same batch included. */
  | { readonly type: 'deleteRange'; readonly from: Key; readonly to: Key };

/** The keys from `from` (inclusive) to `to` (exclusive), in whichever direction they are read. */
export interface Range {
  readonly from: Key;
  readonly to: Key;
  /** Reads from the end of the range to its beginning. */
  readonly reverse?: boolean;
}

/** A key and its value. Who reads them owns them: the store keeps no reference. */
export type Entry = readonly [key: Key, value: Uint8Array];

/** What can be asked of a store without changing it. */
export interface StoreReader {
  /** The values of the keys, in the order of the keys; undefined where there is none. */
  getMany(keys: readonly Key[]): Promise<readonly (Uint8Array | undefined)[]>;
  /** The first `limit` entries of the range, in its direction; fewer only where the range ends. */
  page(range: Range, limit: number): Promise<readonly Entry[]>;
}

/**
 * A store as it was at one moment. It holds what was written over or deleted since, so it must be closed, and soon. Where the
 * backend has to be opened anew in between, reading rejects as `failed`.
 */
export interface StoreView extends StoreReader {
  close(): Promise<void>;
}

/**
 * The port every backend implements. A batch is all or nothing, and durable once its promise resolves; a batch whose
 * promise rejects has not happened and is not found later by the process that was refused. Batches take effect in the
 * order of the calls. Every promise rejects with a `StoreError` and nothing else.
 */
export interface OrderedStore extends StoreReader {
  /** The store as it is now, for reading as often as one likes; batches committed later are not seen. */
  view(): Promise<StoreView>;
  /**
   * Everything, in the order of the keys, as it was at one moment between the call and the first page; batches committed
   * later are not seen. Whoever stops early must end the iteration (`break`, `return`).
   */
  snapshot(): AsyncIterable<readonly Entry[]>;
  /** Commits a batch. The caller leaves its keys and values unchanged until the promise settles. */
  write(batch: readonly Write[]): Promise<void>;
  /** Refuses everything new as `closed`, waits for the batches already asked for, then releases the store. */
  close(): Promise<void>;
}

export type StoreErrorCode =
  /** The disk, or the quota on it, is full. Reading goes on; writing does as soon as there is room again. */
  | 'full'
  /** Another process (or another store of this one) holds the directory. */
  | 'locked'
  /** What was read is not what Posthorn writes. */
  | 'corrupt'
  /** The store was closed. */
  | 'closed'
  /** Anything else; the message is that of the system. */
  | 'failed';

/** A store that cannot do what it was asked. The message is for the operator. */
export class StoreError extends Error {
  override readonly name = 'StoreError';
  readonly code: StoreErrorCode;

  constructor(code: StoreErrorCode, message: string, options?: { cause: unknown }) {
    super(message, options);
    this.code = code;
  }
}

/** The smallest key greater than `key`. */
export function nextKey(key: Key): Key {
  const next = new Uint8Array(key.length + 1);
  next.set(key);
  return next;
}

/** The entries of a range, page after page, so that a long range never is in memory as a whole. */
export async function* pagesOf(store: StoreReader, range: Range, limit: number): AsyncGenerator<readonly Entry[]> {
  let rest = range;
  for (;;) {
    const page = await store.page(rest, limit);
    if (page.length > 0) yield page;
    const last = page.at(-1);
    if (last === undefined || page.length < limit) return;
    rest = range.reverse === true ? { ...rest, to: last[0] } : { ...rest, from: nextKey(last[0]) };
  }
}
