import { textValue } from '../../stanzas/byte-string.ts';
import { otherAttribute, type Frame } from '../../stanzas/frame.ts';
import { NS } from '../../stanzas/namespaces.ts';
import { decodeBase64 } from './base64.ts';
import { Login, type LoginContext } from './login.ts';
import { MechanismOffer, type Mechanism, type MechanismPolicy, type SecurityLayer } from './mechanisms.ts';
import { checkPassword, parsePlain } from './plain.ts';
import { SaslError, type SaslFailure } from './sasl-error.ts';
import { ScramExchange } from './scram.ts';

/** What one stream's negotiation runs with. */
export interface SaslContext extends LoginContext, MechanismPolicy {
  readonly security: SecurityLayer;
  readonly random: (lengthBytes: number) => Buffer;
  /** Attempts after the first one, 2 to 5 (RFC 6120 6.4.5); 3 by default. */
  readonly retries?: number;
}

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
  | {
      readonly kind: 'failure';
      readonly reply: string;
      readonly condition: SaslFailure;
      /** No retry is left: close the stream with policy-violation after the reply (RFC 6120 6.4.5). */
      readonly fatal: boolean;
      /** The bare JID that was tried, for the log, as the client claimed it; undefined when it came to none. */
      readonly account: string | undefined;
      /** What broke on our side, for the log; undefined when nothing did. */
      readonly cause: unknown;
    };

/** What a mechanism does with a message: ask on, or be done. */
type Turn = { readonly challenge: string } | { readonly login: Login; readonly additional: string };

/** A handshake under way: takes the client's next message. */
type Handshake = (message: Buffer) => Promise<Turn>;

/** Longest base 64 content of <auth/> and <response/>; the longest honest one has three localparts of 1023 bytes. */
const MAX_CONTENT = 8192;

const NONCE_BYTES = 18; // 24 characters of base 64, without a pad

/** The receiving entity's side of RFC 6120 6.4 on one stream, over frames: it knows no socket. */
export class SaslNegotiation {
  readonly #context: SaslContext;
  readonly #offer: MechanismOffer;
  #mechanism: Mechanism | undefined;
  #handshake: Handshake | undefined;
  #account: string | undefined;
  #attempts = 0;
  #busy = false;

  constructor(context: SaslContext) {
    this.#context = context;
    this.#offer = new MechanismOffer(context.security, context);
  }

  /** `<mechanisms/>` and `<sasl-channel-binding/>` for the stream features, as a byte string; '' when none is offered. */
  features(): string {
    return this.#offer.toBytes();
  }

