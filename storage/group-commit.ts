import { StoreError } from './ordered-store.ts';
import type { OrderedStore, Write } from './ordered-store.ts';

/** Hears what became of its writes, once. */
export interface CommitListener {
  /** The writes are durable. */
  committed(): void;
  /** The writes have not happened: the store does not hold them. */
  refused(error: StoreError): void;
}

/** Sees every batch that writes something go to the store and come back; one at a time. Must not throw. */
export interface CommitObserver {
  begins(records: number, bytes: number): void;
  ends(failure: StoreError | undefined): void;
}

export interface GroupCommitOptions {
  /** Bytes that may wait or be on their way to disk before `isFull`. Default 8 MB. */
  readonly maxBytes?: number;
  /** Told what a listener threw. Default: a warning of the process. */
  readonly reportError?: (error: unknown) => void;
}

interface Batch {
  readonly writes: Write[];
  readonly listeners: CommitListener[];
  bytes: number;
}

interface Room {
  readonly promise: Promise<void>;
  readonly resolve: () => void;
}

const DEFAULT_MAX_BYTES = 8 * 1024 * 1024;
/** What an entry costs in memory beside its bytes, roughly. */
const WRITE_OVERHEAD_BYTES = 200;

/**
 * Commits many small writes as one batch. One batch is in flight while the next one fills; listeners hear in the order of
 * `add`.
 *
 * There is no timer: a batch starts at the end of the turn in which it may start. The end of the turn is `setImmediate`,
 * not a microtask: a microtask runs after the first socket that had something to read, and would commit its one record
 * alone (several times the price of a record in a batch of fifty) while the others of the same turn are still to come.
 *
 * When a batch fails, what gathered behind it is refused as well: it was built on numbers that were never stored. The
 * owners of such numbers forget them in `onRefused` and read the store again.
 */
export class GroupCommit {
  readonly #store: OrderedStore;
  readonly #maxBytes: number;
  readonly #reportError: (error: unknown) => void;
  readonly #refusedCallbacks: (() => void)[] = [];
  readonly #closingCallbacks: ((writes: Write[]) => void)[] = [];
  #filling = emptyBatch();
  #inFlight: Batch | undefined;
  #isScheduled = false;
  #isClosed = false;
  #room: Room | undefined;
  #lastFailure: StoreError | undefined;
  #observer: CommitObserver | undefined;

  constructor(store: OrderedStore, options: GroupCommitOptions = {}) {
    this.#store = store;
    this.#maxBytes = options.maxBytes ?? DEFAULT_MAX_BYTES;
    this.#reportError = options.reportError ?? warn;
  }

