import { hash as digest } from 'node:crypto';

/** A sum over things in any order: 64 bits, so that two different sets have the same one by no accident. */
export class Checksum {
  #high = 0;
  #low = 0;

  add(text: string): void {
    const hash = digest('sha1', text, 'buffer');
    this.#high = (this.#high + hash.readUInt32BE(0)) >>> 0;
    this.#low = (this.#low + hash.readUInt32BE(4)) >>> 0;
  }

  equals(other: Checksum): boolean {
    return this.#high === other.#high && this.#low === other.#low;
  }
}
