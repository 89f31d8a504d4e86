import type { Log } from '../log.ts';

/** Something that gathers output. */
export interface Flushable {
  flush(): void;
  destroy(): void;
}

/**
 * How many connections gather output before it is written within the turn. Where thousands are active in one turn, what all
 * of them gathered would have left the caches, and much of it the young generation, before it is written: a message then
 * took 1.8 times as long with 10 000 of them.
 */
const MANY = 32;

/**
 * Writes out every connection that has gathered output: at the end of the turn of the loop, one `setImmediate` for all of
 * them, or before, when they are many.
 */
export class Flusher {
  /** What connections have handed to the system. */
  bytesWritten = 0;
  readonly #log: Log;
  readonly #flushed: (() => void) | undefined;
  readonly #run = (): void => {
    this.#isScheduled = false;
    this.#flushAll();
  };
  #waiting: Flushable[] = [];
  #isScheduled = false;

  /** @param flushed told each time that output was written */
  constructor({ log, flushed }: { readonly log: Log; readonly flushed?: () => void }) {
    this.#log = log;
    this.#flushed = flushed;
  }

  /** Has the connection flushed at the end of this turn at the latest. Adding it again changes nothing. */
  add(connection: Flushable): void {
    this.#waiting.push(connection);
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(this.#run);
  }

  /** What came in one piece has been dealt with: a good moment to write where much waits. */
  relieve(): void {
    if (this.#waiting.length >= MANY) this.#flushAll();
  }

  #flushAll(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
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