  /**
   * Appends writes to the batch that fills; the listener hears later, never during the call. `[]` is a place in the order
   * without a write. Who adds on behalf of a stranger stops reading from them while `isFull`.
   */
  add(writes: readonly Write[], listener: CommitListener): void {
    if (this.#isClosed) {
      setImmediate(() => this.#tell(() => listener.refused(new StoreError('closed', 'the store is closed'))));
      return;
    }
    this.#append(writes, listener);
  }

  /** The same queue as a promise: resolves when durable, rejects with the `StoreError` of the refusal. */
  write(writes: readonly Write[]): Promise<void> {
    return new Promise((resolve, reject) => {
      this.add(writes, { committed: resolve, refused: reject });
    });
  }

  /** Why the last batch was refused; undefined once another has been written. */
  get lastFailure(): StoreError | undefined {
    return this.#lastFailure;
  }

  /** More than `maxBytes` wait or are in flight: who feeds the queue should pause until `whenRoom`. */
  get isFull(): boolean {
    return this.queuedBytes > this.#maxBytes;
  }

  /** Bytes that wait or are in flight. */
  get queuedBytes(): number {
    return this.#filling.bytes + (this.#inFlight?.bytes ?? 0);
  }

  /** Resolves when the queue is not, or no longer, full. */
  whenRoom(): Promise<void> {
    if (!this.isFull) return Promise.resolve();
    this.#room ??= newRoom();
    return this.#room.promise;
  }

  /** `callback` runs before the listeners of a refused batch do, for as long as this object lives. */
  onRefused(callback: () => void): void {
    this.#refusedCallbacks.push(callback);
  }

  /**
   * `callback` runs when a batch that writes something is about to go to the store, and may add writes that depend on what
   * else is in it. It must not throw.
   */
  onClosing(callback: (writes: Write[]) => void): void {
    this.#closingCallbacks.push(callback);
  }

  /** The observer is told of every batch from now on; there is one at most. */
  observeWith(observer: CommitObserver): void {
    this.#observer = observer;
  }

  /** Resolves when everything added before has been committed or refused. */
  flush(): Promise<void> {
    return new Promise((resolve) => {
      this.#append([], { committed: resolve, refused: () => resolve() });
    });
  }

  /** Refuses what is added from now on and flushes the rest. The store stays open: it is its opener's. */
  close(): Promise<void> {
    this.#isClosed = true;
    return this.flush();
  }

  #append(writes: readonly Write[], listener: CommitListener): void {
    const batch = this.#filling;
    for (const write of writes) {
      batch.writes.push(write);
      batch.bytes += WRITE_OVERHEAD_BYTES + byteLength(write);
    }
    batch.listeners.push(listener);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#isScheduled || this.#inFlight !== undefined) return;
    this.#isScheduled = true;
    setImmediate(() => void this.#commit());
  }

  async #commit(): Promise<void> {
    const batch = this.#filling;
    this.#isScheduled = false;
    this.#inFlight = batch;
    this.#filling = emptyBatch();
    try {
      if (batch.writes.length > 0) {
        for (const callback of this.#closingCallbacks) callback(batch.writes);
        this.#observer?.begins(batch.writes.length, batch.bytes);
        await this.#store.write(batch.writes);
        this.#lastFailure = undefined;
        this.#observer?.ends(undefined);
      }
    } catch (error) {
      this.#refuse(batch, error);
      return;
    }
    this.#settle();
    for (const listener of batch.listeners) this.#tellCommitted(listener);
    // Else a batch that the collector has moved to its old generation would keep its messages until a full collection.
    batch.writes.length = 0;
    batch.listeners.length = 0;
  }

  #refuse(batch: Batch, cause: unknown): void {
    const error =
      cause instanceof StoreError ? cause : new StoreError('failed', 'the store failed unexpectedly', { cause });
    this.#lastFailure = error;
    this.#observer?.ends(error);
    const behind = this.#filling;
    this.#filling = emptyBatch();
    this.#settle();
    for (const callback of this.#refusedCallbacks) this.#tell(callback);
    for (const listener of batch.listeners) this.#tell(() => listener.refused(error));
    for (const listener of behind.listeners) this.#tell(() => listener.refused(error));
  }

  /** No batch is in flight any more: the next one may start, and there may be room. */
  #settle(): void {
    this.#inFlight = undefined;
    if (this.#filling.listeners.length > 0) this.#schedule();
    if (this.#room === undefined || this.isFull) return;
    this.#room.resolve();
    this.#room = undefined;
  }

  /** As `#tell`, without a closure for every message. */
  #tellCommitted(listener: CommitListener): void {
    try {
      listener.committed();
    } catch (error) {
      this.#reportError(error);
    }
  }

  #tell(call: () => void): void {
    try {
      call();
    } catch (error) {
      this.#reportError(error);
    }
  }
}

function emptyBatch(): Batch {
  return { writes: [], listeners: [], bytes: 0 };
}

function byteLength(write: Write): number {
  switch (write.type) {
    case 'put':
      return write.byteLength ?? write.key.length + write.value.length;
    case 'delete':
      return write.key.length;
    case 'deleteRange':
      return write.from.length + write.to.length;
  }
}

function newRoom(): Room {
  let resolve = (): void => undefined;
  const promise = new Promise<void>((resolvePromise) => {
    resolve = resolvePromise;
  });
  return { promise, resolve };
}

function warn(error: unknown): void {
  process.emitWarning(error instanceof Error ? error : String(error));
}
