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

  /** Counts and indexes what has come since; within a `change`. Rejects with StoreError. */
  async upToDate(owner: string): Promise<ArchiveRecord> {
    let record = await this.load(owner);
    let cursor: number | undefined;
    const unknown = positionRange('log', owner, record.countedUpTo, undefined);
    for await (const page of pagesOf(this.#access.store, unknown, PIECE_ENTRIES)) {
      cursor ??= (await this.#log.cursors(owner)).cursor;
      let { count, bytes, countedUpTo } = record;
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
          // Delivered, and left over when the server was killed.
          writes.push({ type: 'delete', key });
        }
      }
      record = { ...record, count, bytes, countedUpTo };
      await this.#access.commit.write([...writes, archiveWrite(owner, record)]);
    }
    return record;
  }
}

/** Puts what is known of an archive. */
export function archiveWrite(owner: string, record: ArchiveRecord): Write {
  return { type: 'put', key: textKey('archives', owner), value: encodeArchive(record) };
}
