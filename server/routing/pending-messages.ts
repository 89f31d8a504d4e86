import type { Cursors, LogEntry, PendingUsage } from '../../storage/message-log.ts';

/** What pending messages need of the outside. */
export interface PendingStore {
  /** The entries behind `after`, in order. */
  page(after: number, limit: number): Promise<readonly LogEntry[]>;
  /** The cursor has moved; it should be saved some time. */
  cursorMoved(): void;
}

type Loaded = Cursors & PendingUsage;

const PAGE_ENTRIES = 100;
const CONFIRMED = 0;
/** Most accounts have nothing in hand: one map for all of them, which nobody writes to. */
const NOTHING: Map<number, number> = new Map();
/** Of whoever never had a message to wait for; the same for all of them. */
const AT_THE_BEGINNING: Cursors = { cursor: 0, archivedCursor: 0 };

/** Waiting messages in order, as they were when they were read. */
export interface WaitingPage {
  readonly entries: readonly LogEntry[];
  readonly generation: number;
}

/** A message that a session gives back. */
export interface GivenBack {
  readonly position: number;
  readonly bytes: number;
  /** As for PendingMessages.addWaiting. */
  readonly isReturned: boolean;
}

/**
 * The offline queue of one account as a reading of its log (XEP-0160, docs/architecture.md): what lies behind the cursor
 * is pending. Entries between the cursor and `handedOut` are with a session and not confirmed, or confirmed out of order;
 * entries behind `handedOut` wait on disk. An entry leaves only when its client has it.
 */
export class PendingMessages {
  /** Up to here everything is delivered. Saved lazily: after a crash a message may come twice, never not at all. */
  cursor = 0;
  /**
   * What is archived up to here is done as well: a client has it from the archive (XEP-0386). `cursor` itself stays before
   * what is not archived and still waits.
   */
  archivedCursor = 0;
  /** The cursors that are on disk. */
  #saved: Cursors = AT_THE_BEGINNING;
  #handedOut = 0;
  /** The highest position ever handed out: where `handedOut` is again once nothing waits. */
  #highest = 0;
  #last = 0;
  /** Positions handed out, in order, with the number of sessions that hold them, or CONFIRMED. */
  #inHand = NOTHING;
  /** The last position ever put in hand. */
  #lastInHand = 0;
  /** The last position passed over while something was in hand. */
  #passed: number | undefined;
  /** Positions of messages that are handed out and not archived. */
  #doomed: number[] | undefined;
  #generation = 0;
  /** Up to here every pending entry is counted as waiting or was handed out; a later one is committed at most. */
  #countedTo = 0;
  #waitingCount = 0;
  #waitingBytes = 0;
  /** How much of what waits has come back (returned-errors.ts): it has a bound of its own. */
  #returnedCount = 0;
  #returnedBytes = 0;
  readonly #store: PendingStore;

  constructor(store: PendingStore) {
    this.#store = store;
  }

