import { otherAttribute, type Frame } from '../../stanzas/frame.ts';
import { StreamError } from '../../stanzas/stream-error.ts';
import type { DomainPair } from '../../storage/outboxes.ts';
import { InboundLedger } from '../routing/receipt.ts';
import { NOBODY, toOwners, type Parcel, type ParcelOwner } from './parcel.ts';

/**
 * What went out and came in over a stream between servers, and over those that resumed it (XEP-0198). Without stream
 * management it counts as well, for what a ping confirms.
 */
export class StreamFlow {
  readonly inbound: InboundLedger;
  /** Whether acknowledgements are exchanged. */
  isCounting = false;
  /** The id by which the stream may be resumed, where it may. */
  resumptionId: string | undefined;
  /** How long it may be resumed after a cut. */
  resumptionMs = 0;
  /**
   * Until when it may be resumed after the cut that was, monotonic milliseconds: a stream that is cut while it resumes this one
   * does not prolong it, or what is in doubt might never come back to its senders.
   */
  resumableUntilMs: number | undefined;
  /** The pair with which counting began on a stream that we opened; undefined where the peer did. */
  pair: DomainPair | undefined;
  /** The domain that the peer had proved when it asked to count on a stream that it opened. */
  peer: string | undefined;
  #unconfirmed: Parcel[] = [];
  #confirmed = 0;

  /** @param mark how many stanzas may be in work before reading pauses */
  constructor(mark: number) {
    this.inbound = new InboundLedger(mark);
  }

  get unconfirmedCount(): number {
    return this.#unconfirmed.length;
  }

  /** How many were sent since counting began, modulo 2^32. */
  get sent(): number {
    return (this.#confirmed + this.#unconfirmed.length) >>> 0;
  }

  /** XEP-0198 3: what was sent before is confirmed by the first acknowledgement as well, which comes behind it. */
  startCounting(): void {
    this.#confirmed = -this.#unconfirmed.length >>> 0;
    this.inbound.restartCount();
    this.isCounting = true;
  }

  push(parcel: Parcel): void {
    this.#unconfirmed.push(parcel);
  }

  /** Takes what a count confirms out of the queue; undefined where more is confirmed than was sent, or no number. */
  confirm(count: number): readonly Parcel[] | undefined {
    if (Number.isNaN(count)) return undefined;
    const number = (count - this.#confirmed) >>> 0;
    if (number > this.#unconfirmed.length) return undefined;
    const confirmed = this.#unconfirmed.slice(0, number);
    this.#unconfirmed = this.#unconfirmed.slice(number);
    this.#confirmed = count >>> 0;
    return confirmed;
  }

  /** Whether something of an owner is not confirmed. */
  holdsOf(owner: ParcelOwner): boolean {
    return this.#unconfirmed.some((parcel) => parcel.owner === owner);
  }

  /** Takes out what one owner has not had confirmed; its places in the count stay. */
  disown(owner: ParcelOwner): readonly Parcel[] {
    const own = this.#unconfirmed.filter((parcel) => parcel.owner === owner);
    if (own.length === 0) return own;
    this.#unconfirmed = this.#unconfirmed.map((parcel) =>
      parcel.owner === owner ? { ...parcel, owner: NOBODY } : parcel,
    );
    return own;
  }

  /** Takes the rest: what is not known to have arrived. */
  takeUnconfirmed(): readonly Parcel[] {
    const rest = this.#unconfirmed;
    this.#unconfirmed = [];
    return rest;
  }
}

/** Goes on with what a broken stream left: what it had not confirmed has surely not been taken. @throws StreamError */
export function resumeFlow(flow: StreamFlow, handled: number): void {
  const confirmed = flow.confirm(handled);
  if (confirmed === undefined) {
    loseFlow(flow);
    throw new StreamError('undefined-condition', 'More was acknowledged than sent');
  }
  flow.resumableUntilMs = undefined;
  toOwners(confirmed, (owner, own) => owner.confirmed(own));
  toOwners(flow.takeUnconfirmed(), (owner, own) => owner.givenBack(own));
}

/** The peer knows no more of a broken stream than, perhaps, how far it had come (XEP-0198 5). */
export function giveUpFlow(flow: StreamFlow, answer: Frame): void {
  const handled = flow.confirm(tryCountOf(answer));
  if (handled === undefined) {
    loseFlow(flow);
    return;
  }
  toOwners(handled, (owner, own) => owner.confirmed(own));
  toOwners(flow.takeUnconfirmed(), (owner, own) => owner.givenBack(own));
}

/** Nobody will ever tell what became of the rest. */
export function loseFlow(flow: StreamFlow): void {
  toOwners(flow.takeUnconfirmed(), (owner, own) => owner.lost(own));
}

function tryCountOf(frame: Frame): number {
  try {
    return countOf(frame);
  } catch {
    return NaN;
  }
}

/** The attribute h of XEP-0198. @throws StreamError */
export function countOf(frame: Frame): number {
  const text = otherAttribute(frame, 'h') ?? '';
  const count = /^\d{1,10}$/.test(text) ? Number(text) : NaN;
  if (!(count < 2 ** 32)) throw new StreamError('bad-format', 'The attribute h is a number of 32 bits');
  return count;
}
