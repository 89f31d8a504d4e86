import type { LogEntry } from '../../storage/message-log.ts';

/** What pending messages need of the outside. */
export interface PendingStore {
  /** The entries behind `after`, in order. */
  page(after: number, limit: number): Promise<readonly LogEntry[]>;
  /** The cursor has moved; it should be saved some time. */
  cursorMoved(): void;
}

interface Loaded {
  readonly cursor: number;
  readonly count: number;
  readonly bytes: number;
  readonly lastPosition: number;
}

const PAGE_ENTRIES = 100;

/**
 * The offline queue of one account as a reading of its log (XEP-0160, docs/architecture.md): what lies behind the cursor
 * is pending. Entries between the cursor and `handedOut` are with a session and not confirmed, or confirmed out of order;
 * entries behind `handedOut` wait on disk. An entry leaves only when its client has it.
 */
export class PendingMessages {
  /** Up to here everything is delivered. Saved lazily: after a crash a message may come twice, never not at all. */
  cursor = 0;
  /** The cursor that is on disk. */
  savedCursor = 0;
  #handedOut = 0;
  #last = 0;
  /** Positions handed out, in order; true once confirmed. */
  readonly #inHand = new Map<number, boolean>();
  #waitingCount = 0;
  #waitingBytes = 0;
  readonly #store: PendingStore;

  constructor(store: PendingStore) {
    this.#store = store;
  }

  load({ cursor, count, bytes, lastPosition }: Loaded): void {
    this.cursor = this.savedCursor = this.#handedOut = cursor;
    this.#last = lastPosition;
    this.#waitingCount = count;
    this.#waitingBytes = bytes;
  }

  /** The next free place in the log: the time, but always later than the last. */
  nextPosition(nowUs: number): number {
    this.#last = Math.max(this.#last + 1, nowUs);
    return this.#last;
  }

  /** Messages waiting on disk for a session to take them. */
  get waitingCount(): number {
    return this.#waitingCount;
  }

  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  /** A committed message that nobody can take now. */
  addWaiting(bytes: number): void {
    this.#waitingCount++;
    this.#waitingBytes += bytes;
  }

  /** A committed message that goes to a session right away; only while nothing waits. */
  handOut(position: number): void {
    this.#inHand.set(position, false);
    this.#handedOut = position;
  }

  /** Whether everything handed out so far has reached its client. */
  get isSettled(): boolean {
    return this.#inHand.size === 0 && this.#waitingCount === 0;
  }

  /** The client has it. */
  confirm(position: number): void {
    if (this.#inHand.get(position) !== false) return;
    this.#inHand.set(position, true);
    let moved = false;
    for (const [first, isConfirmed] of this.#inHand) {
      // What lies behind `handedOut` was taken back: the cursor must not pass a message that waits again.
      if (!isConfirmed || first > this.#handedOut) break;
      this.#inHand.delete(first);
      this.cursor = first;
      moved = true;
    }
    if (moved) this.#store.cursorMoved();
  }

  /**
   * A session ended without these. They wait again, in their place: with them everything later that is not confirmed is
   * read again, and what somebody else still holds or has confirmed is passed over then.
   */
  takeBack(positions: readonly number[], bytes: number): void {
    let earliest = Infinity;
    for (const position of positions) {
      if (this.#inHand.get(position) !== false) continue;
      this.#inHand.delete(position);
      this.#waitingCount++;
      earliest = Math.min(earliest, position);
    }
    if (earliest === Infinity) return;
    this.#waitingBytes += bytes;
    this.#handedOut = Math.min(this.#handedOut, earliest - 1);
  }

  /** The next waiting messages in order, to be handed to `deliver` one by one; [] when none is left. */
  async nextWaiting(): Promise<readonly LogEntry[]> {
    while (this.#waitingCount > 0) {
      const page = await this.#store.page(this.#handedOut, PAGE_ENTRIES);
      if (page.length === 0) {
        // What is counted is not there: retention or erasure took it meanwhile.
        this.#waitingCount = this.#waitingBytes = 0;
        return [];
      }
      const waiting = page.filter(({ flags, position }) => flags.pending && !this.#inHand.has(position));
      if (waiting.length > 0) return waiting;
      this.#handedOut = page.at(-1)!.position;
    }
    return [];
  }

  /** A waiting message was handed to a session (or is beyond delivery: then confirm it at once). */
  handOutWaiting(position: number, bytes: number): void {
    this.#waitingCount--;
    this.#waitingBytes = this.#waitingCount === 0 ? 0 : Math.max(0, this.#waitingBytes - bytes);
    this.#handedOut = Math.max(this.#handedOut, position);
    if (!this.#inHand.has(position)) this.#insertInHand(position);
  }

  /** Keeps the map in order of position, which confirming relies on. */
  #insertInHand(position: number): void {
    const later = [...this.#inHand].filter(([held]) => held > position);
    for (const [held] of later) this.#inHand.delete(held);
    this.#inHand.set(position, false);
    for (const [held, isConfirmed] of later) this.#inHand.set(held, isConfirmed);
  }
}