  /**
   * Takes a first-level element of the SASL namespace. One at a time: the next only when the step before has resolved,
   * which a throttled failure does late. Never rejects for what a client sends.
   */
  async receive(frame: Frame): Promise<SaslStep> {
    if (this.#busy) throw new Error('a SASL step is still under way');
    this.#busy = true;
    try {
      return await this.#step(frame);
    } catch (error) {
      return this.#fail(error);
    } finally {
      this.#busy = false;
    }
  }

  async #step(frame: Frame): Promise<SaslStep> {
    if (frame.namespace !== NS.SASL) throw this.#outOfPlace();
    switch (frame.name) {
      case 'auth': {
        this.#begin(otherAttribute(frame, 'mechanism'));
        const initial = messageOf(frame);
        // RFC 6120 6.3.10: a client may leave the initial response out; it is asked for with an empty challenge
        if (initial === undefined) return { kind: 'challenge', reply: element('challenge', '') };
        return this.#advance(initial);
      }
      case 'response':
        if (this.#handshake === undefined) throw this.#outOfPlace();
        return this.#advance(messageOf(frame) ?? Buffer.alloc(0));
      case 'abort':
        if (this.#handshake === undefined) this.#attempts += 1;
        throw new SaslError('aborted'); // RFC 6120 6.4.4
      default:
        throw this.#outOfPlace();
    }
  }

  /** RFC 6120 6.4.2: a new <auth/> discards the handshake that is under way. */
  #begin(name: string | undefined): void {
    this.#forget();
    this.#attempts += 1;
    // Only handshakes begun and never ended lead here: they count, or one stream could begin them for ever.
    if (this.#attempts > this.#retries + 1) throw new SaslError('not-authorized');
    const mechanism = this.#offer.choose(name);
    this.#mechanism = mechanism;
    this.#handshake = mechanism.kind === 'plain' ? this.#plain() : this.#scram(mechanism);
  }

  async #advance(message: Buffer): Promise<SaslStep> {
    const { name } = this.#mechanism!;
    const turn = await this.#handshake!(message);
    if ('challenge' in turn) return { kind: 'challenge', reply: element('challenge', turn.challenge) };
    this.#forget();
    // RFC 6120 6.3.10: additional data travels with success
    return {
      kind: 'success',
      reply: element('success', turn.additional),
      username: turn.login.username,
      mechanism: name,
    };
  }

  #plain(): Handshake {
    return async (message) => {
      const { username, authzid, password } = parsePlain(message);
      const login = await this.#claim(username, authzid);
      await checkPassword(login, password, this.#context.work);
      return { login, additional: '' };
    };
  }

  #scram({ hash, plus }: Extract<Mechanism, { kind: 'scram' }>): Handshake {
    const exchange = new ScramExchange({
      hash,
      plus,
      offer: this.#offer,
      nonce: this.#context.random(NONCE_BYTES).toString('base64'),
      downgradeHash: this.#offer.downgradeHash(hash),
    });
    let login: Login | undefined;
    return async (message) => {
      if (login === undefined) {
        const { username, authzid } = exchange.start(message);
        login = await this.#claim(username, authzid);
        return { challenge: exchange.challenge(login.keys(hash)) };
      }
      return { login, additional: await login.judge(hash, () => exchange.judge(message)) };
    };
  }

  async #claim(username: string, authzid: string | undefined): Promise<Login> {
    this.#account = `${username}@${this.#context.domain}`;
    return Login.claim(this.#context, username, authzid);
  }

  #fail(error: unknown): SaslStep {
    const account = this.#account;
    this.#forget();
    // Anything but a SaslError is our own trouble, such as a store that cannot be read.
    const known = error instanceof SaslError;
    const failure = known ? error : new SaslError('temporary-auth-failure');
    return {
      kind: 'failure',
      reply: failure.toBytes(),
      condition: failure.condition,
      fatal: this.#attempts > this.#retries,
      account,
      cause: known ? undefined : error,
    };
  }

  #forget(): void {
    this.#mechanism = undefined;
    this.#handshake = undefined;
    this.#account = undefined;
  }

  #outOfPlace(): SaslError {
    this.#attempts += 1; // nothing that can be sent for ever is free
    return new SaslError('malformed-request');
  }

  get #retries(): number {
    return this.#context.retries ?? 3;
  }
}

/**
 * The decoded content of `<auth/>` or `<response/>`; undefined when there is none, empty for `=` (RFC 6120 6.4.2).
 * @throws SaslError malformed-request, incorrect-encoding
 */
function messageOf(frame: Frame): Buffer | undefined {
  if (frame.children.length > 0 || frame.content.length > MAX_CONTENT) throw new SaslError('malformed-request');
  const text = textValue(frame.content);
  if (text === '') return undefined;
  if (text === '=') return Buffer.alloc(0);
  const message = decodeBase64(text);
  if (message === undefined) throw new SaslError('incorrect-encoding');
  return message;
}

/** An element of the SASL namespace around a message of ASCII. */
function element(name: 'challenge' | 'success', message: string): string {
  if (message === '') return `<${name} xmlns='${NS.SASL}'/>`;
  return `<${name} xmlns='${NS.SASL}'>${Buffer.from(message, 'latin1').toString('base64')}</${name}>`;
}
