import { element } from '../../stanzas/element.ts';
import { Jid } from '../../stanzas/jid.ts';
import { NS } from '../../stanzas/namespaces.ts';
import { Stanza } from '../../stanzas/stanza.ts';
import { StreamError } from '../../stanzas/stream-error.ts';
import type { ClientStream } from './client-stream.ts';

const LATE_ACKNOWLEDGEMENT_MS = 1000;

/** What a stream writes for its session: stanzas, pings, and the requests and answers of XEP-0198 4. */
export class SessionOutput {
  readonly #stream: ClientStream;
  #isAckRequested = false;
  /** When the client asked for our count and has not been told, monotonic milliseconds. */
  #ackOwedSince: number | undefined;
  /** Stanzas for a session whose client is not told yet that it has one. */
  #withheld: Stanza[] | undefined;

  constructor(stream: ClientStream) {
    this.#stream = stream;
  }

  get isWithholding(): boolean {
    return this.#withheld !== undefined;
  }

  /** Writes a stanza for a bound client. */
  writeStanza(stanza: Stanza): void {
    const { context, session } = this.#stream;
    if (this.#withheld !== undefined) {
      this.#withheld.push(stanza);
      if (this.#withheld.length > context.config.limits.maxQueueStanzas) {
        context.counters.limits.add('limits.max_queue');
        this.#stream.closeWithError(new StreamError('resource-constraint', 'Too much waits for this client'));
      }
      return;
    }
    this.#stream.writeOwn(stanza);
    if (stanza.kind === 'message') context.counters.clientStanzasSent.message++;
    else context.counters.clientStanzasSent[stanza.kind]++;
    if (session?.isAcknowledging === true) this.requestAcknowledgement();
  }

  /** Stanzas wait from now on until `release`; what the client must hear first is written meanwhile. */
  withhold(): void {
    this.#withheld = [];
  }

  release(): void {
    const stanzas = this.#withheld ?? [];
    this.#withheld = undefined;
    for (const stanza of stanzas) this.#stream.writeStanza(stanza);
  }

  /** Asks the client for its count, unless an answer is still due (XEP-0198 4). */
  requestAcknowledgement(): void {
    if (this.#isAckRequested) return;
    this.#isAckRequested = true;
    this.#stream.connection.write(`<r xmlns='${NS.STREAM_MANAGEMENT}'/>`);
  }

  acknowledgementCame(): void {
    this.#isAckRequested = false;
  }

  /** The client has asked for our count (XEP-0198 4). */
  owesAcknowledgement(): void {
    this.#ackOwedSince ??= this.#stream.lastHeardMs;
  }

  /** Tells the client our count. */
  payAcknowledgement(handled: number): void {
    this.#ackOwedSince = undefined;
    if (this.#stream.state !== 'bound') return;
    this.#stream.connection.write(`<a xmlns='${NS.STREAM_MANAGEMENT}' h='${handled}'/>`);
  }

  /** XEP-0198 4: an answer is not withheld because the store takes its time; what is committed by then is told. */
  payLateAcknowledgement(now: number): void {
    if (this.#ackOwedSince === undefined || now - this.#ackOwedSince < LATE_ACKNOWLEDGEMENT_MS) return;
    this.payAcknowledgement(this.#stream.session?.inbound.handled ?? 0); // another follows when all of it is handled
  }

  /** Asks for a sign of life (RFC 6120 4.6): by whatever the client must answer. */
  ping(): void {
    const { context, negotiation, session } = this.#stream;
    if (session?.isAcknowledging === true) {
      this.#isAckRequested = false;
      this.requestAcknowledgement();
    } else {
      const header = { from: Jid.of('', negotiation.domain ?? ''), id: context.randomId(), type: 'get' };
      this.#stream.writeOwn(Stanza.create('iq', header, [element('ping', NS.PING)]));
    }
  }
}
