import { tryParseJid } from '../../stanzas/jid.ts';
import { whenThere, type Eventual } from '../eventual.ts';
import { decodeBase64 } from './base64.ts';
import {
  hashedTokenMechanisms,
  parseInitiatorMessage,
  tokenBindingOf,
  type HashedTokenMechanism,
} from './hashed-token.ts';
import type { InlineRequest } from './inline-request.ts';
import { Login, type LoginContext } from './login.ts';
import {
  bindingDataOf,
  MechanismOffer,
  type Mechanism,
  type MechanismOffers,
  type MechanismPolicy,
  type SecurityLayer,
} from './mechanisms.ts';
import { checkPassword, parsePlain } from './plain.ts';
import { SaslError, type SaslFailure } from './sasl-error.ts';
import { ScramExchange } from './scram.ts';
import { UpgradeTasks, type KeyStore } from './upgrade-tasks.ts';
import type { ProvenToken, TokenHolder, Tokens, TokenUse, UserAgent } from './tokens.ts';

/** What one stream's negotiation runs with. */
export interface SaslContext extends LoginContext, MechanismPolicy {
  readonly security: SecurityLayer;
  /** Shared by the streams of a server; each makes its own where there are none. */
  readonly offers?: MechanismOffers;
  readonly random: (lengthBytes: number) => Buffer;
  /** Attempts after the first one, 2 to 5 (RFC 6120 6.4.5); 3 by default. */
  readonly retries?: number;
  /** Undefined: XEP-0484 is not offered. */
  readonly tokens?: Tokens | undefined;
  /** Undefined: XEP-0480 is not offered. */
  readonly keyStore?: KeyStore | undefined;
}

/** What a mechanism does with a message: ask on, or be done. Messages are bytes as latin1. */
export type Turn =
  | { readonly challenge: string }
  | {
      readonly login: Login;
      readonly mechanism: string;
      readonly additional: string;
      /** The token that was used in place of a password. */
      readonly token?: ProvenToken;
    };

/** How a client wants to use its token (XEP-0484, "Client authenticates using FAST"). */
export interface TokenAttempt extends TokenUse {
  readonly agent: UserAgent;
}

/** What XEP-0388 knows of an attempt besides its mechanism. */
export interface AttemptFacts {
  /** Given where the client says that it has a token. */
  readonly token?: TokenAttempt | undefined;
  /** The bare JID that the stream header says it is from. */
  readonly claimed?: string | undefined;
}

/** What has become of a handshake that failed, for the reply and the log. */
export interface HandshakeFailure {
  readonly error: SaslError;
  readonly condition: SaslFailure;
  /** No retry is left: close the stream with policy-violation after the reply (RFC 6120 6.4.5). */
  readonly fatal: boolean;
  /** The bare JID that was tried, for the log, as the client claimed it; undefined when it came to none. */
  readonly account: string | undefined;
  /** The mechanism of it; undefined where none that is offered had been chosen. */
  readonly mechanism: string | undefined;
  /** What broke on our side, for the log; undefined when nothing did. */
  readonly cause: unknown;
}

/** A handshake under way: takes the client's next message. */
type Handshake = (message: Buffer) => Eventual<Turn>;

/** Longest base 64 of one message; the longest honest one has three localparts of 1023 bytes. */
const MAX_CONTENT = 8192;

const NONCE_BYTES = 18; // 24 characters of base 64, without a pad

/** The SASL handshakes of one stream, one after the other, whichever profile (RFC 6120 6, XEP-0388) carries them. */
export class Handshakes {
  readonly offer: MechanismOffer;
  readonly #context: SaslContext;
  #handshake: Handshake | undefined;
  #account: string | undefined;
  #mechanism: string | undefined;
  #claimed: string | undefined;
  #attempts = 0;

  constructor(context: SaslContext) {
    this.#context = context;
    this.offer = context.offers?.for(context.security) ?? new MechanismOffer(context.security, context);
  }

  /** Whether the client's next message belongs to a handshake. */
  get isUnderWay(): boolean {
    return this.#handshake !== undefined;
  }

  /** Mechanisms for tokens that this connection is fit for. */
  get tokenMechanisms(): readonly HashedTokenMechanism[] {
    return this.#context.tokens === undefined ? [] : hashedTokenMechanisms(this.#context.security);
  }

  /** Whether clients may bring keys for stronger hashes. */
  get offersUpgrades(): boolean {
    return this.#context.keyStore !== undefined;
  }

  /** What a client that is authenticated is to do yet; undefined for nothing. */
  tasksFor(login: Login, request: InlineRequest): UpgradeTasks | undefined {
    const { keyStore, random, iterations } = this.#context;
    return keyStore === undefined ? undefined : UpgradeTasks.of({ keyStore, random, iterations }, login, request);
  }

