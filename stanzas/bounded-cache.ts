/**
 * A map that forgets what has not been asked for lately, so that keys chosen by strangers cannot fill the memory. It
 * keeps two generations: a full young one becomes the old one, and what was in the old one and not asked for is gone.
 */
export class BoundedCache<Key, Value extends object> {
  readonly #generationSize: number;
  #young = new Map<Key, Value>();
  #old = new Map<Key, Value>();

  /** @param capacity the most entries it ever holds; at least 2. @throws RangeError */
  constructor(capacity: number) {
    if (!Number.isSafeInteger(capacity) || capacity < 2)
      throw new RangeError('capacity must be an integer of at least 2');
    this.#generationSize = capacity >> 1;
  }

  /** Entries held; one asked for in both generations counts twice. */
  get size(): number {
    return this.#young.size + this.#old.size;
  }

  get(key: Key): Value | undefined {
    const young = this.#young.get(key);
    if (young !== undefined) return young;
    const old = this.#old.get(key);
    if (old !== undefined) this.set(key, old);
    return old;
  }

  set(key: Key, value: Value): void {
    if (this.#young.size >= this.#generationSize && !this.#young.has(key)) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(key, value);
  }
}
