import { textValue } from '../../stanzas/byte-string.ts';
import { otherAttribute, type Frame } from '../../stanzas/frame.ts';
import { NS } from '../../stanzas/namespaces.ts';
import { whenThere, type Eventual } from '../eventual.ts';
import { decodeMessage, Handshakes, type HandshakeFailure, type SaslContext } from './handshakes.ts';
import { SaslError } from './sasl-error.ts';

/** What to send after a frame, and what has become of the handshake. `reply` is one element, as a byte string. */
export type SaslStep =
  | { readonly kind: 'challenge'; readonly reply: string }
  | {
      readonly kind: 'success';
      readonly reply: string;
      /** The prepared localpart. */
      readonly username: string;
      readonly mechanism: string;
    }
  | ({ readonly kind: 'failure'; readonly reply: string } & HandshakeFailure);

/** The receiving entity's side of RFC 6120 6.4 on one stream, over frames: it knows no socket. */
export class SaslNegotiation {
  readonly #handshakes: Handshakes;
  #busy = false;

  /** @param handshakes the stream's, where XEP-0388 shares them */
  constructor(context: SaslContext, handshakes = new Handshakes(context)) {
    this.#handshakes = handshakes;
  }

  /** `<mechanisms/>` and `<sasl-channel-binding/>` for the stream features, as a byte string; '' when none is offered. */
  features(): string {
    const { offer } = this.#handshakes;
    const mechanisms = offer.mechanismBytes();
    if (mechanisms === '') return ''; // RFC 6120 A.4: <mechanisms/> holds at least one
    return `<mechanisms xmlns='${NS.SASL}'>${mechanisms}</mechanisms>${offer.bindingBytes()}`;
  }

  /**
   * Takes a first-level element of the SASL namespace. One at a time: the next only when the step before has resolved,
   * which a throttled failure does late. Neither throws nor rejects for what a client sends.
   */
  receive(frame: Frame): Eventual<SaslStep> {
    if (this.#busy) throw new Error('a SASL step is still under way');
    try {
      const step = this.#step(frame);
      return step instanceof Promise ? this.#whenDone(step) : step;
    } catch (error) {
      return this.#failure(error);
    }
  }

  async #whenDone(step: Promise<SaslStep>): Promise<SaslStep> {
    this.#busy = true;
    try {
      return await step;
    } catch (error) {
      return this.#failure(error);
    } finally {
      this.#busy = false;
    }
  }

  #failure(error: unknown): SaslStep {
    const failure = this.#handshakes.fail(error);
    return { kind: 'failure', reply: failure.error.toBytes(), ...failure };
  }

  #step(frame: Frame): Eventual<SaslStep> {
    const handshakes = this.#handshakes;
    if (frame.namespace !== NS.SASL) throw this.#outOfPlace();
    switch (frame.name) {
      case 'auth': {
        handshakes.begin(otherAttribute(frame, 'mechanism'));
        const initial = messageOf(frame);
        // RFC 6120 6.3.10: a client may leave the initial response out; it is asked for with an empty challenge
        if (initial === undefined) return { kind: 'challenge', reply: element('challenge', '') };
        return this.#advance(initial);
      }
      case 'response':
        if (!handshakes.isUnderWay) throw this.#outOfPlace();
        return this.#advance(messageOf(frame) ?? Buffer.alloc(0));
      case 'abort':
        if (!handshakes.isUnderWay) handshakes.countMisplaced();
        throw new SaslError('aborted'); // RFC 6120 6.4.4
      default:
        throw this.#outOfPlace();
    }
  }

  #advance(message: Buffer): Eventual<SaslStep> {
    return whenThere(this.#handshakes.advance(message), (turn) => {
      if ('challenge' in turn) return { kind: 'challenge', reply: element('challenge', turn.challenge) };
      const { login, mechanism, additional } = turn;
      // RFC 6120 6.3.10: additional data travels with success
      return { kind: 'success', reply: element('success', additional), username: login.username, mechanism };
    });
  }

  #outOfPlace(): SaslError {
    this.#handshakes.countMisplaced();
    return new SaslError('malformed-request');
  }
}

/**
 * The decoded content of `<auth/>` or `<response/>`; undefined when there is none, empty for `=` (RFC 6120 6.4.2).
 * @throws SaslError malformed-request, incorrect-encoding
 */
function messageOf(frame: Frame): Buffer | undefined {
  if (frame.children.length > 0) throw new SaslError('malformed-request');
  const text = textValue(frame.content);
  if (text === '') return undefined;
  return text === '=' ? Buffer.alloc(0) : decodeMessage(text);
}

/** An element of the SASL namespace around a message of ASCII. */
function element(name: 'challenge' | 'success', message: string): string {
  if (message === '') return `<${name} xmlns='${NS.SASL}'/>`;
  return `<${name} xmlns='${NS.SASL}'>${Buffer.from(message, 'latin1').toString('base64')}</${name}>`;
}
