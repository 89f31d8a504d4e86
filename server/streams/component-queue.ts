import type { Stanza } from '../../stanzas/stanza.ts';
import type { Receipt } from '../routing/receipt.ts';

/** A stanza that was accepted for a component and is not known to have reached it. */
export interface QueuedStanza {
  readonly stanza: Stanza;
  readonly receipt: Receipt | undefined;
  /** Whether nobody is told where it does not arrive. */
  readonly isShown: boolean;
  readonly byteLength: number;
}

/** How much may be on its way to one component. */
export interface ComponentQueueLimits {
  readonly maxQueueStanzas: number;
  readonly maxQueueBytes: number;
}

/** After this long without the system taking anything, senders wait no more for what they have sent. */
const STALLED_MS = 1000;

/**
 * What a component was given, in order, until it is known to have read it: what is left when its stream ends goes back to
 * the senders. A receipt is settled when the system has taken the stanza. Deviation from "acknowledged means stored or
 * delivered": where a component does not read, it is settled after a second, so that nobody's stream stalls; such a
 * stanza comes back if it does not arrive, but does not outlive a crash of this server.
 */
export class ComponentQueue {
  readonly #limits: ComponentQueueLimits;
  /** The oldest of them is the one after the last that was confirmed. */
  #queued: QueuedStanza[] = [];
  #bytes = 0;
  /** How many were ever put, taken by the system, and confirmed. */
  #put = 0;
  #taken = 0;
  #confirmed = 0;
  /** Since when the system has taken nothing of what waits for it, monotonic milliseconds; undefined: nothing waits. */
  #stalledSince: number | undefined;
  #isStalled = false;

  constructor(limits: ComponentQueueLimits) {
    this.#limits = limits;
  }

  /** Stanzas that are not known to have arrived. */
  get stanzas(): number {
    return this.#queued.length;
  }

  /** How many were ever put: a mark for `confirm`. */
  get mark(): number {
    return this.#put;
  }

  /** Whether some wait for the system to take them. */
  get isSending(): boolean {
    return this.#taken < this.#put;
  }

  /** Whether one more fits; one that is larger than all the room fits when nothing else is there. */
  hasRoomFor(byteLength: number): boolean {
    const { maxQueueStanzas, maxQueueBytes } = this.#limits;
    if (this.#queued.length === 0) return true;
    return this.#queued.length < maxQueueStanzas && this.#bytes + byteLength <= maxQueueBytes;
  }

  /** @param nowMs monotonic */
  put(queued: QueuedStanza, nowMs: number): void {
    this.#queued.push(queued);
    this.#bytes += queued.byteLength;
    this.#put++;
    this.#stalledSince ??= nowMs;
    if (this.#isStalled) queued.receipt?.settle();
  }

  /** As ConnectionListener.flushMark. */
  get flushMark(): number {
    return this.isSending ? this.#put : -1;
  }

  /** The system has everything up to the mark. @param nowMs monotonic */
  flushed(mark: number, nowMs: number): void {
    const from = Math.max(this.#taken - this.#confirmed, 0);
    this.#taken = Math.max(this.#taken, mark);
    this.#stalledSince = this.isSending ? nowMs : undefined;
    this.#isStalled &&= this.isSending;
    this.#settle(from, this.#taken - this.#confirmed);
  }

  /** Looks at the clock. @param nowMs monotonic */
  check(nowMs: number): void {
    if (this.#isStalled || this.#stalledSince === undefined || nowMs - this.#stalledSince <= STALLED_MS) return;
    this.#isStalled = true;
    this.#settle(0, this.#queued.length);
  }

  /** The component has read everything up to the mark. */
  confirm(mark: number): void {
    const arrived = this.#queued.splice(0, mark - this.#confirmed);
    this.#confirmed += arrived.length;
    for (const { byteLength, receipt } of arrived) {
      this.#bytes -= byteLength;
      receipt?.settle();
    }
  }

  /** Takes out what is not known to have arrived. */
  takeBack(): readonly QueuedStanza[] {
    this.#bytes = 0;
    this.#taken = this.#confirmed = this.#put;
    this.#stalledSince = undefined;
    return this.#queued.splice(0);
  }

  #settle(from: number, to: number): void {
    for (let index = from; index < to; index++) this.#queued[index]?.receipt?.settle();
  }
}
