/*
 * The key layout, all of it. Keys sort bytewise, and the order of the bytes is the order of the meaning:
 *
 *   shard   2 bytes, big endian: the shard of the owner, so that a shard's data lies together and can move as one range
 *   table   1 byte: TABLES below
 *   owner   UTF-8: the bare JID of the account or room it belongs to; empty for what belongs to the server
 *   0x00    ends the owner, so that no owner's keys lie among another's ("juliet@a" before "juliet@a.example")
 *   rest    by table:
 *
 *   layout      nothing                               -> version of this layout (migrations.ts)
 *   serverKeys  name of the secret, UTF-8             -> the secret (server-keys.ts)
 *   accounts    nothing                               -> account (accounts.ts)
 *   rosters     nothing, or the contact's JID, UTF-8  -> roster version, or one item (rosters.ts)
 *   log         position, 8 bytes, big endian         -> one entry of the account's log (message-log.ts)
 *   cursors     nothing                               -> position up to which pending entries are done (message-log.ts)
 *   documents   name, UTF-8                           -> the document (documents.ts)
 *   sequences   nothing, or the greater bare JID      -> the chat's last number; owner: room or smaller bare JID
 *   handled     id of a resumable session, UTF-8      -> how many of its stanzas are handled (resumptions.ts)
 *   sessions    id of a resumable session, UTF-8      -> the session, saved for a restart (resumptions.ts)
 *   tokens      name of the client, UTF-8             -> the tokens it was given (client-tokens.ts)
 *   contacts    bare JID, UTF-8, 0x00, position       -> resource of the contact in an archived message (archive-survey.ts)
 *   archives    nothing                               -> what the archive holds, up to where, and its limits (archive-record.ts)
 *   removals    last position removed, 8 bytes        -> what was removed from the archive, and why (archive-record.ts)
 *   sendKeys    position in the sender's log, 8 bytes -> by what those sent up to it are known again (send-keys.ts)
 *   unavailable nothing                               -> when the account was last seen to go (last-unavailable.ts)
 *   outbox      position, 8 bytes, big endian         -> a stanza for another server (outboxes.ts); owner: our domain,
 *                                                        a slash, the other's domain
 *   outboxMarks nothing                               -> up to which position it may have been sent; owner as above
 *   omissions   the chat's other side, UTF-8, 0x00,   -> up to which number, from this one on, the log never kept the chat's
 *               number, 8 bytes                          messages, and why (omissions.ts)
 *
 * No string may contain U+0000. Numbers are safe integers, never negative.
 */
import { StoreError } from './ordered-store.ts';
import type { Key, Range, Write } from './ordered-store.ts';
import { shortTextLength } from './short-text.ts';

/** The fixed number of shards: changing it moves every key, so it never changes. */
export const SHARDS = 256;

/** The tables and their bytes. A byte once given is never given again. */
export const TABLES = {
  layout: 0,
  serverKeys: 1,
  accounts: 2,
  rosters: 3,
  log: 4,
  cursors: 5,
  documents: 6,
  sequences: 7,
  handled: 8,
  sessions: 9,
  contacts: 10,
  archives: 11,
  removals: 12,
  sendKeys: 13,
  tokens: 14,
  unavailable: 15,
  outbox: 16,
  outboxMarks: 17,
  omissions: 18,
} as const;

export type Table = keyof typeof TABLES;

/** Tables whose keys name the other side behind the owner, and a number of 8 bytes at the end. */
type PeerTable = 'contacts' | 'omissions';

/**
 * What goes with an account when it is removed; whoever adds a table of accounts adds it here. `sequences` stay: a chat
 * is also its other side's, whose entries carry its numbers, and no number may be given twice.
 */
export const OWNER_TABLES: readonly Table[] = [
  'rosters',
  'log',
  'cursors',
  'documents',
  'handled',
  'sessions',
  'tokens',
  'contacts',
  'archives',
  'removals',
  'sendKeys',
  'unavailable',
  'omissions',
  'accounts',
];

