import { restAsPosition } from './keys.ts';
import type { Key } from './ordered-store.ts';
import { RecordReader, RecordWriter } from './record.ts';

/** What an account may keep, where it differs from its domain; undefined fields are the domain's. */
export interface ArchiveLimits {
  /** Milliseconds; 0 for no limit. */
  readonly maxAgeMs: number | undefined;
  /** Bytes of stanzas; 0 for no limit. */
  readonly maxBytes: number | undefined;
}

/** How much an archive holds. */
export interface ArchiveUsage {
  readonly count: number;
  /** Bytes of the stanzas. */
  readonly bytes: number;
}

/** Usage as it is stored: true of the entries up to `countedUpTo`; what came later is counted when somebody asks. */
export interface ArchiveRecord extends ArchiveUsage {
  readonly countedUpTo: number;
  /** The first entry up to there that may be in the log only because it waits, not being archived; undefined for none. */
  readonly waitingFrom: number | undefined;
  readonly limits: ArchiveLimits;
}

/** Why messages are no longer in an archive. */
export type RemovalReason =
  | 'age' // older than the archive's limit
  | 'size' // the oldest of an archive greater than its limit
  | 'erasure' // somebody asked for it
  | 'account'; // it went with the account, which was removed

/** A range of an archive that was removed: what an audit accepts as a gap. */
export interface Removal {
  /** Positions, both included. */
  readonly from: number;
  readonly upTo: number;
  readonly reason: RemovalReason;
  readonly count: number;
  readonly bytes: number;
  /** When the last of it was removed, milliseconds since the epoch. */
  readonly at: number;
}

export const EMPTY_ARCHIVE: ArchiveRecord = {
  count: 0,
  bytes: 0,
  countedUpTo: 0,
  waitingFrom: undefined,
  limits: { maxAgeMs: undefined, maxBytes: undefined },
};

const FORMAT = 1;
const REASONS: readonly RemovalReason[] = ['age', 'size', 'erasure', 'account'];
const HAS_MAX_AGE = 1;
const HAS_MAX_BYTES = 2;
const HAS_WAITING = 4;

export function encodeArchive({ count, bytes, countedUpTo, waitingFrom, limits }: ArchiveRecord): Uint8Array {
  const { maxAgeMs, maxBytes } = limits;
  const hasLimits = (maxAgeMs === undefined ? 0 : HAS_MAX_AGE) | (maxBytes === undefined ? 0 : HAS_MAX_BYTES);
  const writer = new RecordWriter(FORMAT)
    .number(countedUpTo)
    .number(count)
    .number(bytes)
    .byte(hasLimits | (waitingFrom === undefined ? 0 : HAS_WAITING))
    .number(maxAgeMs ?? 0)
    .number(maxBytes ?? 0);
  return (waitingFrom === undefined ? writer : writer.number(waitingFrom)).end();
}

/** Throws StoreError `corrupt`. */
export function decodeArchive(key: Key, value: Uint8Array): ArchiveRecord {
  const reader = new RecordReader(key, value, FORMAT);
  const countedUpTo = reader.number();
  const count = reader.number();
  const bytes = reader.number();
  const flags = reader.byte();
  if (flags > (HAS_MAX_AGE | HAS_MAX_BYTES | HAS_WAITING)) throw reader.corrupt(`unknown flags ${flags}`);
  const maxAgeMs = reader.number();
  const maxBytes = reader.number();
  const waitingFrom = (flags & HAS_WAITING) === 0 ? undefined : reader.number();
  reader.end();
  return {
    countedUpTo,
    waitingFrom,
    count,
    bytes,
    limits: {
      maxAgeMs: (flags & HAS_MAX_AGE) === 0 ? undefined : maxAgeMs,
      maxBytes: (flags & HAS_MAX_BYTES) === 0 ? undefined : maxBytes,
    },
  };
}

export function encodeRemoval({ from, reason, count, bytes, at }: Removal): Uint8Array {
  return new RecordWriter(FORMAT)
    .byte(REASONS.indexOf(reason))
    .number(from)
    .number(count)
    .number(bytes)
    .number(at)
    .end();
}

/** Throws StoreError `corrupt`. */
export function decodeRemoval(key: Key, value: Uint8Array): Removal {
  const reader = new RecordReader(key, value, FORMAT);
  const reason = REASONS[reader.byte()];
  if (reason === undefined) throw reader.corrupt('unknown reason');
  const removal = { from: reader.number(), count: reader.number(), bytes: reader.number(), at: reader.number() };
  reader.end();
  return { ...removal, reason, upTo: restAsPosition(key) };
}
