import type { StorageAccess } from './access.ts';
import { positionKey, positionRange, restAsPosition } from './keys.ts';
import { pagesOf } from './ordered-store.ts';
import type { Key, Write } from './ordered-store.ts';
import { RecordReader, RecordWriter } from './record.ts';

/** By what a message that is sent again is known: made of its chat, its id and its content. */
export interface SendKey {
  /** 8 bytes. */
  readonly hash: Uint8Array;
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

/** A key as it is stored, or that a stream was closed in order. */
export type StoredSendKey =
  | (SendKey & { readonly kind: 'sent'; readonly position: number })
  | { readonly kind: 'closed'; readonly position: number; readonly stream: SendStream };

const FORMAT = 1;
const ORIGIN_ID = 0;
const STANZA_ID = 1;
const CLOSED = 2;
const PAGE_ENTRIES = 500;

/** What each account sent lately, by position in its log; what is old goes as one range. */
export class SendKeys {
  readonly #access: StorageAccess;

  constructor(access: StorageAccess) {
    this.#access = access;
  }

  /** @param position that of the message in its sender's log, whether it is kept there or not */
  putWrites(owner: string, position: number, { hash, stream }: SendKey): Write[] {
    const writer = new RecordWriter(FORMAT).byte(stream === undefined ? ORIGIN_ID : STANZA_ID).bytes(hash);
    if (stream !== undefined) writer.number(Math.max(0, stream.since)).text(stream.resource);
    return [{ type: 'put', key: positionKey('sendKeys', owner, position), value: writer.end() }];
  }

  closedWrites(owner: string, position: number, { since, resource }: SendStream): Write[] {
    const value = new RecordWriter(FORMAT).byte(CLOSED).number(Math.max(0, since)).text(resource).end();
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
      for (const [key, value] of page) keys.push(decode(key, value));
    }
    return keys;
  }

  /** Forgets everything up to a position, that included. */
  forgetWrites(owner: string, upTo: number): Write[] {
    const { from, to } = positionRange('sendKeys', owner, undefined, upTo + 1);
    return [{ type: 'deleteRange', from, to }];
  }
}

function decode(key: Key, value: Uint8Array): StoredSendKey {
  const position = restAsPosition(key);
  const reader = new RecordReader(key, value, FORMAT);
  const kind = reader.byte();
  if (kind > CLOSED) throw reader.corrupt(`unknown kind ${kind}`);
  if (kind === CLOSED) {
    const stream = { since: reader.number(), resource: reader.text() };
    reader.end();
    return { kind: 'closed', position, stream };
  }
  const hash = reader.bytes();
  const stream = kind === ORIGIN_ID ? undefined : { since: reader.number(), resource: reader.text() };
  reader.end();
  return { kind: 'sent', position, hash, stream };
}