  load({ cursor, archivedCursor, count, bytes, returned, lastPosition }: Loaded): void {
    this.cursor = this.#handedOut = this.#highest = cursor;
    this.archivedCursor = archivedCursor;
    this.#saved = cursor === 0 && archivedCursor === 0 ? AT_THE_BEGINNING : { cursor, archivedCursor };
    this.#last = this.#countedTo = lastPosition;
    this.#waitingCount = count;
    this.#waitingBytes = bytes;
    this.#returnedCount = returned.count;
    this.#returnedBytes = returned.bytes;
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

  /** How many of those are errors for messages of the account's own that came back, and their bytes. */
  get returnedCount(): number {
    return this.#returnedCount;
  }

  get returnedBytes(): number {
    return this.#returnedBytes;
  }

  /**
   * A committed message that nobody can take now.
   *
   * @param isReturned whether it is an error for a message of the account's own
   */
  addWaiting(position: number, bytes: number, isReturned = false): void {
    this.#countedTo = Math.max(this.#countedTo, position);
    this.#addToWaiting(bytes, isReturned);
  }

  /** A committed message that goes to `holders` sessions right away; only while nothing waits. */
  handOut(position: number, holders: number): void {
    this.#insertInHand(position, holders);
    this.#handedOut = this.#highest = this.#countedTo = position;
  }

  /**
   * A session that was saved over a restart goes on holding this message, which waits as far as `load` knows. Messages
   * that wait before it are not passed over.
   */
  hold(position: number, bytes: number, isReturned = false): void {
    if (position <= this.cursor) return;
    const holders = this.#inHand.get(position);
    if (holders !== undefined) {
      this.#inHand.set(position, holders + 1);
      return;
    }
    // What the archive's cursor has passed is counted only where it is not archived. Too high a count mends itself, too low
    // a one would pass over messages that wait.
    if (position > this.archivedCursor) this.#takeFromWaiting(position, bytes, isReturned);
    if (this.#waitingCount === 0) this.#handedOut = this.#highest = Math.max(this.#highest, position);
    this.#insertInHand(position, 1);
  }

  /** A committed message that goes to one session ahead of those that wait. */
  handOutAhead(position: number): void {
    this.#countedTo = Math.max(this.#countedTo, position);
    this.#highest = Math.max(this.#highest, position);
    this.#insertInHand(position, 1);
  }

  /** A new entry that nobody waits for, such as one the owner sent: the cursor passes it in its turn. */
  passOver(position: number): void {
    // Behind messages that wait the flush passes it.
    if (this.#waitingCount > 0) return;
    this.#handedOut = this.#highest = Math.max(this.#highest, position);
    if (this.#inHand.size === 0) {
      this.cursor = Math.max(this.cursor, position);
      this.#store.cursorMoved();
      return;
    }
    // Of several in a row the last stands for all: a client that does not confirm must not collect them here.
    if (this.#passed !== undefined && this.#passed === this.#lastInHand) this.#inHand.delete(this.#passed);
    this.#insertInHand(position, CONFIRMED);
    this.#passed = position;
  }

  /** A message that is handed out leaves the log when a client has it. */
  deleteWhenDone(position: number): void {
    (this.#doomed ??= []).push(position);
  }

  /** What of those a client has: also ahead of the cursor, which may have to wait for what waits before it. */
  get done(): readonly number[] {
    return this.#doomed?.filter((position) => this.isDone(position)) ?? [];
  }

  /** Whether a client has this message, which was handed out. */
  isDone(position: number): boolean {
    return position <= this.cursor || this.#inHand.get(position) === CONFIRMED;
  }

  /** The cursors are on disk, and what was `done` is deleted. */
  cursorSaved({ cursor, archivedCursor }: Cursors, deleted: readonly number[]): void {
    this.#saved = { cursor, archivedCursor };
    if (deleted.length === 0) return;
    const gone = new Set(deleted);
    this.#doomed = this.#doomed?.filter((position) => !gone.has(position));
    for (const position of deleted) {
      if (position <= this.#handedOut || this.#inHand.get(position) !== CONFIRMED) continue;
      this.#inHand.delete(position);
      this.#generation++; // a page that was read before may hold it
    }
  }

  /** Whether the store knows where the cursors are, and holds nothing that should be deleted. */
  get isSaved(): boolean {
    const areCursorsSaved = this.cursor === this.#saved.cursor && this.archivedCursor === this.#saved.archivedCursor;
    return areCursorsSaved && this.#doomed?.some((position) => this.isDone(position)) !== true;
  }

  /** Whether everything handed out so far has reached its client. */
  get isSettled(): boolean {
    return this.#inHand.size === 0 && this.#waitingCount === 0;
  }

  /** Whether the page still is what comes next: not after something was taken back. */
  isCurrent(page: WaitingPage): boolean {
    return page.generation === this.#generation;
  }

  /** A client has it. */
  confirm(position: number): void {
    if ((this.#inHand.get(position) ?? CONFIRMED) === CONFIRMED) return;
    this.#inHand.set(position, CONFIRMED);
    // The cursor does not get there yet; but the message need not stay in the log.
    if (position > this.#handedOut && this.#doomed?.includes(position) === true) this.#store.cursorMoved();
    this.#advance();
  }

  /** Moves the cursor over what is confirmed. */
  #advance(): void {
    let moved = false;
    for (const [first, holders] of this.#inHand) {
      // What lies behind `handedOut` was taken back: the cursor must not pass a message that waits again.
      if (holders !== CONFIRMED || first > this.#handedOut) break;
      this.#inHand.delete(first);
      this.cursor = first;
      moved = true;
    }
    if (moved) this.#store.cursorMoved();
  }

  /**
   * A session ended without these. What nobody else holds waits again, in its place: everything later that is not
   * confirmed is read again, and what is held or confirmed is passed over then.
   */
  takeBack(messages: readonly GivenBack[]): void {
    let earliest = Infinity;
    for (const { position, bytes, isReturned } of messages) {
      const holders = this.#inHand.get(position) ?? CONFIRMED;
      if (holders > 1) this.#inHand.set(position, holders - 1);
      if (holders !== 1) continue;
      this.#inHand.delete(position);
      this.#addToWaiting(bytes, isReturned);
      earliest = Math.min(earliest, position);
    }
    if (earliest === Infinity) return;
    this.#handedOut = Math.min(this.#handedOut, earliest - 1);
    this.#generation++;
  }

  /**
   * Clears what waits and is in the archive up to `upTo` without handing it out (XEP-0386, "Performing the bind"). What is
   * not archived goes on waiting. What is archived is read on disk, since retention may change it at any time.
   */
  async clearArchived(upTo: number): Promise<void> {
    let cleared: readonly LogEntry[] = [];
    for (let generation = -1; this.#waitingCount > 0 && generation !== this.#generation;) {
      generation = this.#generation;
      cleared = await this.#waitingInArchive(upTo);
    }
    // Meanwhile some may have been handed out.
    for (const { position, stanza } of cleared) {
      if (position <= this.#handedOut || this.#inHand.has(position)) continue;
      this.#takeFromWaiting(position, stanza.length, false);
    }
    if (this.#waitingCount === 0) this.#handedOut = this.#highest;
    this.#advance();
    this.archivedCursor = Math.max(this.archivedCursor, upTo);
    this.#generation++; // a page that was read before holds what is cleared now
    if (!this.isSaved) this.#store.cursorMoved();
  }

  async #waitingInArchive(upTo: number): Promise<readonly LogEntry[]> {
    const found: LogEntry[] = [];
    const last = Math.min(upTo, this.#countedTo);
    for (let after = this.#handedOut; after < last;) {
      const page = await this.#store.page(after, PAGE_ENTRIES);
      for (const entry of page) {
        const { position, flags } = entry;
        if (position <= last && flags.archived && this.#isPending(entry)) found.push(entry);
      }
      after = page.at(-1)?.position ?? last;
    }
    return found;
  }

  /** Whether an entry is for somebody to take. */
  #isPending({ position, flags }: LogEntry): boolean {
    return flags.pending && !this.#inHand.has(position) && !(flags.archived && position <= this.archivedCursor);
  }

  /**
   * The next waiting messages; undefined when none is left. Whoever hands them out stops as soon as the page is no longer
   * current, and asks again.
   */
  async nextWaiting(): Promise<WaitingPage | undefined> {
    while (this.#waitingCount > 0) {
      const generation = this.#generation;
      const counted = this.#waitingCount;
      const read = await this.#store.page(this.#handedOut, PAGE_ENTRIES);
      if (generation !== this.#generation) continue;
      // What is committed and has not had its turn yet is delivered in its turn, not from here.
      const page = read.filter(({ position }) => position <= this.#countedTo);
      if (page.length === 0) {
        if (counted !== this.#waitingCount) continue; // more was committed meanwhile
        // What is counted is not there: retention or erasure took it, or the archive has it.
        this.#waitingCount = this.#waitingBytes = this.#returnedCount = this.#returnedBytes = 0;
        this.#handedOut = this.#highest;
        this.#advance();
        return undefined;
      }
      const entries = page.filter((entry) => this.#isPending(entry));
      if (entries.length > 0) return { entries, generation };
      this.#handedOut = page.at(-1)!.position;
    }
    return undefined;
  }

  /** A waiting message goes to `holders` sessions, at least one. */
  handOutWaiting(position: number, bytes: number, holders: number, isReturned = false): void {
    this.#takeFromWaiting(position, bytes, isReturned);
    this.#handedOut = this.#waitingCount === 0 ? this.#highest : Math.max(this.#handedOut, position);
    this.#insertInHand(position, holders);
  }

  #addToWaiting(bytes: number, isReturned: boolean): void {
    this.#waitingCount++;
    this.#waitingBytes += bytes;
    if (!isReturned) return;
    this.#returnedCount++;
    this.#returnedBytes += bytes;
  }

  #takeFromWaiting(position: number, bytes: number, isReturned: boolean): void {
    this.#waitingCount = Math.max(0, this.#waitingCount - 1);
    this.#waitingBytes = this.#waitingCount === 0 ? 0 : Math.max(0, this.#waitingBytes - bytes);
    // No more has come back than waits, also where an entry can no longer be read.
    this.#returnedCount = Math.min(this.#waitingCount, Math.max(0, this.#returnedCount - (isReturned ? 1 : 0)));
    const returnedBytes = Math.max(0, this.#returnedBytes - (isReturned ? bytes : 0));
    this.#returnedBytes = this.#returnedCount === 0 ? 0 : Math.min(this.#waitingBytes, returnedBytes);
    this.#highest = Math.max(this.#highest, position);
  }

  /** Keeps the map in order of position, which confirming relies on. */
  #insertInHand(position: number, holders: number): void {
    if (this.#inHand === NOTHING) this.#inHand = new Map();
    if (position > this.#lastInHand) {
      this.#lastInHand = position;
      this.#inHand.set(position, holders);
      return;
    }
    const later = [...this.#inHand].filter(([held]) => held > position);
    for (const [held] of later) this.#inHand.delete(held);
    this.#inHand.set(position, holders);
    for (const [held, others] of later) this.#inHand.set(held, others);
  }
}