const POSITION_TABLES: ReadonlySet<Table> = new Set(['log', 'removals', 'sendKeys', 'outbox'] as const);
const SHARD_AND_TABLE_LENGTH = 3;
const POSITION_LENGTH = 8;
const END_OF_OWNER = 0x00;
const MAX_LENT_LENGTH = 256;
/** By length. */
const lentKeys: Buffer[] = [];
const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * The shard (0 to 255) of a bare JID, room or other name: FNV-1a (32 bits) over its UTF-8 bytes, the four bytes of the
 * hash combined by exclusive or. Stable for ever: it is part of every key on disk.
 */
export function shardOf(name: string): number {
  let hash = FNV_OFFSET;
  for (let index = 0; index < name.length; index++) {
    const code = name.charCodeAt(index);
    if (code > 0x7f) return shardOfBytes(Buffer.from(name, 'utf8'));
    hash = Math.imul(hash ^ code, FNV_PRIME);
  }
  return fold(hash);
}

function shardOfBytes(bytes: Uint8Array): number {
  let hash = FNV_OFFSET;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, FNV_PRIME);
  return fold(hash);
}

function fold(hash: number): number {
  return (hash ^ (hash >>> 8) ^ (hash >>> 16) ^ (hash >>> 24)) & 0xff;
}

/** The key of `rest` (text) in an owner's part of a table. Throws RangeError for a string with U+0000. */
export function textKey(table: Table, owner: string, rest = ''): Key {
  refuseNul(rest);
  const restLength = Buffer.byteLength(rest, 'utf8');
  const key = ownerPrefix(table, owner, restLength);
  key.write(rest, key.length - restLength, 'utf8');
  return key;
}

/** The key of a position in an owner's part of a table. Throws RangeError for what is no safe positive integer or 0. */
export function positionKey(table: Table, owner: string, position: number): Key {
  const key = ownerPrefix(table, owner, POSITION_LENGTH);
  writePosition(key, position);
  return key;
}

/** The same in the place of the last one of its length that was lent: for who copies it at once. */
export function lentPositionKey(table: Table, owner: string, position: number): Key {
  const length = SHARD_AND_TABLE_LENGTH + owner.length + 1 + POSITION_LENGTH;
  if (length > MAX_LENT_LENGTH) return positionKey(table, owner, position);
  const key = ownerPrefix(table, owner, POSITION_LENGTH, (lentKeys[length] ??= Buffer.alloc(length)));
  writePosition(key, position);
  return key;
}

/** The length of `positionKey`. Throws RangeError as that does. */
export function positionKeyLength(owner: string, position: number): number {
  refusePosition(position);
  refuseNul(owner);
  return SHARD_AND_TABLE_LENGTH + shortTextLength(owner) + 1 + POSITION_LENGTH;
}

function refusePosition(position: number): void {
  if (!Number.isSafeInteger(position) || position < 0) throw new RangeError(`${position} is no position`);
}

/** At the end of the key. */
function writePosition(key: Buffer, position: number): void {
  refusePosition(position);
  const start = key.length - POSITION_LENGTH;
  key.writeUInt32BE(Math.floor(position / 0x1_0000_0000), start);
  key.writeUInt32BE(position >>> 0, start + 4);
}

/** The key of one message of a contact in an owner's archive. Throws RangeError as textKey and positionKey do. */
export function contactKey(owner: string, contact: string, position: number): Key {
  return peerKey('contacts', owner, contact, position);
}

/** The key of what an owner's log does not keep of a chat from this number on. Throws RangeError as contactKey does. */
export function omissionKey(owner: string, peer: string, number: number): Key {
  return peerKey('omissions', owner, peer, number);
}

function peerKey(table: PeerTable, owner: string, peer: string, number: number): Key {
  const key = peerPrefix(table, owner, peer, POSITION_LENGTH);
  writePosition(key, number);
  return key;
}

