import { decodeArchive, encodeArchive } from '../archive-record.ts';
import {
  contactKey,
  ownerRange,
  positionKey,
  positionOfContactKey,
  positionRange,
  restAsPosition,
  textKey,
} from '../keys.ts';
import { contactOf, flagsOf, stanzaLengthOf } from '../log-entry.ts';
import type { Entry, Key, StoreReader } from '../ordered-store.ts';
import { pagesOf } from '../ordered-store.ts';
import { cursorsWrite, type Cursors } from '../message-log.ts';
import { Checksum } from './checksum.ts';
import type { Findings } from './finding.ts';

const PAGE_ENTRIES = 200;

/** What the first pass has seen of one account. */
export class OwnerSummary {
  lastPosition = 0;
  /** Up to here the archive was counted and indexed, as the archive's own record says. */
  readonly surveyedUpTo: number;
  /** Of what is archived up to there. */
  archivedCount = 0;
  archivedBytes = 0;
  readonly archived = new Checksum();
  rowCount = 0;
  readonly rows = new Checksum();
  usage: ReturnType<typeof decodeArchive> | undefined;
  cursors: Cursors = { cursor: 0, archivedCursor: 0 };

  constructor(surveyedUpTo: number) {
    this.surveyedUpTo = surveyedUpTo;
  }

  get hasSoundIndex(): boolean {
    return this.archivedCount === this.rowCount && this.archived.equals(this.rows);
  }

  get hasSoundUsage(): boolean {
    const { usage } = this;
    return usage === undefined || (usage.count === this.archivedCount && usage.bytes === this.archivedBytes);
  }
}

/** Names each row without its message, and each message without its row. */
export async function checkIndex(store: StoreReader, owner: string, findings: Findings): Promise<void> {
  const surveyedUpTo = await surveyedOf(store, owner);
  for await (const page of pagesOf(store, positionRange('log', owner, undefined, surveyedUpTo + 1), PAGE_ENTRIES)) {
    await checkRows(store, owner, page, findings);
  }
  for await (const page of pagesOf(store, ownerRange('contacts', owner), PAGE_ENTRIES)) {
    const keys = page.map(([key]) => positionKey('log', owner, positionOfContactKey(key)));
    const values = await store.getMany(keys);
    for (const [index, [row]] of page.entries()) {
      if (belongs(row, owner, keys[index], values[index])) continue;
      const position = positionOfContactKey(row);
      const found = 'a row of the index by contact without its message';
      const expected = 'an archived message of that contact at the position';
      findings.add({ fault: 'index', owner, position, found, expected }, [{ type: 'delete', key: row }]);
    }
  }
}

/** Up to where an archive is counted and indexed; 0 where nobody asked yet. Rejects with StoreError. */
export async function surveyedOf(store: StoreReader, owner: string): Promise<number> {
  const key = textKey('archives', owner);
  const [value] = await store.getMany([key]);
  return value === undefined ? 0 : decodeArchive(key, value).countedUpTo;
}

async function checkRows(store: StoreReader, owner: string, page: readonly Entry[], findings: Findings): Promise<void> {
  const archived = page.filter(([key, value]) => flagsOf(key, value).archived);
  const wanted = archived.map(([key, value]) => {
    const { bare, resource } = contactOf(key, value);
    const position = restAsPosition(key);
    return { row: contactKey(owner, bare, position), value: Buffer.from(resource, 'utf8'), peer: bare, position };
  });
  const rows = await store.getMany(wanted.map(({ row }) => row));
  for (const [index, { row, value, peer, position }] of wanted.entries()) {
    const there = rows[index];
    if (there !== undefined && Buffer.compare(there, value) === 0) continue;
    const found =
      there === undefined
        ? 'an archived message without a row in the index by contact'
        : 'a row of the index by contact with another resource than its message';
    const expected = 'a row that says what the message says';
    findings.add({ fault: 'index', owner, peer, position, found, expected }, [{ type: 'put', key: row, value }]);
  }
}

function belongs(row: Key, owner: string, key: Key | undefined, value: Uint8Array | undefined): boolean {
  if (key === undefined || value === undefined || !flagsOf(key, value).archived) return false;
  return Buffer.compare(row, contactKey(owner, contactOf(key, value).bare, restAsPosition(key))) === 0;
}

/**
 * What a store can prove of delivery. That a message was delivered is said by the cursors and by nothing else: one flag less,
 * and one write. So a message can never be both pending and delivered; but a cursor that has passed messages which are yet to
 * come would swallow them. Positions are times, and what was delivered may be gone from the log, so a cursor may lie behind
 * the last entry, and not behind now. Put back to the last entry it says the same of everything that is there.
 *
 * @param latest no message can have a position behind this
 */
export function checkCursors(
  owner: string,
  { cursors, lastPosition }: OwnerSummary,
  latest: number,
  findings: Findings,
): void {
  const { cursor, archivedCursor } = cursors;
  const limit = Math.max(lastPosition, latest);
  if (cursor <= limit && archivedCursor <= limit) return;
  const position = Math.max(cursor, archivedCursor);
  const found = `the cursor${archivedCursor > cursor ? ' of the archive' : ''} is at ${position}`;
  const expected = `no later than the last position, ${lastPosition}, or now`;
  const mended = {
    cursor: cursor > limit ? lastPosition : cursor,
    archivedCursor: archivedCursor > limit ? lastPosition : archivedCursor,
  };
  findings.add({ fault: 'cursor', owner, position, found, expected }, [cursorsWrite(owner, mended)]);
}

/** Counts an archive up to where it says it was counted. */
export async function checkUsage(store: StoreReader, owner: string, findings: Findings): Promise<void> {
  const key = textKey('archives', owner);
  const [value] = await store.getMany([key]);
  if (value === undefined) return;
  const record = decodeArchive(key, value);
  let count = 0;
  let bytes = 0;
  const counted = positionRange('log', owner, undefined, record.countedUpTo + 1);
  for await (const page of pagesOf(store, counted, PAGE_ENTRIES)) {
    for (const [entryKey, entry] of page) {
      if (!flagsOf(entryKey, entry).archived) continue;
      count++;
      bytes += stanzaLengthOf(entryKey, entry);
    }
  }
  if (count === record.count && bytes === record.bytes) return;
  const found = `a record of ${record.count} messages, ${record.bytes} bytes up to position ${record.countedUpTo}`;
  findings.add(
    { fault: 'usage', owner, position: record.countedUpTo, found, expected: `${count} messages, ${bytes} bytes` },
    [{ type: 'put', key, value: encodeArchive({ ...record, count, bytes }) }],
  );
}
