import type { CommitObserver } from '../../storage/group-commit.ts';
import type { StoreError, StoreErrorCode } from '../../storage/ordered-store.ts';
import type { Clock } from '../clock.ts';
import { Histogram } from './histogram.ts';
import { Tally } from './tally.ts';

const RECORD_BOUNDS = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 10_000];
const BYTE_BOUNDS = [250, 1000, 4000, 16_000, 64_000, 256_000, 1_000_000, 4_000_000, 16_000_000];
const CODES: readonly StoreErrorCode[] = ['full', 'locked', 'corrupt', 'closed', 'failed'];

/** What the store was given to write, and how long it took. */
export class CommitMeter implements CommitObserver {
  readonly seconds = new Histogram();
  readonly records = new Histogram(RECORD_BOUNDS);
  readonly bytes = new Histogram(BYTE_BOUNDS);
  /** Batches that were refused, by the code of the error. */
  readonly failures = new Tally<StoreErrorCode>(CODES);
  readonly #clock: Clock;
  #beganMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  begins(records: number, bytes: number): void {
    this.#beganMs = this.#clock.monotonic();
    this.records.observe(records);
    this.bytes.observe(bytes);
  }

  ends(failure: StoreError | undefined): void {
    this.seconds.observe((this.#clock.monotonic() - this.#beganMs) / 1000);
    if (failure !== undefined) this.failures.add(failure.code);
  }
}