/** The messages of a contact between `after` and `before`, neither included; undefined where there is no bound. */
export function contactRange(
  owner: string,
  contact: string,
  after: number | undefined,
  before: number | undefined,
): Range {
  const { from, to } = peerRange('contacts', owner, contact);
  return {
    from: after === undefined ? from : contactKey(owner, contact, after + 1),
    to: before === undefined ? to : contactKey(owner, contact, before),
  };
}

/** All that an owner's log does not keep of a chat, what is still going on excepted. */
export function omissionRange(owner: string, peer: string): Range {
  return peerRange('omissions', owner, peer);
}

function peerRange(table: PeerTable, owner: string, peer: string): Range {
  const from = peerPrefix(table, owner, peer, 0);
  const to = Buffer.from(from);
  to[to.length - 1] = END_OF_OWNER + 1;
  return { from, to };
}

/** The position at the end of a contact's key. Throws StoreError `corrupt`. */
export function positionOfContactKey(key: Key): number {
  return numberOfPeerKey('contacts', key);
}

/** The number at the end of an omission's key. Throws StoreError `corrupt`. */
export function numberOfOmissionKey(key: Key): number {
  return numberOfPeerKey('omissions', key);
}

function numberOfPeerKey(expected: PeerTable, key: Key): number {
  const { table, rest } = partsOf(key);
  const at = rest.length - POSITION_LENGTH;
  if (table !== expected || at < 1 || rest[at - 1] !== END_OF_OWNER) throw corruptKey(key);
  return readPosition(key, rest.subarray(at));
}

function peerPrefix(table: PeerTable, owner: string, peer: string, restLength: number): Buffer {
  refuseNul(peer);
  const peerLength = Buffer.byteLength(peer, 'utf8');
  const key = ownerPrefix(table, owner, peerLength + 1 + restLength);
  const start = key.length - restLength - 1 - peerLength;
  key.write(peer, start, 'utf8');
  key[start + peerLength] = END_OF_OWNER;
  return key;
}

/** Everything an owner has in a table. */
export function ownerRange(table: Table, owner: string): Range {
  const from = ownerPrefix(table, owner, 0);
  const to = Buffer.from(from);
  to[to.length - 1] = END_OF_OWNER + 1;
  return { from, to };
}

/** The positions of an owner between `after` and `before`, neither included; undefined where there is no bound. */
export function positionRange(
  table: Table,
  owner: string,
  after: number | undefined,
  before: number | undefined,
): Range {
  const whole = ownerRange(table, owner);
  return {
    from: after === undefined ? whole.from : positionKey(table, owner, after + 1),
    to: before === undefined ? whole.to : positionKey(table, owner, before),
  };
}

/** A whole table in one shard, owner by owner. */
export function shardRange(table: Table, shard: number): Range {
  const from = Uint8Array.of(shard >>> 8, shard & 0xff, TABLES[table]);
  const to = Uint8Array.of(shard >>> 8, shard & 0xff, TABLES[table] + 1);
  return { from, to };
}

/** Deletes everything an owner has in a table. */
export function deleteOwner(table: Table, owner: string): Write {
  const { from, to } = ownerRange(table, owner);
  return { type: 'deleteRange', from, to };
}

/** A key taken apart. */
export interface KeyParts {
  readonly table: Table;
  readonly owner: string;
  readonly rest: Uint8Array;
}

/** Takes a key apart. Throws StoreError `corrupt` for what `textKey` and `positionKey` cannot have made. */
export function partsOf(key: Key): KeyParts {
  const table = (Object.keys(TABLES) as Table[]).find((name) => TABLES[name] === key[2]);
  const end = key.indexOf(END_OF_OWNER, SHARD_AND_TABLE_LENGTH);
  if (table === undefined || end < 0) throw corruptKey(key);
  const ownerBytes = key.subarray(SHARD_AND_TABLE_LENGTH, end);
  if (((key[0] ?? 0) << 8) + (key[1] ?? 0) !== shardOfBytes(ownerBytes)) throw corruptKey(key);
  return { table, owner: decodeKeyText(ownerBytes, key), rest: key.subarray(end + 1) };
}

