import type { Log } from '../log.ts';

/** Something that gathers output. */
export interface Flushable {
  flush(): void;
  destroy(): void;
}

/** Writes out, once per turn of the loop, every connection that has gathered output: one `setImmediate` for all of them. */
export class Flusher {
  readonly #log: Log;
  readonly #run = (): void => this.#flushAll();
  #waiting = new Set<Flushable>();

  constructor({ log }: { readonly log: Log }) {
    this.#log = log;
  }

  /** Has the connection flushed at the end of this turn. */
  add(connection: Flushable): void {
    if (this.#waiting.size === 0) setImmediate(this.#run);
    this.#waiting.add(connection);
  }

  #flushAll(): void {
    const waiting = this.#waiting;
    this.#waiting = new Set();
    for (const connection of waiting) {
      try {
        connection.flush();
      } catch (error) {
        // A defect met while one connection is written must not keep the others from being written.
        this.#log.error({ err: error }, 'writing to a connection failed');
        connection.destroy();
      }
    }
  }
}
