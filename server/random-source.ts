import { randomFillSync } from 'node:crypto';

/** 144 bits: nobody guesses the id of somebody else's session. */
const ID_BYTES = 18;
const POOL_BYTES = 4096;

/**
 * Random bytes of the system's generator, fetched many at a time: a call of it costs 5 µs however few are asked for, and a
 * login needs some at four places. No byte is given out twice.
 */
export class RandomSource {
  readonly #pool = Buffer.allocUnsafeSlow(POOL_BYTES);
  #used = POOL_BYTES;

  /** That many random bytes, the caller's own. */
  bytes(length: number): Buffer {
    if (length > POOL_BYTES) return randomFillSync(Buffer.allocUnsafeSlow(length));
    const start = this.#take(length);
    const bytes = Buffer.from(this.#pool.subarray(start, this.#used));
    this.#pool.fill(0, start, this.#used); // they may become a secret, of which there is to be one copy
    return bytes;
  }

  /** An id that nobody can guess (RFC 6120 4.7.3, 7.6), for the streams, sessions and stanzas of a server. */
  readonly id = (): string => {
    const start = this.#take(ID_BYTES);
    return this.#pool.toString('base64url', start, this.#used);
  };

  /** From 0 to 1, for jitter. */
  readonly fraction = (): number => this.#pool.readUInt32BE(this.#take(4)) / 2 ** 32;

  /** Where the next bytes begin; they end at `#used`. */
  #take(length: number): number {
    if (this.#used + length > POOL_BYTES) {
      randomFillSync(this.#pool);
      this.#used = 0;
    }
    this.#used += length;
    return this.#used - length;
  }
}
