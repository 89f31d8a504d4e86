import { numberOfOmissionKey, omissionKey, omissionRange } from './keys.ts';
import { pagesOf, type Key, type StoreReader, type Write } from './ordered-store.ts';
import { RecordReader, RecordWriter } from './record.ts';

/** Why a log does not keep a message that has a number of its chat. */
export type OmissionReason =
  | 'preference' // its owner, or the server's default, does not want it archived (XEP-0441)
  | 'history' // messages.history was off
  | 'account' // the account was disabled or removed while the message was under way
  | 'origin'; // none of the owner's sessions sent it in this run: the server did, or brought it again

/** Numbers of one chat that one side's log does not keep, from `from` up to the chat's last number. */
export interface OpenOmission {
  readonly from: number;
  readonly reason: OmissionReason;
}

/** The same between two messages that the log keeps: what an audit accepts as a gap. */
export interface Omission extends OpenOmission {
  /** The last number, included. */
  readonly upTo: number;
  /** When the message that ended it was recorded, microseconds since the epoch. */
  readonly endedAt: number;
}

/** The open omissions of both sides of a chat: of the owner of its key, and of the other. */
export interface OpenOmissions {
  readonly owner: OpenOmission | undefined;
  readonly other: OpenOmission | undefined;
}

const FORMAT = 1;
const REASONS: readonly OmissionReason[] = ['preference', 'history', 'account', 'origin'];
const PAGE_ENTRIES = 200;

/** The byte of a reason in a record; never 0. */
export function reasonByte(reason: OmissionReason): number {
  return REASONS.indexOf(reason) + 1;
}

/** The reason of a byte; undefined for none. */
export function reasonOf(byte: number): OmissionReason | undefined {
  return REASONS[byte - 1];
}

/** Records that an omission is over; for the batch that holds the message that ends it. */
export function omissionWrite(owner: string, peer: string, { from, upTo, reason, endedAt }: Omission): Write {
  const value = new RecordWriter(FORMAT).byte(reasonByte(reason)).number(upTo).number(endedAt).end();
  return { type: 'put', key: omissionKey(owner, peer, from), value };
}

/** Throws StoreError `corrupt`. */
export function decodeOmission(key: Key, value: Uint8Array): Omission {
  const reader = new RecordReader(key, value, FORMAT);
  const reason = reasonOf(reader.byte());
  if (reason === undefined) throw reader.corrupt('unknown reason');
  const omission = { from: numberOfOmissionKey(key), upTo: reader.number(), reason, endedAt: reader.number() };
  reader.end();
  return omission;
}

/** What one log does not keep of one chat, in the order of the numbers; what is still open stands with the counter. */
export async function omissionsOf(store: StoreReader, owner: string, peer: string): Promise<readonly Omission[]> {
  const omissions: Omission[] = [];
  for await (const page of pagesOf(store, omissionRange(owner, peer), PAGE_ENTRIES)) {
    for (const [key, value] of page) omissions.push(decodeOmission(key, value));
  }
  return omissions;
}
