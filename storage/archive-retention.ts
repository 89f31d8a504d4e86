import type { StorageAccess } from './access.ts';
import { decodeRemoval, encodeRemoval } from './archive-record.ts';
import type { ArchiveLimits, ArchiveRecord, Removal, RemovalReason } from './archive-record.ts';
import { archiveWrite, type ArchiveSurvey } from './archive-survey.ts';
import { contactKey, ownerRange, positionKey, positionRange, restAsPosition } from './keys.ts';
import { contactOf, decodeEntry, encodeEntry, flagsOf } from './log-entry.ts';
import type { LogEntry } from './log-entry.ts';
import type { Cursors, MessageLog } from './message-log.ts';
import { decodeOmission } from './omissions.ts';
import { pagesOf } from './ordered-store.ts';
import type { Entry, Key, Write } from './ordered-store.ts';

export type { ArchiveLimits, ArchiveUsage, Removal, RemovalReason } from './archive-record.ts';

/** What of an archive goes: the oldest first, so that no gap is left (XEP-0313 3.2). */
export interface TrimRule {
  readonly reason: RemovalReason;
  /** Messages before this position go, microseconds since the epoch. */
  readonly before: number;
  /** As long as more bytes than this are left, the oldest message goes. */
  readonly maxBytes: number;
}

interface Piece {
  readonly writes: Write[];
  from: number;
  upTo: number;
  count: number;
  bytes: number;
  /** The first message that stays in the log because it waits; undefined for none. */
  waitingFrom: number | undefined;
  /** Whether more must go. */
  hasMore: boolean;
}

const PIECE_ENTRIES = 200;

/**
 * How much the archives hold, and what is taken from them: piece by piece, so that nobody waits, with a record of each range
 * and its reason, which an audit accepts as a gap. Nothing of it costs anything when a message is recorded: usage is
 * brought up to date when it is asked for. What waits for its owner stays until it is delivered.
 */
export class ArchiveRetention {
  readonly #access: StorageAccess;
  readonly #log: MessageLog;
  readonly #survey: ArchiveSurvey;
  /** Owners whose archives are being counted because a count was asked for. */
  readonly #counting = new Set<string>();

  constructor(access: StorageAccess, log: MessageLog, survey: ArchiveSurvey) {
    this.#access = access;
    this.#log = log;
    this.#survey = survey;
  }

  /** What the archive holds now, and its own limits. */
  usage(owner: string): Promise<ArchiveRecord> {
    return this.#survey.change(owner, () => this.#survey.upToDate(owner));
  }

  /**
   * How many messages the archive holds, where that is known without much reading; otherwise undefined, and the archive is
   * counted piece by piece, so that it is known later.
   */
  async knownCount(owner: string): Promise<number | undefined> {
    const { count, countedUpTo } = await this.#survey.load(owner);
    const uncounted = positionRange('log', owner, countedUpTo, undefined);
    const page = await this.#access.store.page(uncounted, PIECE_ENTRIES);
    if (page.length < PIECE_ENTRIES) return count + page.filter(([key, value]) => flagsOf(key, value).archived).length;
    if (!this.#counting.has(owner)) {
      this.#counting.add(owner);
      const counted = (): boolean => this.#counting.delete(owner);
      this.usage(owner).then(counted, counted); // where it fails, the next request tries again
    }
    return undefined;
  }

