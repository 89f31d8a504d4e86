/** The failures of one key: an address, an account, or the two together. */
export interface FailureRecord {
  failures: number;
  /** When the last one was, in ms of the clock. */
  lastFailureAt: number;
  /** Before this moment, in ms of the clock, no further attempt is judged. */
  nextAttemptAt: number;
  /** Whether a login has succeeded under this key. */
  proven: boolean;
}

/** How fast the delays of FailureRecords grow. */
export interface DelaySchedule {
  /** Failures that cost nothing: people mistype. */
  readonly freeFailures: number;
  /** Delay after the first failure beyond those, in ms; each further one doubles it. */
  readonly baseDelayMs: number;
  readonly maxDelayMs: number;
  /** Failures are forgotten when none has come for this long. */
  readonly forgetAfterMs: number;
}

/** Failures by key, in bounded memory: keys come from strangers, so the one counted longest ago makes room. */
export class FailureRecords {
  readonly #records = new Map<string, FailureRecord>();
  readonly #capacity: number;
  readonly #schedule: DelaySchedule;

  constructor(capacity: number, schedule: DelaySchedule) {
    this.#capacity = capacity;
    this.#schedule = schedule;
  }

  get size(): number {
    return this.#records.size;
  }

  /** The record of a key, its failures forgotten when they are old; undefined when there is none. */
  find(key: string, now: number): FailureRecord | undefined {
    const record = this.#records.get(key);
    if (record === undefined) return undefined;
    if (record.failures > 0 && now - record.lastFailureAt >= this.#schedule.forgetAfterMs) record.failures = 0;
    return record;
  }

  /** Counts a failure; returns the delay that it earns, in ms. */
  fail(key: string, now: number): number {
    const record = this.find(key, now) ?? { failures: 0, lastFailureAt: now, nextAttemptAt: now, proven: false };
    record.failures += 1;
    record.lastFailureAt = now;
    const delayMs = this.delayMs(record);
    record.nextAttemptAt = Math.max(record.nextAttemptAt, now + delayMs);
    this.#keep(key, record);
    return delayMs;
  }

  /** Counts a success: the key's failures are forgotten and it is proven. */
  succeed(key: string, now: number): void {
    this.#keep(key, { failures: 0, lastFailureAt: now, nextAttemptAt: now, proven: true });
  }

  /** What each further attempt costs under this record, in ms. */
  delayMs({ failures }: FailureRecord): number {
    const { freeFailures, baseDelayMs, maxDelayMs } = this.#schedule;
    return failures <= freeFailures ? 0 : Math.min(maxDelayMs, baseDelayMs * 2 ** (failures - freeFailures - 1));
  }

  #keep(key: string, record: FailureRecord): void {
    this.#records.delete(key); // to the end: a Map iterates in the order of insertion
    this.#records.set(key, record);
    if (this.#records.size <= this.#capacity) return;
    for (const oldest of this.#records.keys()) {
      this.#records.delete(oldest);
      return;
    }
  }
}
