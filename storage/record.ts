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
    return this.#take(1)[0] ?? 0;
  }

  number(): number {
    const bytes = this.#take(NUMBER_BYTES);
    const value = bytes.readUInt32BE(0) * 0x1_0000_0000 + bytes.readUInt32BE(4);
    if (!Number.isSafeInteger(value)) throw this.corrupt('a number is too great');
    return value;
  }

  /** A number of 32 bits, not negative. */
  word(): number {
    return this.#take(4).readUInt32BE(0);
  }

  /** Whether fields are left. */
  get hasMore(): boolean {
    return this.#offset < this.#value.length;
  }

  /** The bytes, copied. */
  bytes(): Uint8Array {
    return new Uint8Array(this.#take(this.#take(LENGTH_BYTES).readUInt32BE(0)));
  }

  text(): string {
    try {
      return decoder.decode(this.#take(this.#take(LENGTH_BYTES).readUInt32BE(0)));
    } catch (error) {
      if (error instanceof StoreError) throw error;
      throw this.corrupt('a text is not UTF-8');
    }
  }

  /** A byte string (stanzas/byte-string.ts). */
  byteString(): string {
    return this.#take(this.#take(LENGTH_BYTES).readUInt32BE(0)).toString('latin1');
  }

  /** Nothing may follow the last field. */
  end(): void {
    if (this.#offset !== this.#value.length) throw this.corrupt('it is longer than its fields');
  }

  corrupt(why: string): StoreError {
    return new StoreError('corrupt', `cannot read ${describeKey(this.#key)}: ${why}`);
  }

  #take(length: number): Buffer {
    const start = this.#offset;
    if (start + length > this.#value.length) throw this.corrupt('it ends too early');
    this.#offset = start + length;
    return this.#value.subarray(start, this.#offset);
  }
}
