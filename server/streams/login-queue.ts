import type { StreamError } from '../../stanzas/stream-error.ts';
import type { Clock } from '../clock.ts';
import type { Log } from '../log.ts';
import { Tally } from '../metrics/tally.ts';
import { networkOf } from '../sasl/network.ts';
import { comeBackLater } from './come-back.ts';
import { RateLimits } from './rate-limits.ts';

/** What a client that begins to log in brings. */
export type LoginKind =
  | 'return' // a token or a session to resume: cheap, and somebody waits for it
  | 'full'; // a password

/** How many may log in; `config.c2s` has exactly these. */
export interface LoginLimits {
  /** 0: any number. */
  readonly loginsPerSecond: number;
  /** The same for one network, in a minute: see networkOf. 0: any number. */
  readonly loginsPerMinutePerAddress: number;
  /** Logins that may wait. */
  readonly maxLoginsWaiting: number;
  /** How long one may wait. */
  readonly loginWaitSeconds: number;
}

/** Options of LoginQueue. */
export interface LoginQueueOptions {
  readonly limits: LoginLimits;
  readonly clock: Clock;
  readonly log: Log;
  /** From 0 to 1, for the jitter. */
  readonly random: () => number;
}

type LoginLimit = 'logins_per_minute_per_address' | 'max_logins_waiting' | 'login_wait_seconds';

interface Waiter {
  readonly sinceMs: number;
  readonly begin: () => void;
  readonly refuse: (error: StreamError) => void;
}

/** Logins begun in one turn of the loop: who is in already waits no longer than these take. */
const LOGINS_PER_TURN = 16;
/** Of so many logins one is a full one, however many return: nobody is kept out for ever. */
const FULL_EVERY = 8;
const SECOND_MS = 1000;
const WARN_EVERY_MS = 60_000;

/**
 * Says when each client may begin to log in, so that a crowd that returns after a restart neither stalls those who are in
 * nor is stalled itself: a few in each turn of the loop, returns before full logins, each kind in the order in which it
 * came. Without a crowd nobody waits. Who would wait too long is told when to come back.
 */
export class LoginQueue {
  /** Logins that were told to come back later, by limit. */
  readonly refused = new Tally<LoginLimit>([
    'logins_per_minute_per_address',
    'max_logins_waiting',
    'login_wait_seconds',
  ]);
  readonly #options: LoginQueueOptions;
  readonly #overall: RateLimits | undefined;
  readonly #networks: RateLimits | undefined;
  readonly #waiting: Readonly<Record<LoginKind, Waiter[]>> = { return: [], full: [] };
  #begunThisTurn = 0;
  #begun = 0;
  #isTurnAwaited = false;
  #cancelTimer: (() => void) | undefined;
  /** Logins begun in the last whole second and in this one: how fast the queue moves. */
  #lastSecond = { startMs: 0, count: 0, rate: 0 };
  #warnedMs = -Infinity;

  constructor(options: LoginQueueOptions) {
    this.#options = options;
    const { loginsPerSecond, loginsPerMinutePerAddress } = options.limits;
    if (loginsPerSecond > 0)
      this.#overall = new RateLimits({ perMs: loginsPerSecond / SECOND_MS, burst: loginsPerSecond });
    if (loginsPerMinutePerAddress > 0) {
      const perMs = loginsPerMinutePerAddress / (60 * SECOND_MS);
      this.#networks = new RateLimits({ perMs, burst: loginsPerMinutePerAddress });
    }
  }

  waitingOf(kind: LoginKind): number {
    return this.#waiting[kind].length;
  }

  /** Logins that wait. */
  get waiting(): number {
    return this.#waiting.return.length + this.#waiting.full.length;
  }

