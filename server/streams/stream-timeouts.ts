import type { Config } from '../../config/options.ts';

type Limits = Pick<
  Config['c2s'],
  'authenticationTimeoutSeconds' | 'closeTimeoutSeconds' | 'idleSeconds' | 'pingTimeoutSeconds'
>; // config.components has these as well

/** What a silence calls for (RFC 6120 4.6). */
export type Silence = 'bearable' | 'worth a ping' | 'too long';

/** How long one stream may take to log in and to close, and be silent in between. Times are monotonic milliseconds. */
export class StreamTimeouts {
  readonly #limits: Limits;
  #lastHeardMs: number;
  #deadlineMs: number;
  #isPinged = false;

  constructor(limits: Limits, nowMs: number) {
    this.#limits = limits;
    this.#lastHeardMs = nowMs;
    this.#deadlineMs = nowMs + limits.authenticationTimeoutSeconds * 1000;
  }

  /** When something came last, were it white space (RFC 6120 4.6.1). */
  get lastHeardMs(): number {
    return this.#lastHeardMs;
  }

  heard(nowMs: number): void {
    this.#lastHeardMs = nowMs;
    this.#isPinged = false;
  }

  /** From now on it is the close that may not take for ever (RFC 6120 4.4). */
  closes(nowMs: number): void {
    this.#deadlineMs = nowMs + this.#limits.closeTimeoutSeconds * 1000;
  }

  /** Whether the login, or the close once it has begun, took too long. */
  isOverdue(nowMs: number): boolean {
    return nowMs > this.#deadlineMs;
  }

  /** What the silence calls for now; for a ping once in each silence. */
  silence(nowMs: number): Silence {
    const { idleSeconds, pingTimeoutSeconds } = this.#limits;
    const silentMs = nowMs - this.#lastHeardMs;
    if (silentMs > (idleSeconds + pingTimeoutSeconds) * 1000) return 'too long';
    if (silentMs <= idleSeconds * 1000 || this.#isPinged) return 'bearable';
    this.#isPinged = true;
    return 'worth a ping';
  }
}