  /** The archive's own limits, without counting what it holds. */
  async limits(owner: string): Promise<ArchiveLimits> {
    return (await this.#survey.load(owner)).limits;
  }

  setLimits(owner: string, limits: ArchiveLimits): Promise<void> {
    return this.#survey.change(owner, async () => {
      await this.#access.commit.write([archiveWrite(owner, { ...(await this.#survey.load(owner)), limits })]);
    });
  }

  /** The ranges that were removed, in order. */
  async removals(owner: string): Promise<readonly Removal[]> {
    const removals: Removal[] = [];
    for await (const page of pagesOf(this.#access.store, ownerRange('removals', owner), PIECE_ENTRIES)) {
      for (const [key, value] of page) removals.push(decodeRemoval(key, value));
    }
    return removals;
  }

  /**
   * Removes what the rule says, piece by piece; resolves to the range, undefined where nothing had to go.
   *
   * @param at now, milliseconds since the epoch
   */
  trim(owner: string, rule: TrimRule, at: number): Promise<Removal | undefined> {
    return this.#survey.change(owner, async () => {
      let record = await this.#survey.upToDate(owner);
      const cursors = await this.#log.cursors(owner);
      const earlier = await this.#lastRemoval(owner);
      let removed: Removal | undefined;
      let last = earlier?.reason === rule.reason && rule.reason !== 'erasure' ? earlier : undefined;
      for (let after = earlier?.upTo; ;) {
        const page = await this.#access.store.page(positionRange('log', owner, after, undefined), PIECE_ENTRIES);
        const piece = pieceOf(owner, page, rule, record.bytes, cursors);
        if (piece.writes.length > 0) {
          const { count, bytes, from, upTo } = piece;
          record = {
            ...record,
            count: Math.max(0, record.count - count),
            bytes: Math.max(0, record.bytes - bytes),
            waitingFrom: earliest(record.waitingFrom, piece.waitingFrom),
          };
          removed = joined(removed, { from, upTo, count, bytes, at, reason: rule.reason });
          const whole = joined(last, { from, upTo, count, bytes, at, reason: rule.reason });
          if (last !== undefined) piece.writes.push({ type: 'delete', key: removalKey(owner, last.upTo) });
          piece.writes.push({ type: 'put', key: removalKey(owner, whole.upTo), value: encodeRemoval(whole) });
          piece.writes.push(archiveWrite(owner, record));
          await this.#access.commit.write(piece.writes);
          last = whole;
        }
        const end = page.at(-1);
        if (!piece.hasMore || end === undefined) {
          if (removed !== undefined) await this.#forgetOmissions(owner, removed.upTo, record.waitingFrom);
          return removed;
        }
        after = restAsPosition(end[0]);
      }
    });
  }

  /** Replaces an archived message by what `change` makes of its entry; undefined leaves it. No other change comes between. */
  replace(owner: string, position: number, change: (entry: LogEntry) => string | undefined): Promise<void> {
    return this.#survey.change(owner, async () => {
      const record = await this.#survey.load(owner);
      const key = positionKey('log', owner, position);
      const [value] = await this.#access.store.getMany([key]);
      if (value === undefined || !flagsOf(key, value).archived) return;
      const entry = decodeEntry(key, value);
      const stanza = change(entry);
      if (stanza === undefined) return;
      const writes: Write[] = [
        { type: 'put', key, value: encodeEntry({ ...entry, stanza }, contactOf(key, value).resource) },
      ];
      if (position <= record.countedUpTo) {
        const bytes = Math.max(0, record.bytes + stanza.length - entry.stanza.length);
        writes.push(archiveWrite(owner, { ...record, bytes }));
      }
      await this.#access.commit.write(writes);
    });
  }

  /**
   * What lies before a removed message needs no record of its own any more: the removal explains it. Those that ended with a
   * message which stays because it waits are kept.
   */
  async #forgetOmissions(owner: string, upTo: number, waitingFrom = Infinity): Promise<void> {
    for await (const page of pagesOf(this.#access.store, ownerRange('omissions', owner), PIECE_ENTRIES)) {
      const explained = page.filter(([key, value]) => {
        const { endedAt } = decodeOmission(key, value);
        return endedAt <= upTo && endedAt < waitingFrom;
      });
      if (explained.length > 0) await this.#access.commit.write(explained.map(([key]) => ({ type: 'delete', key })));
    }
  }

  async #lastRemoval(owner: string): Promise<Removal | undefined> {
    const [last] = await this.#access.store.page({ ...ownerRange('removals', owner), reverse: true }, 1);
    return last === undefined ? undefined : decodeRemoval(...last);
  }
}

/** The writes that take from one page of the log what the rule says. */
function pieceOf(owner: string, page: readonly Entry[], rule: TrimRule, bytesLeft: number, cursors: Cursors): Piece {
  const piece: Piece = {
    writes: [],
    from: Infinity,
    upTo: 0,
    count: 0,
    bytes: 0,
    waitingFrom: undefined,
    hasMore: page.length === PIECE_ENTRIES,
  };
  for (const [key, value] of page) {
    const { archived } = flagsOf(key, value);
    if (!archived) continue;
    const entry = decodeEntry(key, value);
    const { position } = entry;
    if (position >= rule.before && bytesLeft - piece.bytes <= rule.maxBytes) {
      piece.hasMore = false;
      return piece;
    }
    const isWaiting = entry.flags.pending && position > Math.max(cursors.cursor, cursors.archivedCursor);
    if (isWaiting) piece.waitingFrom ??= position;
    piece.writes.push(...removalWrites(owner, key, value, entry, isWaiting));
    piece.from = Math.min(piece.from, position);
    piece.upTo = position;
    piece.count++;
    piece.bytes += entry.stanza.length;
  }
  return piece;
}

function removalWrites(owner: string, key: Key, value: Uint8Array, entry: LogEntry, isWaiting: boolean): Write[] {
  const { bare, resource } = contactOf(key, value);
  const { flags, position } = entry;
  return [
    { type: 'delete', key: contactKey(owner, bare, position) },
    isWaiting
      ? { type: 'put', key, value: encodeEntry({ ...entry, flags: { ...flags, archived: false } }, resource) }
      : { type: 'delete', key },
  ];
}

function earliest(one: number | undefined, other: number | undefined): number | undefined {
  return one === undefined || other === undefined ? (one ?? other) : Math.min(one, other);
}

function joined(earlier: Removal | undefined, later: Removal): Removal {
  if (earlier === undefined) return later;
  const { from, count, bytes } = earlier;
  return { ...later, from, count: count + later.count, bytes: bytes + later.bytes };
}

function removalKey(owner: string, upTo: number): Key {
  return positionKey('removals', owner, upTo);
}
