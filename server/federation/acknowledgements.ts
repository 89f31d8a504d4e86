import type { Frame } from '../../stanzas/frame.ts';
import { toByteString } from '../../stanzas/byte-string.ts';
import { NS } from '../../stanzas/namespaces.ts';
import { StreamError } from '../../stanzas/stream-error.ts';
import type { FederationContext } from './federation-context.ts';
import { toOwners, type Parcel } from './parcel.ts';
import type { ProvedPairs } from './proved-pairs.ts';
import { ARRIVAL_PING } from './server-stanza.ts';
import { countOf, loseFlow, resumeFlow, StreamFlow } from './stream-flow.ts';

/** Stanzas of one stream in work; reading from it pauses above. */
const MAX_UNPROCESSED = 512;
/** After this many stanzas a ping asks the peer how far it has come, without waiting for the next look at the clock. */
const PING_EVERY = 100;

/** What was asked, and when (monotonic milliseconds): by `<r/>`, or by a ping behind what was sent. */
interface Question {
  readonly id: string | undefined;
  readonly mark: number;
  readonly at: number;
}

/** The stream whose acknowledgements they are. */
export interface AcknowledgedStream {
  readonly isOpen: boolean;
  readonly context: FederationContext;
  readonly pairs: Pick<ProvedPairs, 'sent'>;
  write(bytes: string): void;
}

/** How a stream and its peer tell each other how far they have come: by XEP-0198, or by pings where the peer has not that. */
export class Acknowledgements {
  flow = new StreamFlow(MAX_UNPROCESSED);
  readonly #stream: AcknowledgedStream;
  #asked: Question | undefined;

  constructor(stream: AcknowledgedStream) {
    this.#stream = stream;
  }

  /** Counts a stanza that is sent; `askIfDue` follows when it has been written. */
  push(parcel: Parcel): void {
    this.flow.push(parcel);
  }

  /**
   * Where acknowledgements are exchanged one question is always on its way, so that a crash of the peer leaves little in doubt.
   * @param now monotonic milliseconds
   */
  askIfDue(now: number): void {
    if (this.#asked !== undefined) return;
    if (this.flow.isCounting || this.flow.unconfirmedCount % PING_EVERY === 0) this.#ask(now);
  }

  /** Asks unless that is done already; returns whether something is not known to have arrived. @param now monotonic milliseconds */
  askNow(now: number): boolean {
    if (this.flow.unconfirmedCount === 0) return false;
    if (this.#asked === undefined) this.#ask(now);
    return true;
  }

  /** Takes `<r/>` and `<a/>`; false for anything else (XEP-0198 4). @throws StreamError */
  take(frame: Frame): boolean {
    if (!this.flow.isCounting) return false;
    switch (frame.name) {
      case 'r':
        this.flow.inbound.whenReached(() => {
          if (!this.#stream.isOpen) return;
          this.#stream.write(`<a xmlns='${NS.STREAM_MANAGEMENT}' h='${this.flow.inbound.handled}'/>`);
        });
        return true;
      case 'a':
        this.#counted(countOf(frame));
        return true;
      default:
        return false;
    }
  }

  /** A ping has been answered; returns whether it was one of this stream. */
  pingAnswered(id: string): boolean {
    if (this.#asked?.id !== id) return false;
    const { mark } = this.#asked;
    this.#asked = undefined;
    this.#confirm(mark);
    return true;
  }

  /** Goes on with what a broken stream left. @throws StreamError */
  resume(flow: StreamFlow, handled: number): void {
    const before = this.flow;
    this.flow = flow;
    this.#asked = undefined;
    // Nothing was to be sent before; nobody counts it now.
    loseFlow(before);
    resumeFlow(flow, handled);
  }

  /**
   * Looks at the clock. `silent`: the peer owes an answer for too long; `unanswered`: it does, but has never given one;
   * `waiting`: something is unconfirmed.
   * @param now monotonic milliseconds
   */
  check(now: number): 'silent' | 'unanswered' | 'waiting' | 'settled' {
    const asked = this.#asked;
    if (asked !== undefined && now - asked.at > this.#stream.context.settings.acknowledgementTimeoutSeconds * 1000) {
      return this.flow.isCounting || this.#answersPings() ? 'silent' : 'unanswered';
    }
    if (this.flow.unconfirmedCount === 0) return 'settled';
    if (this.#asked === undefined) this.#ask(now);
    return 'waiting';
  }

  /** @throws StreamError */
  #counted(count: number): void {
    const isAnswer = this.#asked !== undefined;
    const before = this.flow.unconfirmedCount;
    this.#asked = undefined;
    if (this.#confirm(count)) {
      const { unconfirmedCount } = this.flow;
      // One that tells nothing new is not asked again before the clock says so.
      if (isAnswer && unconfirmedCount > 0 && unconfirmedCount < before) {
        this.#ask(this.#stream.context.clock.monotonic());
      }
      return;
    }
    // XEP-0198 4
    const application = `<handled-count-too-high xmlns='${NS.STREAM_MANAGEMENT}' h='${count}' send-count='${this.flow.sent}'/>`;
    throw new StreamError('undefined-condition', 'More was acknowledged than sent', application);
  }

  #confirm(count: number): boolean {
    const confirmed = this.flow.confirm(count);
    if (confirmed === undefined) return false;
    toOwners(confirmed, (owner, own) => owner.confirmed(own));
    return true;
  }

  #answersPings(): boolean {
    const [pair] = this.#stream.pairs.sent;
    return pair !== undefined && this.#stream.context.events.answersPings(pair.remote);
  }

  #ask(now: number): void {
    const [pair] = this.#stream.pairs.sent;
    if (pair === undefined) return;
    if (this.flow.isCounting) {
      this.#asked = { id: undefined, mark: 0, at: now };
      this.#stream.write(`<r xmlns='${NS.STREAM_MANAGEMENT}'/>`);
      return;
    }
    // XEP-0199: whoever answers has read everything before
    const id = `${ARRIVAL_PING}${this.#stream.context.randomId()}`;
    this.#asked = { id, mark: this.flow.sent, at: now };
    this.#stream.write(
      `<iq from='${toByteString(pair.local)}' to='${toByteString(pair.remote)}' type='get' id='${id}'><ping xmlns='${NS.PING}'/></iq>`,
    );
  }
}
