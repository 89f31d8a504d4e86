import { toByteString } from '../../stanzas/byte-string.ts';

const CAPACITY = 4096;
const MAX_UTF8_BYTES = 3;
const MURMUR_FACTOR = 0x5bd1e995;
const OTHER_FACTOR = 0x9e3779b1;

/**
 * 64 bits of two simple hashes over one text, which may come in pieces: how it is cut makes no difference. Nothing
 * cryptographic. The bytes are written into a buffer and read four at a time, a third of the time of a loop over characters.
 */
export class ContentHash {
  readonly #bytes = Buffer.alloc(CAPACITY);
  readonly #words = new Uint32Array(this.#bytes.buffer, this.#bytes.byteOffset, CAPACITY / 4);
  #filled = 0;
  #taken = 0;
  #first = 0;
  #second = 0;

  begin(): void {
    this.#filled = this.#taken = 0;
    this.#first = 0x811c9dc5;
    this.#second = 0x9747b28c;
  }

  /** A text, as UTF-8. */
  takeText(text: string): void {
    if (this.#filled + text.length * MAX_UTF8_BYTES < CAPACITY) this.#filled += this.#bytes.write(text, this.#filled);
    else this.takeBytes(toByteString(text));
  }

  /** A piece of a byte string. */
  takeBytes(piece: string): void {
    for (let start = 0; start < piece.length;) {
      const rest = start === 0 ? piece : piece.slice(start);
      const count = this.#bytes.write(rest, this.#filled, 'latin1');
      start += count;
      this.#filled += count;
      if (this.#filled === CAPACITY) this.#take();
    }
  }

  /** The hash of what was taken since `begin`: two numbers of 32 bits, not negative. */
  end(): { readonly first: number; readonly second: number } {
    const length = this.#taken + this.#filled;
    while (this.#filled % 4 !== 0) this.#bytes[this.#filled++] = 0;
    this.#take();
    const first = this.#first ^ length;
    const second = Math.imul(this.#second ^ (this.#second >>> 13) ^ length, MURMUR_FACTOR);
    return { first: (first ^ (first >>> 15)) >>> 0, second: (second ^ (second >>> 15)) >>> 0 };
  }

  #take(): void {
    const words = this.#words;
    let first = this.#first;
    let second = this.#second;
    for (let index = 0; index * 4 < this.#filled; index++) {
      const word = words[index]!;
      first = Math.imul((first << 13) | (first >>> 19), OTHER_FACTOR) ^ Math.imul(word ^ (word >>> 15), MURMUR_FACTOR);
      second = Math.imul(second ^ word, MURMUR_FACTOR);
      second ^= second >>> 15;
    }
    this.#first = first;
    this.#second = second;
    this.#taken += this.#filled;
    this.#filled = 0;
  }
}
