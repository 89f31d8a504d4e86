import type { StorageAccess } from './access.ts';
import type { ArchiveSurvey } from './archive-survey.ts';
import { contactKey, contactRange, positionKey, positionOfContactKey, positionRange } from './keys.ts';
import { decodeEntry, flagsOf } from './log-entry.ts';
import type { LogEntry } from './log-entry.ts';
import { pagesOf } from './ordered-store.ts';
import type { Key } from './ordered-store.ts';

/** Whose messages are asked for. */
export interface ArchiveContact {
  /** Bare JID. */
  readonly bare: string;
  /** '' for any resource. */
  readonly resource: string;
}

export interface ArchivePageOptions {
  /** Only messages behind this position. */
  readonly after?: number | undefined;
  /** Only messages before this position. */
  readonly before?: number | undefined;
  /** From the latest to the earliest. */
  readonly reverse?: boolean | undefined;
  /** Only messages to or from this contact. */
  readonly contact?: ArchiveContact | undefined;
  /** Only messages at these positions. */
  readonly only?: ReadonlySet<number> | undefined;
  readonly limit: number;
  /** Bytes of stanzas after which a page ends early; a page that has more behind it holds one message at least. */
  readonly maxBytes: number;
}

/** Messages in the order they were asked for. */
export interface ArchivePage {
  readonly entries: readonly LogEntry[];
  /** Whether the limit cut it: more follows in the direction of reading. */
  readonly hasMore: boolean;
}

/** Entries in memory before it is known whether they are wanted. */
const READ_ENTRIES = 64;
/** Rows of the index by contact, small ones, read at a time when a resource is searched for. */
const SEARCHED_ROWS = 500;

/** An account's log as its archive (XEP-0313): the entries that are flagged so. Reading costs what is read. */
export class MessageArchive {
  readonly #access: StorageAccess;
  readonly #survey: ArchiveSurvey;

  constructor(access: StorageAccess, survey: ArchiveSurvey) {
    this.#access = access;
    this.#survey = survey;
  }

  /** The first messages in the asked direction. A contact's are found without reading those of others. */
  async page(owner: string, options: ArchivePageOptions): Promise<ArchivePage> {
    if (options.contact !== undefined) await this.#survey.change(owner, () => this.#survey.upToDate(owner));
    const entries: LogEntry[] = [];
    let bytes = 0;
    for await (const read of this.#read(owner, options)) {
      for (const entry of read) {
        if (entries.length >= options.limit || bytes > options.maxBytes) return { entries, hasMore: true };
        entries.push(entry);
        bytes += entry.stanza.length;
      }
    }
    return { entries, hasMore: false };
  }

  /** The messages at these positions, in their order; undefined where the archive has none. */
  async entries(owner: string, positions: readonly number[]): Promise<readonly (LogEntry | undefined)[]> {
    const keys = positions.map((position) => positionKey('log', owner, position));
    const values = await this.#access.store.getMany(keys);
    return keys.map((key, index) => archivedEntry(key, values[index]));
  }

  /** The first and the last message; undefined for an archive that has none. */
  async bounds(owner: string): Promise<{ readonly first: LogEntry; readonly last: LogEntry } | undefined> {
    const { entries: earliest } = await this.page(owner, { limit: 1, maxBytes: 0 });
    const { entries: latest } = await this.page(owner, { limit: 1, maxBytes: 0, reverse: true });
    const [first] = earliest;
    const [last] = latest;
    return first === undefined || last === undefined ? undefined : { first, last };
  }

  #read(owner: string, options: ArchivePageOptions): AsyncGenerator<LogEntry[]> {
    if (options.only !== undefined) return this.#only(owner, options, options.only);
    return options.contact === undefined ? this.#all(owner, options) : this.#of(owner, options);
  }

  async *#only(
    owner: string,
    { contact, after = -1, before = Infinity, reverse }: ArchivePageOptions,
    only: ReadonlySet<number>,
  ): AsyncGenerator<LogEntry[]> {
    const wanted = [...only]
      .filter((position) => position > after && position < before)
      .sort((one, other) => one - other);
    if (reverse === true) wanted.reverse();
    for (let start = 0; start < wanted.length; start += READ_ENTRIES) {
      const positions = wanted.slice(start, start + READ_ENTRIES);
      const rows = contact === undefined ? [] : await this.#rowsOf(owner, contact, positions);
      const entries = await this.entries(owner, positions);
      yield entries.flatMap((entry, index) => (contact === undefined || rows[index] === true ? (entry ?? []) : []));
    }
  }

  /** Which of these messages are to or from the contact. */
  async #rowsOf(owner: string, { bare, resource }: ArchiveContact, positions: readonly number[]): Promise<boolean[]> {
    const keys = positions.map((position) => contactKey(owner, bare, position));
    const wanted = Buffer.from(resource, 'utf8');
    const values = await this.#access.store.getMany(keys);
    return values.map((value) => value !== undefined && (resource === '' || wanted.equals(value)));
  }

  async *#all(owner: string, { after, before, reverse, limit }: ArchivePageOptions): AsyncGenerator<LogEntry[]> {
    const range = { ...positionRange('log', owner, after, before), reverse: reverse === true };
    for await (const page of pagesOf(this.#access.store, range, Math.min(limit + 1, READ_ENTRIES))) {
      yield page.flatMap(([key, value]) => archivedEntry(key, value) ?? []);
    }
  }

  async *#of(owner: string, options: ArchivePageOptions): AsyncGenerator<LogEntry[]> {
    const { contact, after, before, reverse, limit } = options;
    if (contact === undefined) return;
    const range = { ...contactRange(owner, contact.bare, after, before), reverse: reverse === true };
    const resource = contact.resource === '' ? undefined : Buffer.from(contact.resource, 'utf8');
    const size = resource === undefined ? Math.min(limit + 1, READ_ENTRIES) : SEARCHED_ROWS;
    for await (const rows of pagesOf(this.#access.store, range, size)) {
      const wanted = rows.filter(([, value]) => resource === undefined || resource.equals(value));
      const positions = wanted.map(([key]) => positionOfContactKey(key));
      for (let start = 0; start < positions.length; start += READ_ENTRIES) {
        const entries = await this.entries(owner, positions.slice(start, start + READ_ENTRIES));
        yield entries.filter((entry) => entry !== undefined);
      }
    }
  }
}

function archivedEntry(key: Key, value: Uint8Array | undefined): LogEntry | undefined {
  return value !== undefined && flagsOf(key, value).archived ? decodeEntry(key, value) : undefined;
}
