import { describeKey, lentPositionKey, positionKey, positionKeyLength, restAsPosition } from './keys.ts';
import { StoreError } from './ordered-store.ts';
import type { Entry, Key } from './ordered-store.ts';
import { shortTextLength, writeShortText } from './short-text.ts';

/** What an account's log says of one message, without the message. */
export interface LogPlace {
  /** Microseconds since the epoch, unique and increasing per owner: the place in the log and the time of receipt. */
  readonly position: number;
  readonly flags: {
    /** The archive may show it (XEP-0313). */
    readonly archived: boolean;
    /** It waits to be delivered, unless the cursor has passed it (XEP-0160). */
    readonly pending: boolean;
    /** The owner sent it. */
    readonly sent: boolean;
  };
  /** The bare JID of the chat's other side. */
  readonly peer: string;
  /** The chat's number of this message; undefined for what is not counted. */
  readonly sequence: number | undefined;
}

/** One message of an account's log. */
export interface LogEntry extends LogPlace {
  /** The whole stanza with `xmlns='jabber:client'` on its root; a byte string. */
  readonly stanza: string;
}

/*
 * The value, written by hand because every message passes here:
 *   format 1 | flags 1 | sequence 8, big endian, 0 for none | length of peer 2 | length of resource 2 | peer, UTF-8 |
 *   resource of the contact, UTF-8 | stanza, to the end
 */
const FORMAT = 2;
const FORMAT_AT = 0;
const FLAGS_AT = 1;
const SEQUENCE_AT = 2;
const PEER_LENGTH_AT = 10;
const RESOURCE_LENGTH_AT = 12;
const PEER_AT = 14;
const ARCHIVED = 1;
const PENDING = 2;
const SENT = 4;
const MAX_TEXT_BYTES = 0xffff;
/** Within values an apostrophe is escaped. */
const ERROR_TAG = /^<message xmlns='jabber:client'(?: (?:to|from|id)='[^']*')* type='error'/;
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** A stanza as it is written, one object for both its entries. */
export interface WrittenStanza {
  /** As in LogEntry. */
  readonly bytes: string;
}

/*
 * Where what is lent lies: a stanza, and before it the head of its entry. The entries of a message's two sides follow each other
 * and differ in their heads alone, so that the stanza, which is the longest part, is written once for both.
 */
const LENT_HEAD_BYTES = 1024;
const LENT_STANZA_BYTES = 16 * 1024;
const lentBytes = Buffer.alloc(LENT_HEAD_BYTES + LENT_STANZA_BYTES);
let lentStanza: WrittenStanza | undefined;

/**
 * Writes a message in its place. Key and value are made when the store takes them: what waits for its commit survives
 * collections, and the two buffers of every entry were a quarter of what grew old in them.
 */
export class EntryWrite {
  readonly type = 'put';
  readonly byteLength: number;
  readonly #owner: string;
  readonly #place: LogPlace;
  readonly #stanza: WrittenStanza;
  /** Of the contact, '' for none. */
  readonly #resource: string;

