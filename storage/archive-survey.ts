import type { StorageAccess } from './access.ts';
import { decodeArchive, EMPTY_ARCHIVE, encodeArchive } from './archive-record.ts';
import type { ArchiveRecord } from './archive-record.ts';
import { contactKey, positionRange, restAsPosition, textKey } from './keys.ts';
import { contactOf, flagsOf, stanzaLengthOf } from './log-entry.ts';
import type { MessageLog } from './message-log.ts';
import { pagesOf } from './ordered-store.ts';
import type { Write } from './ordered-store.ts';

const PIECE_ENTRIES = 200;

/**
 * What is known of the archives beside their messages: how much each holds, and the index by contact. Neither costs anything
 * when a message is recorded: both are brought up to date, from where they were last, when somebody asks and when the
 * limits are looked after. Rows made by the hundred and in order cost a fraction of what they would cost one by one.
 */
export class ArchiveSurvey {
  readonly #access: StorageAccess;
  readonly #log: MessageLog;
  /** The last change of each owner's archive that has changes: they run one after the other. */
  readonly #changes = new Map<string, Promise<unknown>>();

  constructor(access: StorageAccess, log: MessageLog) {
    this.#access = access;
    this.#log = log;
  }

  /** Makes a change to an archive behind those before it. Rejects as `change` does. */
  change<Result>(owner: string, change: () => Promise<Result>): Promise<Result> {
    const changed = (this.#changes.get(owner) ?? Promise.resolve()).then(change);
    const settled = changed
      .catch(() => undefined)
      .then(() => {
        if (this.#changes.get(owner) === settled) this.#changes.delete(owner);
      });
    this.#changes.set(owner, settled);
    return changed;
  }

  /** As it was last brought up to date. Rejects with StoreError. */
  async load(owner: string): Promise<ArchiveRecord> {
    const key = textKey('archives', owner);
    const [value] = await this.#access.store.getMany([key]);
    return value === undefined ? EMPTY_ARCHIVE : decodeArchive(key, value);
  }

  /**
   * Counts and indexes what has come since, and deletes what is not archived and does not wait any more; within a `change`.
   * Rejects with StoreError.
   */
  async upToDate(owner: string): Promise<ArchiveRecord> {
    let record = await this.load(owner);
    let cursor: number | undefined;
    if (record.waitingFrom !== undefined) {
      ({ cursor } = await this.#log.cursors(owner));
      if (record.waitingFrom <= cursor) record = await this.#cleared(owner, record, record.waitingFrom, cursor);
    }
    const unknown = positionRange('log', owner, record.countedUpTo, undefined);
    for await (const page of pagesOf(this.#access.store, unknown, PIECE_ENTRIES)) {
      cursor ??= (await this.#log.cursors(owner)).cursor;
      let { count, bytes, countedUpTo, waitingFrom } = record;
      const writes: Write[] = [];
      for (const [key, value] of page) {
        const { archived, pending } = flagsOf(key, value);
        countedUpTo = restAsPosition(key);
        if (archived) {
          count++;
          bytes += stanzaLengthOf(key, value);
          const { bare, resource } = contactOf(key, value);
          const row = { key: contactKey(owner, bare, countedUpTo), value: Buffer.from(resource, 'utf8') };
          writes.push({ type: 'put', ...row });
        } else if (!pending || countedUpTo <= cursor) {
          // Delivered, and left over when the server was killed or a session was restored.
          writes.push({ type: 'delete', key });
        } else {
          waitingFrom ??= countedUpTo;
        }
      }
      record = { ...record, count, bytes, countedUpTo, waitingFrom };
      await this.#access.commit.write([...writes, archiveWrite(owner, record)]);
    }
    return record;
  }

  /** Deletes what waited when it was counted, is not archived and has been delivered since. Each entry is read once. */
  async #cleared(owner: string, record: ArchiveRecord, from: number, cursor: number): Promise<ArchiveRecord> {
    const end = Math.min(cursor, record.countedUpTo);
    const delivered = positionRange('log', owner, from - 1, end + 1);
    for await (const page of pagesOf(this.#access.store, delivered, PIECE_ENTRIES)) {
      const leftOver = page.filter(([key, value]) => !flagsOf(key, value).archived);
      if (leftOver.length > 0) await this.#access.commit.write(leftOver.map(([key]) => ({ type: 'delete', key })));
    }
    const cleared = { ...record, waitingFrom: end < record.countedUpTo ? end + 1 : undefined };
    await this.#access.commit.write([archiveWrite(owner, cleared)]);
    return cleared;
  }
}

/** Puts what is known of an archive. */
export function archiveWrite(owner: string, record: ArchiveRecord): Write {
  return { type: 'put', key: textKey('archives', owner), value: encodeArchive(record) };
}
