import type { Clock } from '../../server/clock.ts';

/** Time that passes when the test says so. */
export class ManualClock implements Clock {
  readonly #startMs: number;
  #nowMs = 0;
  readonly #tasks = new Set<{ atMs: number; task: () => void }>();

  /** @param startMs what it shows at first, in milliseconds since the epoch */
  constructor(startMs = Date.UTC(1597, 0, 1)) {
    this.#startMs = startMs;
  }

  /** Timers that have neither run nor been cancelled. */
  get scheduled(): number {
    return this.#tasks.size;
  }

  now(): number {
    return this.#startMs + this.#nowMs;
  }

  monotonic(): number {
    return this.#nowMs;
  }

  schedule(delayMs: number, task: () => void): () => void {
    const entry = { atMs: this.#nowMs + delayMs, task };
    this.#tasks.add(entry);
    return () => void this.#tasks.delete(entry);
  }

  /** Runs what is due in this time, in order. */
  advance(durationMs: number): void {
    const untilMs = this.#nowMs + durationMs;
    for (;;) {
      const [next] = [...this.#tasks].filter(({ atMs }) => atMs <= untilMs).sort((one, other) => one.atMs - other.atMs);
      if (next === undefined) break;
      this.#tasks.delete(next);
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.task();
    }
    this.#nowMs = untilMs;
  }
}
