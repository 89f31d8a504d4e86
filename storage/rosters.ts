import type { StorageAccess } from './access.ts';
import { ownerRange, partsOf, restAsText, textKey } from './keys.ts';
import { pagesOf } from './ordered-store.ts';
import type { Key, Write } from './ordered-store.ts';
import { RecordReader, RecordWriter } from './record.ts';

/** One contact, with everything RFC 6121 remembers about the subscriptions between it and the owner. */
export interface RosterItem {
  /** The contact's bare JID. */
  readonly jid: string;
  /** The handle the owner gave it; '' for none. */
  readonly name: string;
  readonly groups: readonly string[];
  /** RFC 6121 2.1.2.5. */
  readonly subscription: 'none' | 'to' | 'from' | 'both';
  /** The owner's request waits for the contact's answer (RFC 6121 2.1.2.2, "pending out"). */
  readonly ask: boolean;
  /** The owner approves the contact's request before it comes (RFC 6121 2.1.2.1). */
  readonly approved: boolean;
  /** The contact's request waits for the owner's answer ("pending in"): the subscribe stanza, a byte string. */
  readonly request: string | undefined;
  /** Whether it is in the roster, or only remembers the request of somebody the owner has not added (RFC 6121 3.1.3). */
  readonly isListed: boolean;
}

export interface StoredRoster {
  /** Grows with every change (RFC 6121 2.6); 0 before the first. */
  readonly version: number;
  /** By JID, in the order of its bytes. */
  readonly items: readonly RosterItem[];
}

const FORMAT = 1;
const SUBSCRIPTIONS = ['none', 'to', 'from', 'both'] as const;
const ASK = 1;
const APPROVED = 2;
const REQUEST = 4;
const UNLISTED = 8;
const PAGE_ENTRIES = 500;

/** The rosters by their owner's bare JID. Everything rejects with StoreError where the store fails. */
export class Rosters {
  readonly #access: StorageAccess;

  constructor(access: StorageAccess) {
    this.#access = access;
  }

  async load(owner: string): Promise<StoredRoster> {
    let version = 0;
    const items: RosterItem[] = [];
    for await (const page of pagesOf(this.#access.store, ownerRange('rosters', owner), PAGE_ENTRIES)) {
      for (const [key, value] of page) {
        if (partsOf(key).rest.length === 0) version = decodeVersion(key, value);
        else items.push(decodeItem(key, value));
      }
    }
    return { version, items };
  }

  /** Commits the version with the items it stands for, in one batch; `removed` are JIDs. */
  save(owner: string, version: number, changed: readonly RosterItem[], removed: readonly string[]): Promise<void> {
    const writes: Write[] = [
      { type: 'put', key: textKey('rosters', owner), value: new RecordWriter(FORMAT).number(version).end() },
    ];
    for (const jid of removed) writes.push({ type: 'delete', key: itemKey(owner, jid) });
    for (const item of changed) writes.push({ type: 'put', key: itemKey(owner, item.jid), value: encodeItem(item) });
    return this.#access.commit.write(writes);
  }
}

function itemKey(owner: string, jid: string): Key {
  if (jid === '') throw new RangeError('a roster item has a JID');
  return textKey('rosters', owner, jid);
}

/** Throws StoreError `corrupt`. */
export function decodeVersion(key: Key, value: Uint8Array): number {
  const reader = new RecordReader(key, value, FORMAT);
  const version = reader.number();
  reader.end();
  return version;
}

function encodeItem(item: RosterItem): Uint8Array {
  const flags =
    (item.ask ? ASK : 0) |
    (item.approved ? APPROVED : 0) |
    (item.request === undefined ? 0 : REQUEST) |
    (item.isListed ? 0 : UNLISTED);
  const writer = new RecordWriter(FORMAT)
    .byte(SUBSCRIPTIONS.indexOf(item.subscription))
    .byte(flags)
    .text(item.name)
    .number(item.groups.length);
  for (const group of item.groups) writer.text(group);
  if (item.request !== undefined) writer.byteString(item.request);
  return writer.end();
}

/** Throws StoreError `corrupt`. */
export function decodeItem(key: Key, value: Uint8Array): RosterItem {
  const reader = new RecordReader(key, value, FORMAT);
  const subscription = SUBSCRIPTIONS[reader.byte()];
  if (subscription === undefined) throw reader.corrupt('unknown subscription');
  const flags = reader.byte();
  if (flags > (ASK | APPROVED | REQUEST | UNLISTED)) throw reader.corrupt(`unknown flags ${flags}`);
  const name = reader.text();
  const groups: string[] = [];
  for (let left = reader.number(); left > 0; left--) groups.push(reader.text());
  const request = (flags & REQUEST) === 0 ? undefined : reader.byteString();
  reader.end();
  const ask = (flags & ASK) !== 0;
  const approved = (flags & APPROVED) !== 0;
  const isListed = (flags & UNLISTED) === 0;
  return { jid: restAsText(key), name, groups, subscription, ask, approved, request, isListed };
}
