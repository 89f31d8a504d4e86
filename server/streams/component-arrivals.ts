import type { ComponentQueue } from './component-queue.ts';

/** The beginning of the ids of pings by which a stream learns how far its component has come. */
const ARRIVAL_PING = 'posthorn-arrived-';
/** After this many stanzas the component is asked without waiting for the next look at the clock. */
const ASK_EVERY = 100;

export interface ComponentArrivalsOptions {
  readonly queue: ComponentQueue;
  /** How long a component may leave a ping unanswered without the system taking anything for it, milliseconds. */
  readonly timeoutMs: number;
  readonly randomId: () => string;
  /** Sends the component a ping under this id, behind everything else. */
  readonly ping: (id: string) => void;
}

/**
 * How far a component has come: XEP-0114 has no acknowledgements, but whoever answers a ping has read everything before it
 * (RFC 6120 8.2.3 and 10.1).
 */
export class ComponentArrivals {
  readonly #options: ComponentArrivalsOptions;
  #asked: { readonly id: string; readonly mark: number } | undefined;
  /** When the component last showed that it reads, monotonic milliseconds; while it is asked. */
  #progressMs = 0;
  #hasAnswered = false;

  constructor(options: ComponentArrivalsOptions) {
    this.#options = options;
  }

  /** Asks, unless an answer is still due. */
  ask(nowMs: number): void {
    if (this.#asked !== undefined) return;
    const { queue, randomId, ping } = this.#options;
    this.#asked = { id: `${ARRIVAL_PING}${randomId()}`, mark: queue.mark };
    this.#progressMs = nowMs;
    ping(this.#asked.id);
  }

  /** A stanza was written. */
  wrote(nowMs: number): void {
    if (this.#options.queue.stanzas % ASK_EVERY === 0) this.ask(nowMs);
  }

  /** The system has taken something. */
  progressed(nowMs: number): void {
    this.#progressMs = nowMs;
  }

  /** An answer came; returns whether it is one to our question. */
  answered(id: string | undefined): boolean {
    if (this.#asked === undefined || id !== this.#asked.id) return false;
    this.#options.queue.confirm(this.#asked.mark);
    this.#asked = undefined;
    this.#hasAnswered = true;
    return true;
  }

  /** Looks at the clock; returns false when the component is to be given up. */
  check(nowMs: number): boolean {
    const { queue, timeoutMs } = this.#options;
    if (this.#asked === undefined) {
      if (queue.stanzas > 0) this.ask(nowMs);
      return true;
    }
    if (nowMs - this.#progressMs <= timeoutMs) return true;
    if (this.#hasAnswered || queue.isSending) return false;
    // Interop: it never answers pings. What the system took so long ago has arrived.
    queue.confirm(this.#asked.mark);
    this.#asked = undefined;
    return true;
  }
}
