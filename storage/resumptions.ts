import type { StorageAccess } from './access.ts';
import { partsOf, restAsText, shardRange, SHARDS, textKey } from './keys.ts';
import type { Table } from './keys.ts';
import { pagesOf } from './ordered-store.ts';
import type { Key, Write } from './ordered-store.ts';
import { RecordReader, RecordWriter } from './record.ts';

/** How much of what a client sent over a resumable session is handled: the `h` of XEP-0198, modulo 2^32. */
export interface HandledCount {
  readonly handled: number;
  /** When this was written, milliseconds since the epoch. */
  readonly at: number;
}

/** A stanza its client may not have. */
export interface SavedStanza {
  /** The stanza as a document of its own, a byte string. */
  readonly document: string;
  /** Its entry in the account's log, if it has one. */
  readonly position: number | undefined;
}

/** A resumable session as it is kept over a restart. */
export interface SavedSession {
  readonly owner: string;
  readonly id: string;
  readonly resource: string;
  /** When it was bound, milliseconds since the epoch. */
  readonly since: number;
  /** How long it may be without a stream, milliseconds. */
  readonly maxMs: number;
  /** Stanzas of the client handled, modulo 2^32. */
  readonly handled: number;
  /** Stanzas confirmed by the client, modulo 2^32; `unconfirmed` follow. */
  readonly confirmed: number;
  readonly unconfirmed: readonly SavedStanza[];
  /** The last available presence, a document; undefined while not available. */
  readonly presence: string | undefined;
  readonly priority: number;
  /** What modules keep for the session, by the name of the slot. */
  readonly slots: ReadonlyMap<string, string>;
}

const HANDLED_FORMAT = 1;
const SESSION_FORMAT = 1;
const PAGE_ENTRIES = 100;
const PRIORITY_OFFSET = 128;

/**
 * What resumption (XEP-0198 5) keeps on disk: the committed `h` of each session, which survives kill -9, and whole sessions
 * over an orderly restart. What ends in `Writes` only prepares, for the batch it belongs to.
 */
export class Resumptions {
  readonly #access: StorageAccess;

  constructor(access: StorageAccess) {
    this.#access = access;
  }

  handledWrites(owner: string, id: string, { handled, at }: HandledCount): Write[] {
    const value = new RecordWriter(HANDLED_FORMAT).number(handled).number(Math.max(0, at)).end();
    return [{ type: 'put', key: textKey('handled', owner, id), value }];
  }

  forgetHandledWrites(owner: string, id: string): Write[] {
    return [{ type: 'delete', key: textKey('handled', owner, id) }];
  }

  /** The committed count of a session that is gone; undefined where none is known. Rejects with StoreError. */
  async handled(owner: string, id: string): Promise<HandledCount | undefined> {
    const key = textKey('handled', owner, id);
    const [value] = await this.#access.store.getMany([key]);
    return value === undefined ? undefined : decodeHandled(key, value);
  }

  /** Deletes the counts written before `time` (milliseconds since the epoch). */
  async forgetHandledBefore(time: number): Promise<void> {
    for await (const page of this.#everywhere('handled')) {
      const old = page.filter(([key, value]) => decodeHandled(key, value).at < time);
      if (old.length > 0) await this.#access.commit.write(old.map(([key]) => ({ type: 'delete', key })));
    }
  }

  saveSessionWrites(session: SavedSession): Write[] {
    return [{ type: 'put', key: textKey('sessions', session.owner, session.id), value: encodeSession(session) }];
  }

  removeSessionWrites(owner: string, id: string): Write[] {
    return [{ type: 'delete', key: textKey('sessions', owner, id) }];
  }

  /** Every saved session. What cannot be read is told to `skipped`, removed and passed over. */
  async *savedSessions(skipped: (error: unknown) => void): AsyncGenerator<SavedSession> {
    for await (const page of this.#everywhere('sessions')) {
      for (const [key, value] of page) {
        let session: SavedSession;
        try {
          session = decodeSession(key, value);
        } catch (error) {
          skipped(error);
          await this.#access.commit.write([{ type: 'delete', key }]);
          continue;
        }
        yield session;
      }
    }
  }

  async *#everywhere(table: Table): AsyncGenerator<readonly (readonly [Key, Uint8Array])[]> {
    for (let shard = 0; shard < SHARDS; shard++) {
      yield* pagesOf(this.#access.store, shardRange(table, shard), PAGE_ENTRIES);
    }
  }
}

/** Throws StoreError `corrupt`. */
export function decodeHandled(key: Key, value: Uint8Array): HandledCount {
  const reader = new RecordReader(key, value, HANDLED_FORMAT);
  const count = { handled: reader.number(), at: reader.number() };
  reader.end();
  return count;
}

function encodeSession(session: SavedSession): Uint8Array {
  const { presence, unconfirmed, slots } = session;
  const writer = new RecordWriter(SESSION_FORMAT)
    .text(session.resource)
    .number(Math.max(0, session.since))
    .number(session.maxMs)
    .number(session.handled)
    .number(session.confirmed)
    .byte(presence === undefined ? 0 : 1);
  if (presence !== undefined) writer.byteString(presence).byte(session.priority + PRIORITY_OFFSET);
  writer.number(slots.size);
  for (const [name, text] of slots) writer.text(name).text(text);
  writer.number(unconfirmed.length);
  for (const { document, position } of unconfirmed) writer.byteString(document).number(position ?? 0);
  return writer.end();
}

/** Throws StoreError `corrupt`. */
export function decodeSession(key: Key, value: Uint8Array): SavedSession {
  const reader = new RecordReader(key, value, SESSION_FORMAT);
  const resource = reader.text();
  const [since, maxMs, handled, confirmed] = [reader.number(), reader.number(), reader.number(), reader.number()];
  const isAvailable = reader.byte() === 1;
  const presence = isAvailable ? reader.byteString() : undefined;
  const priority = isAvailable ? reader.byte() - PRIORITY_OFFSET : 0;
  const slots = new Map<string, string>();
  for (let left = reader.number(); left > 0; left--) slots.set(reader.text(), reader.text());
  const unconfirmed: SavedStanza[] = [];
  for (let left = reader.number(); left > 0; left--) {
    const document = reader.byteString();
    const position = reader.number();
    unconfirmed.push({ document, position: position === 0 ? undefined : position });
  }
  reader.end();
  const { owner } = partsOf(key);
  const id = restAsText(key);
  return { owner, id, resource, since, maxMs, handled, confirmed, unconfirmed, presence, priority, slots };
}