/** The text behind the owner of a key. Throws StoreError `corrupt`. */
export function restAsText(key: Key): string {
  return decodeKeyText(partsOf(key).rest, key);
}

/** The position behind the owner of a key. Throws StoreError `corrupt`. */
export function restAsPosition(key: Key): number {
  const { rest } = partsOf(key);
  if (rest.length !== POSITION_LENGTH) throw corruptKey(key);
  return readPosition(key, rest);
}

function readPosition(key: Key, rest: Uint8Array): number {
  const view = new DataView(rest.buffer, rest.byteOffset, rest.byteLength);
  const position = view.getUint32(0) * 0x1_0000_0000 + view.getUint32(4);
  if (!Number.isSafeInteger(position)) throw corruptKey(key);
  return position;
}

/** A key in words, for messages: `log of juliet@capulet.example at 1700000000000000`. */
export function describeKey(key: Key): string {
  try {
    const { table, owner, rest } = partsOf(key);
    const where = owner === '' ? table : `${table} of ${owner}`;
    if (rest.length === 0) return where;
    if (table === 'contacts' || table === 'omissions') return `${where} at ${numberOfPeerKey(table, key)}`;
    return POSITION_TABLES.has(table) ? `${where} at ${restAsPosition(key)}` : `${where}: ${restAsText(key)}`;
  } catch {
    return `key ${Buffer.from(key).toString('hex')}`;
  }
}

/**
 * Shard, table, owner and its end; `restLength` more bytes are left to be filled.
 *
 * @param given where they are written if the owner is ASCII; of that length
 */
function ownerPrefix(table: Table, owner: string, restLength: number, given?: Buffer): Buffer {
  const { length } = owner;
  const key = given ?? Buffer.allocUnsafe(SHARD_AND_TABLE_LENGTH + length + 1 + restLength);
  let hash = FNV_OFFSET;
  // Nearly every owner is ASCII: written and hashed in one go, half the time of calls into C++.
  for (let index = 0; index < length; index++) {
    const code = owner.charCodeAt(index);
    if (code > 0x7f || code === END_OF_OWNER) return unicodePrefix(table, owner, restLength);
    key[SHARD_AND_TABLE_LENGTH + index] = code;
    hash = Math.imul(hash ^ code, FNV_PRIME);
  }
  key[0] = 0;
  key[1] = fold(hash);
  key[2] = TABLES[table];
  key[SHARD_AND_TABLE_LENGTH + length] = END_OF_OWNER;
  return key;
}

function unicodePrefix(table: Table, owner: string, restLength: number): Buffer {
  refuseNul(owner);
  const ownerLength = Buffer.byteLength(owner, 'utf8');
  const key = Buffer.allocUnsafe(SHARD_AND_TABLE_LENGTH + ownerLength + 1 + restLength);
  key.writeUInt16BE(shardOf(owner), 0);
  key[2] = TABLES[table];
  key.write(owner, SHARD_AND_TABLE_LENGTH, 'utf8');
  key[SHARD_AND_TABLE_LENGTH + ownerLength] = END_OF_OWNER;
  return key;
}

function refuseNul(text: string): void {
  if (text.includes('\0')) throw new RangeError('a key may not contain U+0000');
}

function decodeKeyText(bytes: Uint8Array, key: Key): string {
  try {
    return decoder.decode(bytes);
  } catch {
    throw corruptKey(key);
  }
}

function corruptKey(key: Key): StoreError {
  return new StoreError('corrupt', `the store contains a key that is not ours: ${Buffer.from(key).toString('hex')}`);
}
