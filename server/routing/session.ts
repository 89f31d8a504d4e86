import type { Jid } from '../../stanzas/jid.ts';
import type { Stanza } from '../../stanzas/stanza.ts';
import type { StreamError } from '../../stanzas/stream-error.ts';
import type { Account } from './account.ts';
import type { Resource } from './delivery.ts';
import { InboundLedger } from './receipt.ts';

/** The stream under a session, as the session sees it. */
export interface SessionStream {
  readonly remoteAddress: string;
  readonly transport: string;
  readonly isSecure: boolean;
  readonly bufferedBytes: number;
  /** Writes a stanza (a byte string with the stream's content namespace as default); gathered until the turn's end. */
  writeStanza(stanza: Stanza): void;
  /** Sends the error and closes (RFC 6120 4.9). */
  closeWithError(error: StreamError): void;
}

export interface SessionLimits {
  readonly maxQueueStanzas: number;
  readonly maxQueueBytes: number;
  readonly maxUnprocessedStanzas: number;
}

/** A stanza handed to the stream that its client may not have. */
export interface Unconfirmed {
  readonly stanza: Stanza;
  /** Its entry in the account's log; undefined where it has none. */
  readonly position: number | undefined;
}

/** Keeps from a client what it does not need at the moment (XEP-0352). */
export interface DeliveryGate {
  /** Whether it takes the stanza, to hand it to the session later, in order. What was taken before comes first. */
  takes(stanza: Stanza): boolean;
  /** Hands over everything it took. */
  release(): void;
}

/** What makes a session resumable (XEP-0198 5). */
export interface Resumption {
  /** The SM-ID: unguessable, never used again. */
  readonly id: string;
  /** How long it may be without a stream, milliseconds. */
  readonly maxMs: number;
  /** When it lost its stream, on the monotonic clock in milliseconds; undefined while it has one. */
  detachedAt: number | undefined;
  /** Whether the store knows a count of its handled stanzas. */
  isCounted: boolean;
}

/** How far both directions of a session have been acknowledged, and what is not. */
export interface SessionQueue {
  /** Modulo 2^32. */
  readonly handled: number;
  /** Modulo 2^32. */
  readonly confirmed: number;
  readonly unconfirmed: readonly Unconfirmed[];
}

/**
 * A bound resource (RFC 6120 7). It is not its stream: what was delivered and not confirmed belongs here, stays while the
 * client comes back over another stream (XEP-0198 5), and goes back to the account when the session ends.
 */
export class Session implements Resource {
  readonly account: Account;
  readonly jid: Jid;
  /** When it was bound, milliseconds since the epoch. */
  readonly since: number;
  readonly inbound: InboundLedger;
  stream: SessionStream | undefined;
  /** Whether it has ended: nothing is delivered to it any more. */
  isOver = false;
  /** Undefined where the session ends with its stream. */
  resumption: Resumption | undefined;
  /** Whether its client has closed the stream in order (RFC 6120 4.4), and so sends nothing again. */
  isClosedInOrder = false;
  /** The last available presence (RFC 6121 4.2, 4.4); undefined while the resource is only connected. */
  presence: Stanza | undefined;
  /** Priority of that presence, -128 to 127. */
  priority: number | undefined;
  slots: unknown[] | undefined;
  /** Undefined where the client is sent everything at once. */
  gate: DeliveryGate | undefined;
  /** Whether stanzas are confirmed by XEP-0198 acknowledgements rather than by being handed to the system. */
  isAcknowledging = false;
  #unconfirmed: Unconfirmed[] = [];
  #unconfirmedBytes = 0;
  /** How many were ever confirmed: the `h` we expect next, modulo 2^32, is this plus at most the queue's length. */
  #confirmed = 0;
  readonly #limits: SessionLimits;

  constructor(account: Account, jid: Jid, stream: SessionStream | undefined, since: number, limits: SessionLimits) {
    this.account = account;
    this.jid = jid;
    this.stream = stream;
    this.since = since;
    this.#limits = limits;
    this.inbound = new InboundLedger(limits.maxUnprocessedStanzas);
  }

  get isAvailable(): boolean {
    return this.priority !== undefined;
  }

  get unconfirmedCount(): number {
    return this.#unconfirmed.length;
  }

  /** Whether a flush of the offline queue should wait for the client to read. */
  get isBehind(): boolean {
    const { maxQueueStanzas, maxQueueBytes } = this.#limits;
    return this.#unconfirmed.length * 2 > maxQueueStanzas || this.#backlogBytes() * 2 > maxQueueBytes;
  }

