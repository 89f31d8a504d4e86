import { StanzaError } from '../../../stanzas/stanza-error.ts';
import type { ArchivePage, MessageArchive } from '../../../storage/message-archive.ts';
import type { ArchiveIds } from '../../routing/archive-ids.ts';
import type { ArchiveQuery } from './query.ts';

export interface ArchiveReaderOptions {
  readonly archive: MessageArchive;
  readonly ids: ArchiveIds;
  /** Messages of a page that does not say how many. */
  readonly pageMessages: number;
  readonly maxPageMessages: number;
}

/** Bytes of messages after which a page ends early: the client asks for the rest. */
const MAX_PAGE_BYTES = 1024 * 1024;

/** Finds what a query asks for. */
export class ArchiveReader {
  readonly #options: ArchiveReaderOptions;

  constructor(options: ArchiveReaderOptions) {
    this.#options = options;
  }

  /** The page, in chronological order whichever way it was found. Throws StanzaError `item-not-found` for unknown ids. */
  async page(owner: string, query: ArchiveQuery): Promise<ArchivePage> {
    const { set, contact, start, end, beforeId, afterId, ids } = query;
    const { pageMessages, maxPageMessages } = this.#options;
    const [after, before, named] = await Promise.all([
      this.#positionsOf(owner, [afterId, set.after]),
      // 4.4.3: an empty one asks for the last page
      this.#positionsOf(owner, [beforeId, set.before === '' ? undefined : set.before]),
      ids === undefined ? undefined : this.#positionsOf(owner, ids),
    ]);
    const options = {
      after: greatest(start === undefined || start <= 0 ? after : [...after, inRange(start - 1)]),
      before: least(end === undefined ? before : [...before, inRange(end + 1)]),
      reverse: set.before !== undefined,
      contact,
      limit: Math.min(set.max ?? pageMessages, maxPageMessages),
      maxBytes: MAX_PAGE_BYTES,
      only: named === undefined ? undefined : new Set(named),
    };
    const page = await this.#options.archive.page(owner, options);
    return options.reverse ? { ...page, entries: page.entries.toReversed() } : page;
  }

  /** 4.1.3, 4.4.2: an id that is not in the archive is an error. */
  async #positionsOf(owner: string, ids: readonly (string | undefined)[]): Promise<number[]> {
    const asked = ids.filter((id) => id !== undefined);
    if (asked.length === 0) return [];
    if (asked.length > MAX_IDS) throw new StanzaError('policy-violation', `At most ${MAX_IDS} ids at a time`);
    const positions = asked.map((id) => this.#options.ids.positionOf(owner, id));
    const known = positions.filter((position) => position !== undefined);
    const entries = known.length < positions.length ? [undefined] : await this.#options.archive.entries(owner, known);
    if (entries.includes(undefined)) throw new StanzaError('item-not-found', 'There is no message of that id');
    return known;
  }
}

const MAX_IDS = 500;

/** A time as a position: the clients' years 1 and 9999 are none. */
function inRange(position: number): number {
  return Math.min(Math.max(position, 0), Number.MAX_SAFE_INTEGER - 1);
}

function greatest(positions: readonly number[]): number | undefined {
  return positions.length === 0 ? undefined : Math.max(...positions);
}

function least(positions: readonly number[]): number | undefined {
  return positions.length === 0 ? undefined : Math.min(...positions);
}
