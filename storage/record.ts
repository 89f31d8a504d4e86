/*
 * How values are written: a version byte, then the fields in the order of their store's file. Text and bytes carry their
 * length. What is read back is treated like input from a stranger: every length is checked before it is believed.
 */
import { describeKey } from './keys.ts';
import { StoreError } from './ordered-store.ts';
import type { Key } from './ordered-store.ts';

const LENGTH_BYTES = 4;
const NUMBER_BYTES = 8;
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Writes a value field by field. */
export class RecordWriter {
  readonly #parts: Buffer[];

  /** `version` is the first byte: the shape of what follows. */
  constructor(version: number) {
    this.#parts = [Buffer.of(version)];
  }

  byte(value: number): this {
    this.#parts.push(Buffer.of(value));
    return this;
  }

  /** A safe integer, never negative. Throws RangeError for anything else. */
  number(value: number): this {
    if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`${value} cannot be stored as a number`);
    const bytes = Buffer.allocUnsafe(NUMBER_BYTES);
    bytes.writeUInt32BE(Math.floor(value / 0x1_0000_0000), 0);
    bytes.writeUInt32BE(value >>> 0, 4);
    this.#parts.push(bytes);
    return this;
  }

  bytes(value: Uint8Array): this {
    const length = Buffer.allocUnsafe(LENGTH_BYTES);
    length.writeUInt32BE(value.length, 0);
    this.#parts.push(length, Buffer.from(value));
    return this;
  }

  text(value: string): this {
    return this.bytes(Buffer.from(value, 'utf8'));
  }

  /** A byte string (stanzas/byte-string.ts). */
  byteString(value: string): this {
    return this.bytes(Buffer.from(value, 'latin1'));
  }

  end(): Uint8Array {
    return Buffer.concat(this.#parts);
  }
}

/** Reads a value field by field. Every method throws StoreError `corrupt`, naming the key in words. */
export class RecordReader {
  readonly #key: Key;
  readonly #value: Buffer;
  #offset = 1;

  constructor(key: Key, value: Uint8Array, version: number) {
    this.#key = key;
    this.#value = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
    if (value[0] !== version) throw this.corrupt(`its format is ${value[0] ?? 'missing'}, not ${version}`);
  }

  byte(): number {
    return this.#value[this.#pass(1)] ?? 0;
  }

  number(): number {
    const start = this.#pass(NUMBER_BYTES);
    const value = this.#value.readUInt32BE(start) * 0x1_0000_0000 + this.#value.readUInt32BE(start + 4);
    if (!Number.isSafeInteger(value)) throw this.corrupt('a number is too great');
    return value;
  }

  /** A number of 32 bits, not negative. */
  word(): number {
    return this.#value.readUInt32BE(this.#pass(4));
  }

  /** Whether fields are left. */
  get hasMore(): boolean {
    return this.#offset < this.#value.length;
  }

  /** The bytes, copied. */
  bytes(): Uint8Array {
    const length = this.#length();
    const start = this.#pass(length);
    const bytes = new Uint8Array(length);
    const value = this.#value;
    for (let index = 0; index < length; index++) bytes[index] = value[start + index]!;
    return bytes;
  }

  /** The length of bytes, which are left where they are. */
  skipBytes(): number {
    const length = this.#length();
    this.#pass(length);
    return length;
  }

  text(): string {
    try {
      return decoder.decode(this.#field());
    } catch (error) {
      if (error instanceof StoreError) throw error;
      throw this.corrupt('a text is not UTF-8');
    }
  }

  /** A byte string (stanzas/byte-string.ts). */
  byteString(): string {
    return this.#field().toString('latin1');
  }

  /** Nothing may follow the last field. */
  end(): void {
    if (this.#offset !== this.#value.length) throw this.corrupt('it is longer than its fields');
  }

  corrupt(why: string): StoreError {
    return new StoreError('corrupt', `cannot read ${describeKey(this.#key)}: ${why}`);
  }

  /** The bytes of a field that begins with its length. */
  #field(): Buffer {
    const length = this.#length();
    const start = this.#pass(length);
    return this.#value.subarray(start, start + length);
  }

  #length(): number {
    return this.#value.readUInt32BE(this.#pass(LENGTH_BYTES));
  }

  /** Goes past so many bytes; returns where they begin. */
  #pass(length: number): number {
    const start = this.#offset;
    if (start + length > this.#value.length) throw this.corrupt('it ends too early');
    this.#offset = start + length;
    return start;
  }
}
