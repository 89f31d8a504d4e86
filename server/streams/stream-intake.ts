import type { Eventual } from '../eventual.ts';
import type { InboundLedger } from '../routing/receipt.ts';
import type { Connection } from './connection.ts';
import { RateLimit } from './rate-limit.ts';
import type { StreamContext } from './stream-context.ts';

type IntakeContext = Pick<StreamContext, 'clock' | 'commit'>;

/** How fast the stream may send; 0: any amount. */
export interface IntakeRate {
  readonly bytesPerSecond: number;
  readonly burstBytes: number;
}

/** Who is fed by an intake. */
export interface IntakeOwner {
  readonly connection: Connection;
  /** What counts the session's work in progress; undefined while there is no session. */
  readonly inbound: InboundLedger | undefined;
  /** Whether nothing is taken any more. */
  readonly isClosed: boolean;
  /** Acts on bytes (under `websocket` framing, on a message); returns how many it took: less than all once it is stopped. */
  take(chunk: Buffer): number;
  /** Reading pauses, as more came than may. */
  throttled?(): void;
  /** Ends the stream for what `take` threw, or work it waits for rejected with. */
  fail(error: unknown): void;
}

/**
 * Decides when a stream takes more of what comes: not while something asynchronous decides what comes next, nor while its
 * session has too much in progress, the disk is behind, or its client sends faster than it may. Meanwhile reading pauses,
 * and what had been read already waits here.
 */
export class StreamIntake {
  readonly #owner: IntakeOwner;
  readonly #context: IntakeContext;
  readonly #rate: RateLimit | undefined;
  /** Something asynchronous decides what comes next: no element is taken before it is done. */
  #isBusy = false;
  #isOver = false;
  #isThrottled = false;
  #held: Buffer[] | undefined;

  constructor(owner: IntakeOwner, context: IntakeContext, { bytesPerSecond, burstBytes }: IntakeRate) {
    const { clock } = context;
    this.#owner = owner;
    this.#context = context;
    this.#rate = bytesPerSecond === 0 ? undefined : new RateLimit(bytesPerSecond, burstBytes, clock.monotonic());
  }

  /** Whether the next element has to wait. */
  get isStopped(): boolean {
    const { isClosed, inbound } = this.#owner;
    return this.#isBusy || this.#isOver || isClosed || inbound?.isAboveMark === true;
  }

  /** Takes what has been read, now or when it may. */
  receive(chunk: Buffer): void {
    if (this.isStopped) {
      (this.#held ??= []).push(Buffer.from(chunk)); // it was only lent
      this.#owner.connection.pause();
    } else this.#take(chunk);
  }

  /** Counts what was read, and pauses reading where it was more than the client may send (RFC 6120 13.12). */
  charge(bytes: number, nowMs: number): void {
    const pauseMs = this.#rate?.spend(bytes, nowMs) ?? 0;
    if (pauseMs === 0) return;
    this.#isThrottled = true;
    this.#owner.throttled?.();
    this.#owner.connection.pause();
    this.#context.clock.schedule(pauseMs, () => {
      this.#isThrottled = false;
      this.#resume();
    });
  }

  /** Takes no further element until the work is done; what it rejects with ends the stream. */
  waitFor(work: Eventual<void>): void {
    // Nobody has to wait: reading need not pause either.
    if (!(work instanceof Promise)) return;
    this.#isBusy = true;
    work.then(
      () => {
        this.#isBusy = false;
        this.#goOn();
      },
      (error: unknown) => {
        this.#isBusy = false;
        this.#owner.fail(error);
      },
    );
  }

  /** Takes nothing more. */
  stop(): void {
    this.#isOver = true;
    this.#owner.connection.pause();
  }

  /** Forgets what came in and has not been taken. */
  forget(): void {
    this.#held = undefined;
  }

  /** Our side is closed: only the end of the peer's side is of interest, and nothing that came before. */
  awaitEnd(): void {
    this.#isOver = false;
    this.#held = undefined;
    this.#owner.connection.resume();
  }

  #take(chunk: Buffer): void {
    try {
      const taken = this.#owner.take(chunk);
      // The rest comes before whatever else is held.
      if (taken < chunk.length && this.isStopped) (this.#held ??= []).unshift(Buffer.from(chunk.subarray(taken)));
    } catch (error) {
      this.#owner.fail(error);
      return;
    }
    const { commit } = this.#context;
    // What comes faster than the disk takes it stays with who sends it.
    if (commit.isFull && !this.isStopped) this.waitFor(commit.whenRoom());
    if (!this.isStopped) return;
    const { connection, inbound } = this.#owner;
    connection.pause();
    if (inbound?.isAboveMark === true) inbound.onRelief = () => setImmediate(() => this.#goOn());
  }

  #goOn(): void {
    while (this.#held !== undefined && !this.isStopped) {
      const chunk = this.#held.shift();
      if (chunk === undefined) this.#held = undefined;
      else this.#take(chunk);
    }
    this.#resume();
  }

  #resume(): void {
    if (!this.isStopped && !this.#isThrottled) this.#owner.connection.resume();
  }
}
