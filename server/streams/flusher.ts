import type { Log } from '../log.ts';

/** Something that gathers output. */
export interface Flushable {
  flush(): void;
  destroy(): void;
}

/** Writes out, once per turn of the loop, every connection that has gathered output: one `setImmediate` for all of them. */
export class Flusher {
  /** What connections have handed to the system. */
  bytesWritten = 0;
  readonly #log: Log;
  readonly #flushed: (() => void) | undefined;
  readonly #run = (): void => this.#flushAll();
  #waiting = new Set<Flushable>();

  /** @param flushed told each time that output was written */
  constructor({ log, flushed }: { readonly log: Log; readonly flushed?: () => void }) {
    this.#log = log;
    this.#flushed = flushed;
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
    this.#flushed?.();
  }
}
