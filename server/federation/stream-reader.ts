import { Scanner, type ScannerLimits, type ScannerSink } from '../../stanzas/scanner.ts';
import type { Clock } from '../clock.ts';
import type { Connection } from '../streams/connection.ts';
import type { RateLimit } from '../streams/rate-limit.ts';

/** The stream that a reader reads for. */
export interface ReaderOwner extends ScannerSink {
  /** Whether the next element must wait. A callback that makes it so returns false. */
  readonly isStopped: boolean;
  /** Reading has stopped: `goOn` is called when it may go on. */
  readingStopped(): void;
  /** What came cannot be taken. */
  fail(error: unknown): void;
}

export interface StreamReaderOptions {
  readonly connection: Connection;
  readonly owner: ReaderOwner;
  readonly limits: ScannerLimits;
  readonly clock: Clock;
  /** Undefined: any amount may come. */
  readonly rate: RateLimit | undefined;
}

/** Takes the bytes of a connection to a scanner as long as the stream wants more; what has come by then is held. */
export class StreamReader {
  readonly #options: StreamReaderOptions;
  readonly #scanner: Scanner;
  #held: Buffer[] = [];
  #isThrottled = false;

  constructor(options: StreamReaderOptions) {
    this.#options = options;
    this.#scanner = new Scanner(options.limits);
  }

  /** Bytes came. @param nowMs monotonic */
  received(chunk: Buffer, nowMs: number): void {
    const { owner, connection, rate } = this.#options;
    if (owner.isStopped) {
      this.#held.push(Buffer.from(chunk));
      connection.pause();
    } else this.#take(chunk);
    const pauseMs = rate?.spend(chunk.length, nowMs) ?? 0;
    if (pauseMs > 0) this.#throttle(pauseMs);
  }

  /** Takes what was held, and reads on. */
  goOn(): void {
    const { owner } = this.#options;
    while (this.#held.length > 0 && !owner.isStopped) this.#take(this.#held.shift()!);
    this.#readOn();
  }

  /** Expects a new stream header next (RFC 6120 4.3.3). */
  restart(limits: ScannerLimits): void {
    this.#scanner.reset();
    this.#scanner.setLimits(limits);
  }

  setLimits(limits: ScannerLimits): void {
    this.#scanner.setLimits(limits);
  }

  /** Forgets what came in and has not been taken. */
  forget(): void {
    this.#held = [];
  }

  #take(chunk: Buffer): void {
    const { owner, connection } = this.#options;
    try {
      const consumed = this.#scanner.scan(chunk, owner);
      // The rest comes before whatever else is held.
      if (consumed < chunk.length && owner.isStopped) this.#held.unshift(Buffer.from(chunk.subarray(consumed)));
    } catch (error) {
      owner.fail(error);
      return;
    }
    if (!owner.isStopped) return;
    connection.pause();
    owner.readingStopped();
  }

  #throttle(pauseMs: number): void {
    this.#isThrottled = true;
    this.#options.connection.pause();
    this.#options.clock.schedule(pauseMs, () => {
      this.#isThrottled = false;
      this.#readOn();
    });
  }

  #readOn(): void {
    if (!this.#options.owner.isStopped && !this.#isThrottled) this.#options.connection.resume();
  }
}
