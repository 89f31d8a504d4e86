import type { Clock } from '../clock.ts';
import type { PeerFailure } from './peer-failure.ts';

const FIRST_RETRY_MS = 2000;
const LONGEST_RETRY_MS = 300_000;
/** How long a failure that will not mend by itself is remembered. */
const FINAL_RETRY_MS = 30_000;

/** When another server that could not be reached is tried again: less and less often. */
export class RetrySchedule {
  readonly #clock: Clock;
  /** From 0 (inclusive) to 1 (exclusive). */
  readonly #random: () => number;
  #failures = 0;
  #failure: PeerFailure | undefined;
  /** Monotonic milliseconds; nobody knocks before. */
  #retryAt = 0;

  constructor({ clock, random }: { readonly clock: Clock; readonly random: () => number }) {
    this.#clock = clock;
    this.#random = random;
  }

  /** Why the last attempt failed; undefined while all is well. */
  get lastFailure(): PeerFailure | undefined {
    return this.#failure;
  }

  /** Whether it is time to try. */
  get isDue(): boolean {
    return this.#clock.monotonic() >= this.#retryAt;
  }

  /** An attempt has failed; returns how long the next one waits, in milliseconds. */
  failed(failure: PeerFailure): number {
    this.#failure = failure;
    this.#failures++;
    const longest = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(this.#failures - 1, 20));
    const waitMs = failure.isFinal ? FINAL_RETRY_MS : longest * (0.5 + this.#random() / 2);
    this.#retryAt = this.#clock.monotonic() + waitMs;
    return waitMs;
  }

  succeeded(): void {
    this.#failures = 0;
    this.#failure = undefined;
    this.#retryAt = 0;
  }

  /** Gives up waiting. */
  retryNow(): void {
    this.#retryAt = 0;
  }

  /** Why nothing is taken at the moment; undefined while there is hope. @param isKept whether it could wait for the next attempt */
  hopelessness(isKept: boolean): PeerFailure | undefined {
    if (this.#failure === undefined || this.isDue) return undefined;
    return this.#failure.isFinal || !isKept ? this.#failure : undefined;
  }
}
