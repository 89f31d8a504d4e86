import { decodeEntry, type LogEntry } from '../log-entry.ts';
import { contactKey, positionKey, positionRange } from '../keys.ts';
import { cursorsOf } from '../message-log.ts';
import { pagesOf, type StoreReader } from '../ordered-store.ts';
import { bareOf, chatOfEntry, readMessage } from './stored-message.ts';

/** One message in one log. */
export interface LoggedSide {
  readonly owner: string;
  readonly position: number;
  readonly isSent: boolean;
  readonly isArchived: boolean;
  readonly delivery: 'not for delivery' | 'waits, or is not confirmed' | 'delivered';
  readonly hasIndexRow: boolean;
}

/** What the store knows of one message. */
export interface MessageLife {
  /** Milliseconds since the epoch. */
  readonly receivedAt: number;
  readonly chat: string;
  readonly number: number | undefined;
  readonly from: string | undefined;
  readonly to: string | undefined;
  readonly id: string | undefined;
  readonly bytes: number;
  readonly sides: readonly LoggedSide[];
}

const PAGE_ENTRIES = 100;

/** A message by its place in a log; undefined where there is none. Rejects with StoreError. */
export async function messageAt(store: StoreReader, owner: string, position: number): Promise<MessageLife | undefined> {
  const key = positionKey('log', owner, position);
  const [value] = await store.getMany([key]);
  return value === undefined ? undefined : lifeOf(store, owner, decodeEntry(key, value));
}

/** The latest message of this stanza id or origin-id; undefined where there is none. Rejects with StoreError. */
export async function messageOfId(store: StoreReader, owner: string, id: string): Promise<MessageLife | undefined> {
  const wanted = Buffer.from(id, 'utf8').toString('latin1');
  const range = { ...positionRange('log', owner, undefined, undefined), reverse: true };
  for await (const page of pagesOf(store, range, PAGE_ENTRIES)) {
    for (const [key, value] of page) {
      const entry = decodeEntry(key, value);
      if (entry.stanza.includes(` id='${wanted}'`) || entry.stanza.includes(` id="${wanted}"`)) {
        return lifeOf(store, owner, entry);
      }
    }
  }
  return undefined;
}

async function lifeOf(store: StoreReader, owner: string, entry: LogEntry): Promise<MessageLife> {
  const { position, sequence, peer, stanza } = entry;
  const { from, to, id } = readMessage(entry);
  const sides = [await sideOf(store, owner, entry)];
  const other = sequence === undefined || peer === owner ? undefined : await entryOf(store, peer, owner, sequence);
  if (other !== undefined) sides.push(await sideOf(store, peer, other));
  return {
    receivedAt: Math.floor(position / 1000),
    chat: chatOfEntry(owner, peer),
    number: sequence,
    from,
    to,
    id,
    bytes: stanza.length,
    sides,
  };
}

/** Numbers of a chat increase in a log, so the search from the end may stop early. */
async function entryOf(store: StoreReader, owner: string, peer: string, number: number): Promise<LogEntry | undefined> {
  const range = { ...positionRange('log', owner, undefined, undefined), reverse: true };
  for await (const page of pagesOf(store, range, PAGE_ENTRIES)) {
    for (const [key, value] of page) {
      const entry = decodeEntry(key, value);
      if (entry.peer !== peer || entry.sequence === undefined) continue;
      if (entry.sequence <= number) return entry.sequence === number ? entry : undefined;
    }
  }
  return undefined;
}

async function sideOf(store: StoreReader, owner: string, { position, peer, flags }: LogEntry): Promise<LoggedSide> {
  const [row] = await store.getMany([contactKey(owner, bareOf(peer), position)]);
  const { cursor, archivedCursor } = await cursorsOf(store, owner);
  const doneUpTo = flags.archived ? Math.max(cursor, archivedCursor) : cursor;
  return {
    owner,
    position,
    isSent: flags.sent,
    isArchived: flags.archived,
    delivery: !flags.pending ? 'not for delivery' : position > doneUpTo ? 'waits, or is not confirmed' : 'delivered',
    hasIndexRow: row !== undefined,
  };
}
