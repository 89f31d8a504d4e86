import type { StorageAccess } from './access.ts';
import { shardOf, textKey } from './keys.ts';
import { reasonByte, reasonOf, type OpenOmission, type OpenOmissions } from './omissions.ts';
import type { Key, Write } from './ordered-store.ts';
import { RecordReader, RecordWriter } from './record.ts';

const FORMAT = 1;
/** With what the sides do not keep at the moment. */
const OMITTING_FORMAT = 2;
/** No bare JID contains a space (RFC 7622 3.3: the localpart is a UsernameCaseMapped string; neither does a domain). */
const SEPARATOR = ' ';

/**
 * The key of the chat between two bare JIDs, the same from both sides: the smaller one, a space, the greater one (compared
 * by UTF-16 code units). A room's chat key is the room's JID. Throws RangeError for a JID with a space.
 */
export function chatKey(one: string, other: string): string {
  if (one.includes(SEPARATOR) || other.includes(SEPARATOR)) throw new RangeError('a bare JID has no space');
  return one < other ? one + SEPARATOR + other : other + SEPARATOR + one;
}

/** The key of a user's private messages with an occupant of a room; the occupant's nickname may have spaces. */
export function occupantChatKey(user: string, occupant: string): string {
  if (user.includes(SEPARATOR)) throw new RangeError('a bare JID has no space');
  return user + SEPARATOR + occupant;
}

/** The shard a chat belongs to: that of the room, or of the smaller of the two bare JIDs. */
export function shardOfChat(chat: string): number {
  return shardOf(sidesOf(chat).owner);
}

/** A chat's last number, and from which numbers on its sides have not kept its messages; undefined where both have. */
export interface ChatCounter {
  readonly number: number;
  readonly omissions: OpenOmissions | undefined;
}

const NEW_CHAT: ChatCounter = { number: 0, omissions: undefined };

/** The last number of each chat (docs/architecture.md, sequence ids). */
export class Sequences {
  readonly #access: StorageAccess;

  constructor(access: StorageAccess) {
    this.#access = access;
  }

  /** The last number the chat has given; 0 if none. Rejects with StoreError. */
  async load(chat: string): Promise<number> {
    return (await this.counter(chat)).number;
  }

  /** The same with what the sides do not keep. Rejects with StoreError. */
  async counter(chat: string): Promise<ChatCounter> {
    const key = keyOf(chat);
    const [value] = await this.#access.store.getMany([key]);
    return value === undefined ? NEW_CHAT : decodeCounter(key, value);
  }

  /** Records `number` as the chat's last; for the batch that holds the message of that number. */
  putWrites(chat: string, number: number, omissions?: OpenOmissions): Write[] {
    return sequenceWrites(chat, number, omissions);
  }
}

/** As `Sequences.putWrites`. */
export function sequenceWrites(chat: string, number: number, omissions?: OpenOmissions): Write[] {
  const value = omissions === undefined ? numberRecord(number) : omittingRecord(number, omissions);
  return [{ type: 'put', key: keyOf(chat), value }];
}

function omittingRecord(number: number, { owner, other }: OpenOmissions): Uint8Array {
  const writer = new RecordWriter(OMITTING_FORMAT).number(number);
  for (const omission of [owner, other]) {
    writer.byte(omission === undefined ? 0 : reasonByte(omission.reason)).number(omission?.from ?? 0);
  }
  return writer.end();
}

/** As RecordWriter would write it, in one piece: one for every chat in every batch. */
function numberRecord(number: number): Uint8Array {
  const value = Buffer.allocUnsafe(9);
  value[0] = FORMAT;
  value.writeUInt32BE(Math.floor(number / 0x1_0000_0000), 1);
  value.writeUInt32BE(number >>> 0, 5);
  return value;
}

/** Throws StoreError `corrupt`. */
export function decodeCounter(key: Key, value: Uint8Array): ChatCounter {
  const isOmitting = value[0] === OMITTING_FORMAT;
  const reader = new RecordReader(key, value, isOmitting ? OMITTING_FORMAT : FORMAT);
  const number = reader.number();
  const omissions = isOmitting ? { owner: readOmission(reader), other: readOmission(reader) } : undefined;
  reader.end();
  return { number, omissions };
}

function readOmission(reader: RecordReader): OpenOmission | undefined {
  const byte = reader.byte();
  const from = reader.number();
  const reason = reasonOf(byte);
  if (reason === undefined && byte !== 0) throw reader.corrupt('unknown reason');
  return reason === undefined ? undefined : { from, reason };
}

function keyOf(chat: string): Key {
  const { owner, other } = sidesOf(chat);
  return textKey('sequences', owner, other);
}

/** The owner of the chat's key, and the other side; '' for a room. */
export function sidesOf(chat: string): { owner: string; other: string } {
  const separator = chat.indexOf(SEPARATOR);
  if (separator < 0) return { owner: chat, other: '' };
  return { owner: chat.slice(0, separator), other: chat.slice(separator + 1) };
}
