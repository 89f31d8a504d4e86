import { pbkdf2 } from 'node:crypto';

/** The queue of password work is full; the login may be tried again later (RFC 6120 6.5.11). */
export class PasswordWorkRefused extends Error {
  constructor() {
    super('too many passwords are being checked');
    this.name = 'PasswordWorkRefused';
  }
}

/** Limits of PasswordWork. */
export interface PasswordWorkLimits {
  /** Derivations at the same time. The thread pool is shared with the disk and DNS, so never all of it. */
  readonly maxRunning?: number;
  /** Derivations that may wait behind those; one more is refused. */
  readonly maxWaiting?: number;
}

/**
 * PBKDF2 off the loop, with a bounded queue: each derivation occupies a thread of libuv's pool for milliseconds, so a
 * crowd of PLAIN logins must neither starve the store nor pile up.
 */
export class PasswordWork {
  readonly #maxRunning: number;
  readonly #maxWaiting: number;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor({ maxRunning = 2, maxWaiting = 256 }: PasswordWorkLimits = {}) {
    this.#maxRunning = maxRunning;
    this.#maxWaiting = maxWaiting;
  }

  /** Derivations that wait for a thread. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /**
   * RFC 8018 PBKDF2 with HMAC, first come, first served.
   * @param digest as node:crypto names it
   * @throws PasswordWorkRefused when the queue is full
   */
  async derive(
    password: string,
    salt: Uint8Array,
    iterations: number,
    lengthBytes: number,
    digest: string,
  ): Promise<Buffer> {
    if (this.#running >= this.#maxRunning) {
      if (this.#waiting.length >= this.#maxWaiting) throw new PasswordWorkRefused();
      // The one that ends hands its place over, so nobody who comes later slips in between.
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    } else {
      this.#running += 1;
    }
    try {
      return await derivePbkdf2(password, salt, iterations, lengthBytes, digest);
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#running -= 1;
      else next();
    }
  }
}

/** RFC 8018 PBKDF2 in the thread pool, unqueued. */
export function derivePbkdf2(
  password: string,
  salt: Uint8Array,
  iterations: number,
  lengthBytes: number,
  digest: string,
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    pbkdf2(password, salt, iterations, lengthBytes, digest, (error, key) => {
      if (error === null) resolve(key);
      else reject(error);
    });
  });
}