  /**
   * Throws RangeError for an impossible position, sequence or peer.
   *
   * @param contact the JID, bare or full, of the chat's other side: the index by contact is made of its resource
   */
  constructor(owner: string, place: LogPlace, stanza: WrittenStanza, contact: string) {
    this.#owner = owner;
    this.#place = place;
    this.#stanza = stanza;
    this.#resource = resourceOf(contact);
    this.byteLength = positionKeyLength(owner, place.position) + messageLength(place, stanza.bytes, this.#resource);
  }

  get key(): Key {
    return positionKey('log', this.#owner, this.#place.position);
  }

  get value(): Uint8Array {
    return encodeMessage(this.#place, this.#stanza.bytes, this.#resource);
  }

  lend(): Entry {
    return [lentPositionKey('log', this.#owner, this.#place.position), this.#lentValue()];
  }

  #lentValue(): Uint8Array {
    const stanza = this.#stanza;
    const { length } = stanza.bytes;
    const peerLength = shortTextLength(this.#place.peer);
    const resourceLength = shortTextLength(this.#resource);
    const headLength = PEER_AT + peerLength + resourceLength;
    if (headLength > LENT_HEAD_BYTES || length > LENT_STANZA_BYTES) return this.value;
    if (lentStanza !== stanza) {
      lentBytes.write(stanza.bytes, LENT_HEAD_BYTES, 'latin1');
      lentStanza = stanza;
    }
    const start = LENT_HEAD_BYTES - headLength;
    writeHead(lentBytes, start, this.#place, peerLength, this.#resource, resourceLength);
    return new Uint8Array(lentBytes.buffer, lentBytes.byteOffset + start, headLength + length);
  }
}

function resourceOf(contact: string): string {
  const slash = contact.indexOf('/');
  return slash < 0 ? '' : contact.slice(slash + 1);
}

/** The entry as a value. Throws RangeError for an impossible sequence or peer. @param resource of the contact, '' for none */
export function encodeEntry(entry: LogEntry, resource: string): Uint8Array {
  messageLength(entry, entry.stanza, resource);
  return encodeMessage(entry, entry.stanza, resource);
}

/** The bytes of a message in its place. Throws RangeError as encodeEntry does. */
function messageLength({ peer, sequence }: LogPlace, stanza: string, resource: string): number {
  const peerLength = shortTextLength(peer);
  const resourceLength = shortTextLength(resource);
  if (peerLength > MAX_TEXT_BYTES || resourceLength > MAX_TEXT_BYTES) throw new RangeError('the peer is no JID');
  if (sequence !== undefined && (!Number.isSafeInteger(sequence) || sequence < 1)) {
    throw new RangeError(`${sequence} is no sequence number`);
  }
  return PEER_AT + peerLength + resourceLength + stanza.length;
}

function encodeMessage(place: LogPlace, stanza: string, resource: string): Uint8Array {
  const peerLength = shortTextLength(place.peer);
  const resourceLength = shortTextLength(resource);
  const headLength = PEER_AT + peerLength + resourceLength;
  const value = Buffer.allocUnsafe(headLength + stanza.length);
  writeHead(value, 0, place, peerLength, resource, resourceLength);
  value.write(stanza, headLength, 'latin1');
  return value;
}

/** All that stands before the stanza. */
function writeHead(
  bytes: Buffer,
  at: number,
  { flags, peer, sequence }: LogPlace,
  peerLength: number,
  resource: string,
  resourceLength: number,
): void {
  const number = sequence ?? 0;
  bytes[at + FORMAT_AT] = FORMAT;
  bytes[at + FLAGS_AT] = (flags.archived ? ARCHIVED : 0) | (flags.pending ? PENDING : 0) | (flags.sent ? SENT : 0);
  bytes.writeUInt32BE(Math.floor(number / 0x1_0000_0000), at + SEQUENCE_AT);
  bytes.writeUInt32BE(number >>> 0, at + SEQUENCE_AT + 4);
  bytes.writeUInt16BE(peerLength, at + PEER_LENGTH_AT);
  bytes.writeUInt16BE(resourceLength, at + RESOURCE_LENGTH_AT);
  writeShortText(bytes, peer, at + PEER_AT, peerLength);
  writeShortText(bytes, resource, at + PEER_AT + peerLength, resourceLength);
}

/** The entry of a value. Throws StoreError `corrupt`. */
export function decodeEntry(key: Key, value: Uint8Array): LogEntry {
  const flags = flagsOf(key, value);
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  const number = bytes.readUInt32BE(SEQUENCE_AT) * 0x1_0000_0000 + bytes.readUInt32BE(SEQUENCE_AT + 4);
  if (!Number.isSafeInteger(number)) throw corrupt(key, 'the sequence number is too great');
  const stanzaAt = value.length - stanzaLengthOf(key, value);
  return {
    position: restAsPosition(key),
    flags,
    peer: decodeText(key, value.subarray(PEER_AT, PEER_AT + peerLengthOf(value))),
    sequence: number === 0 ? undefined : number,
    stanza: bytes.toString('latin1', stanzaAt),
  };
}

/** The flags of an entry, without reading the rest. Throws StoreError `corrupt`. */
export function flagsOf(key: Key, value: Uint8Array): LogEntry['flags'] {
  if (value.length < PEER_AT) throw corrupt(key, 'it ends too early');
  if (value[FORMAT_AT] !== FORMAT) throw corrupt(key, `its format is ${value[FORMAT_AT] ?? 0}, not ${FORMAT}`);
  const flags = value[FLAGS_AT] ?? 0;
  if (flags > (ARCHIVED | PENDING | SENT)) throw corrupt(key, `unknown flags ${flags}`);
  return { archived: (flags & ARCHIVED) !== 0, pending: (flags & PENDING) !== 0, sent: (flags & SENT) !== 0 };
}

/** The bytes of an entry's stanza, without reading them. Throws StoreError `corrupt`. */
export function stanzaLengthOf(key: Key, value: Uint8Array): number {
  const length = value.length - PEER_AT - peerLengthOf(value) - resourceLengthOf(value);
  if (length < 0) throw corrupt(key, 'it ends too early');
  return length;
}

/** Whether an entry's stanza, of which the length is known, is an error, as Stanza.toDocument writes one. */
export function isErrorOf(value: Uint8Array, stanzaLength: number): boolean {
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  return ERROR_TAG.test(bytes.toString('latin1', value.length - stanzaLength));
}

/** The contact of an entry: what the index by contact says of it. */
export interface EntryContact {
  readonly bare: string;
  /** '' for none. */
  readonly resource: string;
}

/** The contact of an entry, without reading its stanza. Throws StoreError `corrupt`. */
export function contactOf(key: Key, value: Uint8Array): EntryContact {
  stanzaLengthOf(key, value);
  const end = PEER_AT + peerLengthOf(value);
  const peer = decodeText(key, value.subarray(PEER_AT, end));
  const slash = peer.indexOf('/');
  const resource = decodeText(key, value.subarray(end, end + resourceLengthOf(value)));
  return { bare: slash < 0 ? peer : peer.slice(0, slash), resource };
}

function peerLengthOf(value: Uint8Array): number {
  return ((value[PEER_LENGTH_AT] ?? 0) << 8) + (value[PEER_LENGTH_AT + 1] ?? 0);
}

function resourceLengthOf(value: Uint8Array): number {
  return ((value[RESOURCE_LENGTH_AT] ?? 0) << 8) + (value[RESOURCE_LENGTH_AT + 1] ?? 0);
}

function decodeText(key: Key, bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch {
    throw corrupt(key, 'the peer is not UTF-8');
  }
}

function corrupt(key: Key, why: string): StoreError {
  return new StoreError('corrupt', `cannot read ${describeKey(key)}: ${why}`);
}
