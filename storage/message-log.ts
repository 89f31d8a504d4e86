import type { StorageAccess } from './access.ts';
import { ownerRange, positionKey, positionRange, restAsPosition, textKey } from './keys.ts';
import { decodeEntry, EntryWrite, flagsOf, isErrorOf, stanzaLengthOf } from './log-entry.ts';
import type { LogEntry, LogPlace, WrittenStanza } from './log-entry.ts';
import { pagesOf } from './ordered-store.ts';
import type { Key, StoreReader, Write } from './ordered-store.ts';
import { RecordReader, RecordWriter } from './record.ts';

export type { LogEntry, LogPlace, WrittenStanza } from './log-entry.ts';

export interface LogPageOptions {
  /** Only entries behind this position. */
  readonly after?: number | undefined;
  /** Only entries before this position. */
  readonly before?: number | undefined;
  /** From the latest to the earliest. */
  readonly reverse?: boolean;
  readonly limit: number;
}

/** How far an account's clients have come in its log. */
export interface Cursors {
  /** Up to here nothing is pending. */
  readonly cursor: number;
  /** Up to here nothing that is archived is pending: a client has it from the archive (XEP-0386). */
  readonly archivedCursor: number;
}

/** What waits for an account that is away. */
export interface PendingUsage {
  readonly count: number;
  /** Bytes of the stanzas. */
  readonly bytes: number;
  /** How much of that are errors: they answer messages of the owner's own, and no others are kept. */
  readonly returned: { readonly count: number; readonly bytes: number };
  /** The highest position the owner ever used as far as the store knows, pending or not; 0 for none. */
  readonly lastPosition: number;
}

const CURSOR_FORMAT = 1;
const TWO_CURSORS_FORMAT = 2;
const USAGE_PAGE_ENTRIES = 64;

/**
 * One log per account of what it received and sent (docs/architecture.md). Archive and offline queue are two readings of
 * it: an entry is pending while it is flagged so and no cursor of its kind has passed it. What ends in `Writes` only prepares;
 * the caller hands it to the group commit, together with what must stand or fall with it.
 */
export class MessageLog {
  readonly #access: StorageAccess;

  constructor(access: StorageAccess) {
    this.#access = access;
  }

  /**
   * Appends a message in its place. The index by contact learns of it when somebody asks (archive-survey.ts).
   *
   * @param stanza the same object for both sides of a message: so it is written once
   * @param contact the JID, bare or full, of the chat's other side as this message has it
   * @throws RangeError for what cannot be written
   */
  appendWrite(owner: string, place: LogPlace, stanza: WrittenStanza, contact: string): Write {
    return new EntryWrite(owner, place, stanza, contact);
  }

  /** The same as a list, where the contact has no resource unless it is given. */
  appendWrites(owner: string, entry: LogEntry, contact = entry.peer): Write[] {
    return [this.appendWrite(owner, entry, { bytes: entry.stanza }, contact)];
  }

  /** Up to `limit` entries, archived or pending or neither: the reader chooses. */
  async page(owner: string, options: LogPageOptions): Promise<readonly LogEntry[]> {
    const { after, before, reverse = false, limit } = options;
    const range = { ...positionRange('log', owner, after, before), reverse };
    const entries = await this.#access.store.page(range, limit);
    return entries.map(([key, value]) => decodeEntry(key, value));
  }

  /** The latest entry. */
  async last(owner: string): Promise<LogEntry | undefined> {
    const [entry] = await this.page(owner, { reverse: true, limit: 1 });
    return entry;
  }

  /** The positions up to which pending entries are done; 0 if none is. */
  cursors(owner: string): Promise<Cursors> {
    return cursorsOf(this.#access.store, owner);
  }

  /** `archivedCursor` says something only where it is the greater. */
  cursorWrites(owner: string, cursor: number, archivedCursor = 0): Write[] {
    return [cursorsWrite(owner, { cursor, archivedCursor })];
  }

  /** Deletes entries that are not archived. Belongs into one batch with a cursor that has passed them. */
  deleteWrites(owner: string, positions: readonly number[]): Write[] {
    return positions.map((position) => ({ type: 'delete', key: positionKey('log', owner, position) }));
  }

  /** Counts what is pending behind the cursors, page by page. @param cursors those of the owner, where they are known */
  async pendingUsage(owner: string, cursors?: Cursors): Promise<PendingUsage> {
    let count = 0;
    let bytes = 0;
    const returned = { count: 0, bytes: 0 };
    const { cursor, archivedCursor } = cursors ?? (await this.cursors(owner));
    let lastPosition = Math.max(cursor, await this.#lastSent(owner));
    const behind = positionRange('log', owner, cursor, undefined);
    for await (const page of pagesOf(this.#access.store, behind, USAGE_PAGE_ENTRIES)) {
      for (const [key, value] of page) {
        lastPosition = Math.max(lastPosition, restAsPosition(key));
        const { archived, pending } = flagsOf(key, value);
        if (!pending || (archived && restAsPosition(key) <= archivedCursor)) continue;
        count++;
        const length = stanzaLengthOf(key, value);
        bytes += length;
        if (archived || !isErrorOf(value, length)) continue;
        returned.count++;
        returned.bytes += length;
      }
    }
    return { count, bytes, returned, lastPosition };
  }

  /**
   * The last position of what the owner sent, also where no log keeps it: the key by which it is known when it is sent again
   * would lose its place to another, where the clock was set back while the server was down.
   */
  async #lastSent(owner: string): Promise<number> {
    const [entry] = await this.#access.store.page({ ...ownerRange('sendKeys', owner), reverse: true }, 1);
    return entry === undefined ? 0 : restAsPosition(entry[0]);
  }
}

/** As MessageLog.cursors. */
export async function cursorsOf(store: StoreReader, owner: string): Promise<Cursors> {
  const key = cursorKey(owner);
  const [value] = await store.getMany([key]);
  return value === undefined ? { cursor: 0, archivedCursor: 0 } : decodeCursors(key, value);
}

function cursorKey(owner: string): Key {
  return textKey('cursors', owner);
}

/** Puts the cursors of an account where they are said to be. */
export function cursorsWrite(owner: string, { cursor, archivedCursor }: Cursors): Write {
  const value =
    archivedCursor > cursor
      ? new RecordWriter(TWO_CURSORS_FORMAT).number(cursor).number(archivedCursor).end()
      : new RecordWriter(CURSOR_FORMAT).number(cursor).end();
  return { type: 'put', key: cursorKey(owner), value };
}

/** Throws StoreError `corrupt`. */
export function decodeCursors(key: Key, value: Uint8Array): Cursors {
  const isOfTwo = value[0] === TWO_CURSORS_FORMAT;
  const reader = new RecordReader(key, value, isOfTwo ? TWO_CURSORS_FORMAT : CURSOR_FORMAT);
  const cursor = reader.number();
  const archivedCursor = isOfTwo ? reader.number() : 0;
  reader.end();
  return { cursor, archivedCursor };
}
