import { RecordReader, RecordWriter } from './record.ts';
import type { Key } from './ordered-store.ts';

export type ScramHash = 'SHA-1' | 'SHA-256' | 'SHA-512';

/** What SCRAM keeps of a password (RFC 5802 3): it proves who knows it and does not tell it. */
export interface ScramKeys {
  readonly salt: Uint8Array;
  readonly iterations: number;
  readonly storedKey: Uint8Array;
  readonly serverKey: Uint8Array;
}

/** The keys of one password, by hash function; empty for an account nobody can log in to. */
export type Credentials = { readonly [hash in ScramHash]?: ScramKeys };

/** What shows of SCRAM keys before anybody has proved anything. */
export interface KeyShape {
  readonly iterations: number;
  readonly saltBytes: number;
}

/** The same for all keys of an account. */
export type AccountShape = { readonly [hash in ScramHash]?: KeyShape };

export interface AccountRecord {
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
  /** Kept, but refused at login. */
  readonly disabled: boolean;
  readonly credentials: Credentials;
}

const FORMAT = 1;
const DISABLED = 1;
/** Each hash function: its byte in the record and the length of its keys. */
const HASHES: readonly { readonly name: ScramHash; readonly byte: number; readonly keyLength: number }[] = [
  { name: 'SHA-1', byte: 1, keyLength: 20 },
  { name: 'SHA-256', byte: 2, keyLength: 32 },
  { name: 'SHA-512', byte: 3, keyLength: 64 },
];

/** The record as a value. Throws RangeError for keys of a wrong length, an empty salt or no iterations. */
export function encodeAccount(record: AccountRecord): Uint8Array {
  const writer = new RecordWriter(FORMAT).number(record.createdAt).byte(record.disabled ? DISABLED : 0);
  for (const { name, byte, keyLength } of HASHES) {
    const keys = record.credentials[name];
    if (keys === undefined) continue;
    const flaw = flawOf(keys, keyLength);
    if (flaw !== undefined) throw new RangeError(`${name}: ${flaw}`);
    writer.byte(byte).bytes(keys.salt).number(keys.iterations).bytes(keys.storedKey).bytes(keys.serverKey);
  }
  return writer.byte(0).end();
}

/** The record of a value. Throws StoreError `corrupt`. */
export function decodeAccount(key: Key, value: Uint8Array): AccountRecord {
  const reader = new RecordReader(key, value, FORMAT);
  const createdAt = reader.number();
  const flags = reader.byte();
  if (flags > DISABLED) throw reader.corrupt(`unknown flags ${flags}`);
  const credentials: { [hash in ScramHash]?: ScramKeys } = {};
  for (let byte = reader.byte(); byte !== 0; byte = reader.byte()) {
    const hash = HASHES.find((known) => known.byte === byte);
    if (hash === undefined) throw reader.corrupt(`unknown hash function ${byte}`);
    const keys: ScramKeys = {
      salt: reader.bytes(),
      iterations: reader.number(),
      storedKey: reader.bytes(),
      serverKey: reader.bytes(),
    };
    const flaw = flawOf(keys, hash.keyLength);
    if (flaw !== undefined) throw reader.corrupt(`${hash.name}: ${flaw}`);
    credentials[hash.name] = keys;
  }
  reader.end();
  return { createdAt, disabled: flags === DISABLED, credentials };
}

/** What shows of the keys in a value, without a copy of them. Throws StoreError `corrupt`. */
export function decodeShape(key: Key, value: Uint8Array): AccountShape {
  const reader = new RecordReader(key, value, FORMAT);
  reader.number();
  const flags = reader.byte();
  if (flags > DISABLED) throw reader.corrupt(`unknown flags ${flags}`);
  const shape: { [hash in ScramHash]?: KeyShape } = {};
  for (let byte = reader.byte(); byte !== 0; byte = reader.byte()) {
    const hash = HASHES.find((known) => known.byte === byte);
    if (hash === undefined) throw reader.corrupt(`unknown hash function ${byte}`);
    const saltBytes = reader.skipBytes();
    const iterations = reader.number();
    const hasKeys = reader.skipBytes() === hash.keyLength && reader.skipBytes() === hash.keyLength;
    if (!hasKeys || saltBytes === 0 || iterations < 1) throw reader.corrupt(`${hash.name}: no such keys`);
    shape[hash.name] = { iterations, saltBytes };
  }
  reader.end();
  return shape;
}

function flawOf(keys: ScramKeys, keyLength: number): string | undefined {
  if (keys.salt.length === 0) return 'the salt is empty';
  if (keys.iterations < 1) return 'there are no iterations';
  if (keys.storedKey.length !== keyLength) return `the stored key has ${keys.storedKey.length} bytes, not ${keyLength}`;
  if (keys.serverKey.length !== keyLength) return `the server key has ${keys.serverKey.length} bytes, not ${keyLength}`;
  return undefined;
}