  /**
   * Waits for a login's turn.
   * @returns undefined where it may begin at once
   * @throws StreamError (or rejects with it) that says when to come back
   */
  enter(kind: LoginKind, address: string): Promise<void> | undefined {
    const { clock, limits } = this.#options;
    const nowMs = clock.monotonic();
    const networkWaitMs = this.#networks?.take(networkOf(address), nowMs) ?? 0;
    if (networkWaitMs > 0) throw this.#refusal('logins_per_minute_per_address', networkWaitMs / SECOND_MS);
    if (this.waiting === 0 && this.#mayBegin(nowMs)) {
      this.#noteBegun(nowMs);
      return undefined;
    }
    if (this.waiting >= limits.maxLoginsWaiting) throw this.#refusal('max_logins_waiting', this.#waitSeconds());
    return new Promise((begin, refuse) => {
      this.#waiting[kind].push({ sinceMs: nowMs, begin, refuse });
      this.#goOn();
    });
  }

  /** Refuses who has waited too long; about once a second. */
  expire(): void {
    const { clock, limits } = this.#options;
    const sinceMs = clock.monotonic() - limits.loginWaitSeconds * SECOND_MS;
    for (const queue of [this.#waiting.return, this.#waiting.full]) {
      const waiting = queue.findIndex((waiter) => waiter.sinceMs > sinceMs);
      for (const { refuse } of queue.splice(0, waiting < 0 ? queue.length : waiting)) {
        refuse(this.#refusal('login_wait_seconds', this.#waitSeconds()));
      }
    }
  }

  #mayBegin(nowMs: number): boolean {
    if (this.#begunThisTurn >= LOGINS_PER_TURN) return false;
    return (this.#overall?.take('', nowMs) ?? 0) === 0;
  }

  #noteBegun(nowMs: number): void {
    this.#begun += 1;
    this.#begunThisTurn += 1;
    if (nowMs - this.#lastSecond.startMs >= SECOND_MS) {
      this.#lastSecond = { startMs: nowMs, count: 0, rate: this.#lastSecond.count };
    }
    this.#lastSecond.count += 1;
    this.#awaitTurn();
  }

  /** Lets begin who may, and sees to it that the rest is not forgotten. */
  #goOn(): void {
    const nowMs = this.#options.clock.monotonic();
    while (this.waiting > 0 && this.#mayBegin(nowMs)) {
      this.#noteBegun(nowMs);
      this.#next().begin();
    }
    if (this.waiting === 0) return;
    if (this.#begunThisTurn >= LOGINS_PER_TURN) this.#awaitTurn();
    else this.#awaitRate(nowMs);
  }

  #next(): Waiter {
    const { return: returning, full } = this.#waiting;
    const isFullsTurn = this.#begun % FULL_EVERY === 0;
    return ((isFullsTurn ? full.shift() : undefined) ?? returning.shift() ?? full.shift())!;
  }

  #awaitTurn(): void {
    if (this.#isTurnAwaited) return;
    this.#isTurnAwaited = true;
    setImmediate(() => {
      this.#isTurnAwaited = false;
      this.#begunThisTurn = 0;
      this.#goOn();
    });
  }

  #awaitRate(nowMs: number): void {
    this.#cancelTimer?.();
    const waitMs = this.#overall?.waitMs('', nowMs) ?? 0;
    this.#cancelTimer = this.#options.clock.schedule(Math.max(1, Math.ceil(waitMs)), () => {
      this.#cancelTimer = undefined;
      this.#goOn();
    });
  }

  /** How long the whole queue takes at the pace of now. */
  #waitSeconds(): number {
    return this.waiting / Math.max(1, this.#lastSecond.rate, this.#lastSecond.count);
  }

  #refusal(limit: LoginLimit, seconds: number): StreamError {
    const { clock, log, random } = this.#options;
    const nowMs = clock.monotonic();
    this.refused.add(limit);
    // Once in a minute: refusing must cost the crowd's log line no more than it costs the crowd.
    if (nowMs - this.#warnedMs >= WARN_EVERY_MS) {
      this.#warnedMs = nowMs;
      log.warn({ limit: `c2s.${limit}`, waiting: this.waiting }, 'too many log in: some are told to come back later');
    }
    return comeBackLater(seconds, random());
  }
}