  /**
   * Delivers a stanza; without a stream it stays in the queue for the next one. A client that reads too slowly is
   * disconnected rather than allowed to fill our memory; what has an entry in the log is delivered again later. Returns
   * false if the session is over.
   */
  deliver(stanza: Stanza, position?: number): boolean {
    const { stream } = this;
    if (this.isOver || (stream === undefined && this.resumption === undefined)) return false;
    if (this.gate !== undefined) {
      // What has an entry in the log must stay with who confirms it.
      if (position !== undefined) this.gate.release();
      else if (this.gate.takes(stanza)) return true;
    }
    if (this.isAcknowledging || position !== undefined) {
      this.#unconfirmed.push({ stanza, position });
      this.#unconfirmedBytes += stanza.size;
    }
    stream?.writeStanza(stanza);
    const { maxQueueStanzas, maxQueueBytes } = this.#limits;
    const backlogBytes = this.#backlogBytes();
    // One stanza larger than the whole bound is no backlog: it could never be delivered otherwise.
    const isTooMuch = backlogBytes > maxQueueBytes && backlogBytes > stanza.size * 2;
    if (this.#unconfirmed.length > maxQueueStanzas || isTooMuch) this.account.overflowed(this);
    return true;
  }

  /**
   * The peer has handled `h` of our stanzas (XEP-0198 4). Returns false when that is more than were sent.
   */
  acknowledge(h: number): boolean {
    const count = (h - this.#confirmed) >>> 0;
    if (count > this.#unconfirmed.length) return false;
    this.#confirm(count);
    return true;
  }

  /** Mark for what a flush takes with it, -1 when nothing waits for it. */
  flushMark(): number {
    return this.isAcknowledging || this.#unconfirmed.length === 0
      ? -1
      : (this.#confirmed + this.#unconfirmed.length) >>> 0;
  }

  /** Everything up to the mark has been handed to the system. */
  flushed(mark: number): void {
    const count = (mark - this.#confirmed) >>> 0;
    if (!this.isAcknowledging && count <= this.#unconfirmed.length) this.#confirm(count);
  }

  /**
   * Starts counting (XEP-0198 3): what was written before does not count, but it is not known to have arrived either. The
   * first acknowledgement, which comes behind it on the stream, confirms it as well.
   */
  startAcknowledging(): void {
    this.#confirmed = -this.#unconfirmed.length >>> 0;
    this.isAcknowledging = true;
    this.inbound.restartCount();
  }

  /** How many stanzas were sent since counting started, modulo 2^32. */
  get sent(): number {
    return (this.#confirmed + this.#unconfirmed.length) >>> 0;
  }

  /** Both counters and the queue, to be saved. */
  get queue(): SessionQueue {
    return { handled: this.inbound.handled, confirmed: this.#confirmed, unconfirmed: this.#unconfirmed };
  }

  /** Goes on where an earlier run of the server has stopped; for a session that has just been made. */
  restore({ handled, confirmed, unconfirmed }: SessionQueue): void {
    this.isAcknowledging = true;
    this.inbound.restore(handled);
    this.#confirmed = confirmed;
    this.#unconfirmed = [...unconfirmed];
    this.#unconfirmedBytes = unconfirmed.reduce((sum, { stanza }) => sum + stanza.size, 0);
  }

  /** Gives the session a new stream and sends again what the client does not have (XEP-0198 5). */
  attach(stream: SessionStream): void {
    this.stream = stream;
    if (this.resumption !== undefined) this.resumption.detachedAt = undefined;
    for (const { stanza } of this.#unconfirmed) stream.writeStanza(stanza);
  }

  /** Ends the queue: what its client may not have, in order. */
  takeUnconfirmed(): readonly Unconfirmed[] {
    const rest = this.#unconfirmed;
    this.#unconfirmed = [];
    this.#unconfirmedBytes = 0;
    return rest;
  }

  #confirm(count: number): void {
    if (count === 0) return;
    const confirmed = count === this.#unconfirmed.length ? this.#unconfirmed : this.#unconfirmed.slice(0, count);
    this.#unconfirmed = count === this.#unconfirmed.length ? [] : this.#unconfirmed.slice(count);
    this.#confirmed = (this.#confirmed + count) >>> 0;
    for (const { stanza, position } of confirmed) {
      this.#unconfirmedBytes -= stanza.size;
      if (position !== undefined) this.account.pending.confirm(position);
    }
  }

  #backlogBytes(): number {
    return Math.max(this.#unconfirmedBytes, this.stream?.bufferedBytes ?? 0);
  }
}