  /**
   * Begins a handshake; one that is under way is discarded (RFC 6120 6.4.2).
   * @throws SaslError for a mechanism that is not offered, or when no attempt is left
   */
  begin(name: string | undefined, { token, claimed }: AttemptFacts = {}): void {
    this.forget();
    this.#claimed = claimed;
    this.#attempts += 1;
    // Only handshakes begun and never ended lead here: they count, or one stream could begin them for ever.
    if (this.#attempts > this.#retries + 1) throw new SaslError('not-authorized');
    const tokenMechanism = this.tokenMechanisms.find((known) => known === name);
    if (tokenMechanism !== undefined && token !== undefined) {
      this.#mechanism = tokenMechanism;
      this.#handshake = this.#hashedToken(tokenMechanism, token);
      return;
    }
    const mechanism = this.offer.choose(name);
    this.#mechanism = mechanism.name;
    this.#handshake = mechanism.kind === 'plain' ? this.#plain() : this.#scram(mechanism);
  }

  /**
   * Takes the client's next message.
   * @throws SaslError, or anything else that is our own trouble
   */
  advance(message: Buffer): Eventual<Turn> {
    if (this.#handshake === undefined) throw new Error('no handshake is under way');
    return whenThere(this.#handshake(message), (turn) => {
      if ('challenge' in turn) return turn;
      return whenThere(turn.login.confirm(), () => {
        this.forget();
        return turn;
      });
    });
  }

  /** Counts what is no attempt but must not be free either: nothing that can be sent for ever is. */
  countMisplaced(): void {
    this.#attempts += 1;
  }

  /** Ends the handshake with what was thrown. */
  fail(error: unknown): HandshakeFailure {
    const account = this.#account;
    const mechanism = this.#mechanism;
    this.forget();
    // Anything but a SaslError is our own trouble, such as a store that cannot be read.
    const known = error instanceof SaslError;
    const failure = known ? error : new SaslError('temporary-auth-failure');
    return {
      error: failure,
      condition: failure.condition,
      fatal: this.#attempts > this.#retries,
      account,
      mechanism,
      cause: known ? undefined : error,
    };
  }

  forget(): void {
    this.#handshake = undefined;
    this.#account = undefined;
    this.#mechanism = undefined;
  }

  #plain(): Handshake {
    return async (message) => {
      const { username, authzid, password } = parsePlain(message);
      const login = await this.#claim(username, authzid);
      await checkPassword(login, password, this.#context.work);
      return { login, mechanism: 'PLAIN', additional: '' };
    };
  }

  #scram({ hash, plus, name }: Extract<Mechanism, { kind: 'scram' }>): Handshake {
    const { security } = this.#context;
    const { bindsChannels, bindingTypes } = this.offer;
    const bindingData = (name: string): Buffer | undefined => {
      const type = bindingTypes.find((offered) => offered === name);
      return type === undefined ? undefined : bindingDataOf(security, type);
    };
    const exchange = new ScramExchange({
      hash,
      plus,
      offer: { bindsChannels, bindings: { get: bindingData } },
      nonce: this.#context.random(NONCE_BYTES).toString('base64'),
      downgradeHash: this.offer.downgradeHash(hash),
    });
    let login: Login | undefined;
    return (message) => {
      const claimed = login;
      if (claimed === undefined) {
        const { username, authzid } = exchange.start(message);
        return whenThere(this.#claim(username, authzid), (found) => {
          login = found;
          return { challenge: exchange.challenge(found.keys(hash)) };
        });
      }
      const judged = claimed.judge(hash, () => exchange.judge(message));
      return whenThere(judged, (additional) => ({ login: claimed, mechanism: name, additional }));
    };
  }

  #hashedToken(mechanism: HashedTokenMechanism, { agent, count, invalidate }: TokenAttempt): Handshake {
    const { security, tokens } = this.#context;
    return async (message) => {
      const { username, proof } = parseInitiatorMessage(message);
      const bindingData = tokenBindingOf(mechanism, security);
      if (tokens === undefined || bindingData === undefined) throw new SaslError('invalid-mechanism');
      const login = await this.#claim(username, undefined);
      const holder: TokenHolder = { bareJid: login.bareJid, agent, credentials: login.credentials };
      const record = await tokens.find(holder);
      const token = await login.judge(undefined, () => tokens.match(holder, record, { mechanism, bindingData, proof }));
      // XEP-0484, "Server responsibilities": the client is to log in otherwise
      if (token.isExpired) throw new SaslError('credentials-expired');
      // Only now, as a wrong proof must change nothing. False: somebody else was faster with the same message.
      if (!(await tokens.use(holder, token.token, { count, invalidate }))) throw new SaslError('not-authorized');
      return { login, mechanism, additional: token.answer.toString('latin1'), token };
    };
  }

  #claim(username: string, authzid: string | undefined): Eventual<Login> {
    this.#account = `${username}@${this.#context.domain}`;
    // XEP-0388, "Non-Empty Authorization Strings"
    const isNamed = this.#claimed !== undefined && authzid !== undefined && authzid !== '';
    if (isNamed && tryParseJid(authzid)?.full !== this.#claimed) throw new SaslError('invalid-authzid');
    return Login.claim(this.#context, username, authzid);
  }

  get #retries(): number {
    return this.#context.retries ?? 3;
  }
}

/**
 * The message in base 64.
 * @throws SaslError malformed-request, incorrect-encoding
 */
export function decodeMessage(text: string): Buffer {
  if (text.length > MAX_CONTENT) throw new SaslError('malformed-request');
  const message = decodeBase64(text);
  if (message === undefined) throw new SaslError('incorrect-encoding');
  return message;
}
