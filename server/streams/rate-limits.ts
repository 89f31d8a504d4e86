interface Bucket {
  left: number;
  atMs: number;
}

/** How fast the buckets of RateLimits fill, and how much they hold. */
export interface Rate {
  readonly perMs: number;
  readonly burst: number;
}

/** Buckets kept at most: keys come from strangers. */
const CAPACITY = 20_000;

/** A token bucket for each key, in bounded memory: a full bucket is as good as none and is forgotten first. */
export class RateLimits {
  readonly #rate: Rate;
  /** In the order in which they were last used. */
  readonly #buckets = new Map<string, Bucket>();

  constructor(rate: Rate) {
    this.#rate = rate;
  }

  get size(): number {
    return this.#buckets.size;
  }

  /** Takes one from the key's bucket; returns 0, or where it is empty takes none and returns when there will be one, in ms. */
  take(key: string, nowMs: number): number {
    const bucket = this.#filled(key, nowMs);
    if (bucket.left < 1) return this.#waitFor(bucket);
    bucket.left -= 1;
    this.#buckets.delete(key); // to the end
    this.#buckets.set(key, bucket);
    this.#forgetOldest();
    return 0;
  }

  /** For how many milliseconds `take` would refuse. */
  waitMs(key: string, nowMs: number): number {
    const bucket = this.#filled(key, nowMs);
    return bucket.left < 1 ? this.#waitFor(bucket) : 0;
  }

  #waitFor({ left }: Bucket): number {
    return (1 - left) / this.#rate.perMs;
  }

  #filled(key: string, nowMs: number): Bucket {
    const { perMs, burst } = this.#rate;
    const bucket = this.#buckets.get(key);
    if (bucket === undefined) return { left: burst, atMs: nowMs };
    bucket.left = Math.min(burst, bucket.left + (nowMs - bucket.atMs) * perMs);
    bucket.atMs = nowMs;
    return bucket;
  }

  #forgetOldest(): void {
    if (this.#buckets.size <= CAPACITY) return;
    for (const key of this.#buckets.keys()) {
      this.#buckets.delete(key);
      return;
    }
  }
}
