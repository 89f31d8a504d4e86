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
import type { Entry, Key, OrderedStore } from '../ordered-store.ts';
import { pagesOf } from '../ordered-store.ts';
import { Checksum } from './checksum.ts';
import type { Findings } from './finding.ts';

const PAGE_ENTRIES = 200;
const ATTEMPTS = 3;

/** What the first pass has seen of one account. */
export class OwnerSummary {
  lastPosition = 0;
  /** Up to here the archive was counted and indexed, as it was said when the log was begun; a second look is taken where it was not. */
  readonly surveyedUpTo: number;
  /** Of what is archived up to there. */
  archivedCount = 0;
  archivedBytes = 0;
  readonly archived = new Checksum();
  rowCount = 0;
  readonly rows = new Checksum();
  usage: ReturnType<typeof decodeArchive> | undefined;
  cursor = 0;

  constructor(surveyedUpTo: number) {
    this.surveyedUpTo = surveyedUpTo;
  }

  get hasSoundIndex(): boolean {
    return (
      (this.usage?.countedUpTo ?? 0) === this.surveyedUpTo &&
      this.archivedCount === this.rowCount &&
      this.archived.equals(this.rows)
    );
  }

  /** False where it takes another look: not everything may have been counted. */
  get hasSoundUsage(): boolean {
    const { usage } = this;
    if (usage === undefined) return true;
    if (usage.countedUpTo !== this.surveyedUpTo) return false;
    return usage.count === this.archivedCount && usage.bytes === this.archivedBytes;
  }
}

/** Names each row without its message, and each message without its row. */
export async function checkIndex(store: OrderedStore, owner: string, findings: Findings): Promise<void> {
  const surveyedUpTo = await surveyedOf(store, owner);
  for await (const page of pagesOf(store, positionRange('log', owner, undefined, surveyedUpTo + 1), PAGE_ENTRIES)) {
    await checkRows(store, owner, page, findings);
  }
  for await (const page of pagesOf(store, ownerRange('contacts', owner), PAGE_ENTRIES)) {
    const keys = page.map(([key]) => positionKey('log', owner, positionOfContactKey(key)));
    const values = await store.getMany(keys);
    for (const [index, [row]] of page.entries()) {
      if (belongs(row, owner, keys[index], values[index])) continue;
      const [still] = await store.getMany([row]);
      if (still === undefined) continue;
      const position = positionOfContactKey(row);
      const found = 'a row of the index by contact without its message';
      const expected = 'an archived message of that contact at the position';
      findings.add({ fault: 'index', owner, position, found, expected }, [{ type: 'delete', key: row }]);
    }
  }
}

/** Up to where an archive is counted and indexed; 0 where nobody asked yet. Rejects with StoreError. */
export async function surveyedOf(store: OrderedStore, owner: string): Promise<number> {
  const key = textKey('archives', owner);
  const [value] = await store.getMany([key]);
  return value === undefined ? 0 : decodeArchive(key, value).countedUpTo;
}

async function checkRows(
  store: OrderedStore,
  owner: string,
  page: readonly Entry[],
  findings: Findings,
): Promise<void> {
  const archived = page.filter(([key, value]) => flagsOf(key, value).archived);
  const wanted = archived.map(([key, value]) => {
    const { bare, resource } = contactOf(key, value);
    const position = restAsPosition(key);
    return { key, row: contactKey(owner, bare, position), value: Buffer.from(resource, 'utf8'), peer: bare, position };
  });
  const rows = await store.getMany(wanted.map(({ row }) => row));
  for (const [index, { key, row, value, peer, position }] of wanted.entries()) {
    const there = rows[index];
    if (there !== undefined && Buffer.compare(there, value) === 0) continue;
    // Retention may have taken both meanwhile.
    const [still] = await store.getMany([key]);
    if (still === undefined || !flagsOf(key, still).archived) continue;
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

/** Counts an archive up to where it says it was counted. */
export async function checkUsage(store: OrderedStore, owner: string, findings: Findings): Promise<void> {
  const key = textKey('archives', owner);
  for (let attempt = 1; ; attempt++) {
    const [before] = await store.getMany([key]);
    if (before === undefined) return;
    const record = decodeArchive(key, before);
    let count = 0;
    let bytes = 0;
    const counted = positionRange('log', owner, undefined, record.countedUpTo + 1);
    for await (const page of pagesOf(store, counted, PAGE_ENTRIES)) {
      for (const [entryKey, value] of page) {
        if (!flagsOf(entryKey, value).archived) continue;
        count++;
        bytes += stanzaLengthOf(entryKey, value);
      }
    }
    if (count === record.count && bytes === record.bytes) return;
    const [after] = await store.getMany([key]);
    const isSteady = after !== undefined && Buffer.compare(before, after) === 0;
    if (!isSteady && attempt < ATTEMPTS) continue;
    if (!isSteady) return; // it changes all the time: nothing can be said
    const found = `a record of ${record.count} messages, ${record.bytes} bytes up to position ${record.countedUpTo}`;
    findings.add(
      { fault: 'usage', owner, position: record.countedUpTo, found, expected: `${count} messages, ${bytes} bytes` },
      [{ type: 'put', key, value: encodeArchive({ ...record, count, bytes }) }],
    );
    return;
  }
}
