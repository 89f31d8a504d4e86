import { createHash } from 'node:crypto';

import type { Clock } from '../clock.ts';
import type { Eventual } from '../eventual.ts';
import { FailureRecords, type FailureRecord } from './failure-records.ts';
import { networkOf } from './network.ts';

/** The time, as FailureThrottle needs it. */
type ThrottleClock = Pick<Clock, 'monotonic' | 'schedule'>;

/** Options of FailureThrottle; every one has a default. */
export interface ThrottleOptions {
  /** Failures without a delay for one address on one account, for one address, and for one account. */
  readonly freeFailures?: { readonly pair: number; readonly address: number; readonly account: number };
  readonly baseDelayMs?: number;
  readonly maxDelayMs?: number;
  /** An attempt that would wait longer than this for its turn is refused instead; twice the longest delay by default. */
  readonly maxWaitMs?: number;
  readonly forgetAfterMs?: number;
  /** Records kept of each kind: of pairs for as many as lose their connections together and come back. */
  readonly capacity?: { readonly pair: number; readonly address: number; readonly account: number };
  /** Attempts and answers that may be held back at the same time. */
  readonly maxWaiting?: number;
}

/**
 * Slows down who guesses passwords (RFC 6120 13.9.4), without a lock that a stranger could turn on somebody's account:
 * - by address, and by address and account: further attempts take turns, the longer apart the more have failed;
 * - by account, over all addresses: only the answer to a *failure* waits, so a correct login from elsewhere never does;
 * - an address that has logged in to an account before does not queue behind its neighbours' failures.
 */
export class FailureThrottle {
  readonly #clock: ThrottleClock;
  readonly #pairs: FailureRecords;
  readonly #addresses: FailureRecords;
  readonly #accounts: FailureRecords;
  readonly #maxWaitMs: number;
  readonly #maxWaiting: number;
  #waiting = 0;

  constructor(clock: ThrottleClock, options: ThrottleOptions = {}) {
    const {
      freeFailures = { pair: 2, address: 10, account: 10 },
      baseDelayMs = 250,
      maxDelayMs = 8000,
      maxWaitMs = 2 * maxDelayMs,
      forgetAfterMs = 900_000,
      capacity = { pair: 8192, address: 4096, account: 4096 },
      maxWaiting = 1000,
    } = options;
    const records = (kind: 'pair' | 'address' | 'account'): FailureRecords =>
      new FailureRecords(capacity[kind], { freeFailures: freeFailures[kind], baseDelayMs, maxDelayMs, forgetAfterMs });
    this.#clock = clock;
    this.#pairs = records('pair');
    this.#addresses = records('address');
    this.#accounts = records('account');
    this.#maxWaitMs = maxWaitMs;
    this.#maxWaiting = maxWaiting;
  }

  /** Attempts and answers held back at this moment. */
  get waiting(): number {
    return this.#waiting;
  }

  /** Records kept of pairs, addresses and accounts together. */
  get size(): number {
    return this.#pairs.size + this.#addresses.size + this.#accounts.size;
  }

  /** Whether this address has logged in to this account, as far back as is remembered. */
  hasLoggedIn(address: string, account: string): boolean {
    return this.#pairs.find(pairKey(networkOf(address), account), this.#clock.monotonic())?.proven === true;
  }

  /**
   * Waits for an attempt's turn, before it is judged. Turns are given out in order and one at a time, so that many
   * connections guess no faster than one.
   * @returns false when the turn is too far away: the attempt is to be refused unjudged
   */
  admit(address: string, account: string): Eventual<boolean> {
    const now = this.#clock.monotonic();
    const network = networkOf(address);
    const pair = this.#pairs.find(pairKey(network, account), now);
    const neighbours = pair?.proven === true ? undefined : this.#addresses.find(network, now);
    const pairDelayMs = delayOf(this.#pairs, pair);
    const addressDelayMs = delayOf(this.#addresses, neighbours);
    if (pairDelayMs === 0 && addressDelayMs === 0) return true;

    const turn = Math.max(
      now,
      pairDelayMs === 0 ? 0 : (pair?.nextAttemptAt ?? 0),
      addressDelayMs === 0 ? 0 : (neighbours?.nextAttemptAt ?? 0),
    );
    if (turn - now > this.#maxWaitMs) return false;
    if (turn > now && this.#waiting >= this.#maxWaiting) return false;
    if (pair !== undefined) pair.nextAttemptAt = turn + pairDelayMs;
    if (neighbours !== undefined) neighbours.nextAttemptAt = turn + addressDelayMs;
    return this.#wait(turn - now).then(() => true);
  }

  /** Counts a failure, then waits as long as its answer is to be held back. */
  async failed(address: string, account: string): Promise<void> {
    const now = this.#clock.monotonic();
    const network = networkOf(address);
    const delayMs = Math.max(
      this.#pairs.fail(pairKey(network, account), now),
      this.#addresses.fail(network, now),
      this.#accounts.fail(short(account), now),
    );
    // With too many held back the answer goes out at once; the next attempt still waits for its turn.
    if (this.#waiting < this.#maxWaiting) await this.#wait(delayMs);
  }

  /**
   * Counts a success. It clears what this address failed on this account, and nothing else: whoever owns one account
   * could otherwise clear the address between guesses at others.
   */
  succeeded(address: string, account: string): void {
    this.#pairs.succeed(pairKey(networkOf(address), account), this.#clock.monotonic());
  }

  async #wait(durationMs: number): Promise<void> {
    if (durationMs <= 0) return;
    this.#waiting += 1;
    try {
      await new Promise<void>((resolve) => this.#clock.schedule(durationMs, resolve));
    } finally {
      this.#waiting -= 1;
    }
  }
}

function delayOf(records: FailureRecords, record: FailureRecord | undefined): number {
  return record === undefined ? 0 : records.delayMs(record);
}

function pairKey(network: string, account: string): string {
  return `${network} ${short(account)}`;
}

/** An account's name as a key of bounded length: strangers may send kilobytes. */
function short(account: string): string {
  return account.length <= 64 ? account : createHash('sha256').update(account).digest('base64');
}
