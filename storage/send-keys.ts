import type { StorageAccess } from './access.ts';
import { positionKey, positionRange } from './keys.ts';
import { pagesOf } from './ordered-store.ts';
import type { Key, Write } from './ordered-store.ts';
import { RecordReader, RecordWriter } from './record.ts';
import { shortTextLength, writeShortText } from './short-text.ts';

/** By what a message that is sent again is known: made of its chat, its id and its content. */
export interface SendKey {
  /** Half of a hash, 32 bits, not negative. */
  readonly first: number;
  /** The other half. */
  readonly second: number;
  /**
   * The stream it was sent on, where its id is the stanza's own `id`, which clients count anew with each stream; undefined
   * for an origin-id, which is its message's for ever.
   */
  readonly stream: SendStream | undefined;
}

export interface SendStream {
  readonly resource: string;
  /** When its session was bound, milliseconds since the epoch. */
  readonly since: number;
}

/** The key of a message that was sent. */
export interface PlacedSendKey extends SendKey {
  /** That of the message in its sender's log, whether it is kept there or not. */
  readonly position: number;
}

/** The key of a message that came back to its sender. */
export interface ReturnedKey extends Pick<SendKey, 'first' | 'second'> {
  /** That of the error in the sender's log. */
  readonly position: number;
}

/** A key as it is stored, or that a message came back, or that a stream was closed in order. */
export type StoredSendKey =
  | (PlacedSendKey & { readonly kind: 'sent' })
  | ({ readonly kind: 'returned' } & ReturnedKey)
  | { readonly kind: 'closed'; readonly position: number; readonly stream: SendStream };

/*
 * The value: what one account sent in one batch, one after the other, up to the position in the key:
 *   format 1 | kind 1, position 8, hash 8, where it has a stream: since 8, length of resource 4, resource | ...
 * or by itself that a stream was closed (no hash), or that a message came back (no stream).
 */
const FORMAT = 2;
const ORIGIN_ID = 0;
const STANZA_ID = 1;
const CLOSED = 2;
const RETURNED = 3;
/** Kind, position and hash. */
const HASHED_LENGTH = 17;
const PAGE_ENTRIES = 500;
const TWO_TO_THE_32 = 0x1_0000_0000;

/** What each account sent lately, by position in its log; what is old goes as one range. */
export class SendKeys {
  readonly #access: StorageAccess;

  constructor(access: StorageAccess) {
    this.#access = access;
  }

  /** @param keys what an account sent, in order, one at least */
  putWrites(owner: string, keys: readonly PlacedSendKey[]): Write[] {
    const value = Buffer.allocUnsafe(keys.reduce((sum, key) => sum + lengthOf(key), 1));
    value[0] = FORMAT;
    let at = 1;
    for (const key of keys) at = writeKey(value, at, key);
    return [{ type: 'put', key: positionKey('sendKeys', owner, keys.at(-1)!.position), value }];
  }

  closedWrites(owner: string, position: number, { since, resource }: SendStream): Write[] {
    const writer = new RecordWriter(FORMAT).byte(CLOSED).number(position);
    const value = writer.number(Math.max(0, since)).text(resource).end();
    return [{ type: 'put', key: positionKey('sendKeys', owner, position), value }];
  }

  returnedWrites(owner: string, { position, first, second }: ReturnedKey): Write[] {
    const value = Buffer.allocUnsafe(1 + HASHED_LENGTH);
    value[0] = FORMAT;
    writeHashed(value, 1, RETURNED, { position, first, second });
    return [{ type: 'put', key: positionKey('sendKeys', owner, position), value }];
  }

  /** What an account sent after a position, in order. Rejects with StoreError. */
  async load(owner: string, after: number): Promise<readonly StoredSendKey[]> {
    const keys: StoredSendKey[] = [];
    for await (const page of pagesOf(
      this.#access.store,
      positionRange('sendKeys', owner, after, undefined),
      PAGE_ENTRIES,
    )) {
      for (const [key, value] of page) {
        for (const sent of decodeSendKeys(key, value)) if (sent.position > after) keys.push(sent);
      }
    }
    return keys;
  }

  /** Forgets what was written up to a position, that included; later keys of the same batch stay, and those with them. */
  forgetWrites(owner: string, upTo: number): Write[] {
    const { from, to } = positionRange('sendKeys', owner, undefined, upTo + 1);
    return [{ type: 'deleteRange', from, to }];
  }
}

/** Throws StoreError `corrupt`. */
export function decodeSendKeys(key: Key, value: Uint8Array): StoredSendKey[] {
  const reader = new RecordReader(key, value, FORMAT);
  const keys: StoredSendKey[] = [];
  while (keys.length === 0 || reader.hasMore) keys.push(read(reader));
  return keys;
}

function read(reader: RecordReader): StoredSendKey {
  const kind = reader.byte();
  if (kind > RETURNED) throw reader.corrupt(`unknown kind ${kind}`);
  const position = reader.number();
  if (kind === CLOSED) return { kind: 'closed', position, stream: readStream(reader) };
  const [first, second] = [reader.word(), reader.word()];
  if (kind === RETURNED) return { kind: 'returned', position, first, second };
  return { kind: 'sent', position, first, second, stream: kind === ORIGIN_ID ? undefined : readStream(reader) };
}

function readStream(reader: RecordReader): SendStream {
  return { since: reader.number(), resource: reader.text() };
}

function lengthOf({ stream }: SendKey): number {
  return stream === undefined ? HASHED_LENGTH : 29 + shortTextLength(stream.resource);
}

/** As a RecordWriter would: by hand, because there is one for every message. */
function writeKey(value: Buffer, start: number, key: PlacedSendKey): number {
  const { stream } = key;
  writeHashed(value, start, stream === undefined ? ORIGIN_ID : STANZA_ID, key);
  if (stream === undefined) return start + HASHED_LENGTH;
  writeNumber(value, Math.max(0, stream.since), start + 17);
  const length = shortTextLength(stream.resource);
  writeShortText(value, stream.resource, start + 29, length);
  value.writeUInt32BE(length, start + 25);
  return start + 29 + length;
}

function writeHashed(value: Buffer, start: number, kind: number, { position, first, second }: ReturnedKey): void {
  value[start] = kind;
  writeNumber(value, position, start + 1);
  value.writeUInt32BE(first, start + 9);
  value.writeUInt32BE(second, start + 13);
}

function writeNumber(value: Buffer, number: number, at: number): void {
  value.writeUInt32BE(Math.floor(number / TWO_TO_THE_32), at);
  value.writeUInt32BE(number >>> 0, at + 4);
}
