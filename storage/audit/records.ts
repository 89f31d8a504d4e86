import { decodeAccount } from '../account-record.ts';
import { decodeArchive, decodeRemoval } from '../archive-record.ts';
import { decodeClient } from '../client-tokens.ts';
import { decodeDocument } from '../documents.ts';
import { positionOfContactKey, restAsText, type Table } from '../keys.ts';
import { decodeCursors } from '../message-log.ts';
import type { Key } from '../ordered-store.ts';
import { RecordReader } from '../record.ts';
import { decodeOmission } from '../omissions.ts';
import { decodeMark, decodeOutboxEntry } from '../outboxes.ts';
import { decodeHandled, decodeSession } from '../resumptions.ts';
import { decodeItem, decodeVersion } from '../rosters.ts';
import { decodeSendKeys } from '../send-keys.ts';
import { decodeCounter } from '../sequences.ts';

type Read = (key: Key, value: Uint8Array, rest: Uint8Array) => unknown;

const NUMBER_FORMAT = 1;

/** How the record of each table is read, that of the log excepted. */
const READERS: Readonly<Record<Exclude<Table, 'log'>, Read>> = {
  layout: readNumber,
  serverKeys: (key, value) => {
    const reader = new RecordReader(key, value, NUMBER_FORMAT);
    reader.bytes();
    reader.end();
  },
  accounts: decodeAccount,
  rosters: (key, value, rest) => (rest.length === 0 ? decodeVersion(key, value) : decodeItem(key, value)),
  cursors: decodeCursors,
  documents: (key, value) => [restAsText(key), decodeDocument(key, value)],
  sequences: (key, value) => [restAsText(key), decodeCounter(key, value)],
  handled: (key, value) => [restAsText(key), decodeHandled(key, value)],
  sessions: decodeSession,
  contacts: positionOfContactKey,
  archives: decodeArchive,
  removals: decodeRemoval,
  sendKeys: decodeSendKeys,
  tokens: (key, value) => [restAsText(key), decodeClient(key, value)],
  unavailable: readNumber,
  outbox: decodeOutboxEntry,
  outboxMarks: decodeMark,
  omissions: decodeOmission,
};

/** Reads a record only to see whether it can be. Throws StoreError `corrupt`. */
export function checkRecord(table: Exclude<Table, 'log'>, key: Key, value: Uint8Array, rest: Uint8Array): void {
  READERS[table](key, value, rest);
}

function readNumber(key: Key, value: Uint8Array): void {
  const reader = new RecordReader(key, value, NUMBER_FORMAT);
  reader.number();
  reader.end();
}
