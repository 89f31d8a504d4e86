import { otherAttribute, type Frame } from '../../stanzas/frame.ts';
import { NS } from '../../stanzas/namespaces.ts';
import { StreamError } from '../../stanzas/stream-error.ts';
import { decodeMessage, type HandshakeFailure, type Handshakes, type TokenAttempt } from './handshakes.ts';
import type { HashedTokenMechanism } from './hashed-token.ts';
import { inlineRequestOf, type InlineRequest } from './inline-request.ts';
import type { Login } from './login.ts';
import { SaslError } from './sasl-error.ts';
import type { ProvenToken } from './tokens.ts';
import { UPGRADE_FEATURES, type UpgradeTasks } from './upgrade-tasks.ts';

/** A client that is authenticated and has not been told yet: what it asked for inline comes first. */
export interface Authenticated {
  readonly login: Login;
  readonly mechanism: string;
  /** `<additional-data/>` of the mechanism as a byte string; '' for none. */
  readonly additional: string;
  readonly request: InlineRequest;
  /** The token it used in place of a password. */
  readonly token: ProvenToken | undefined;
  /** Whether it asked for that token to be forgotten. */
  readonly isTokenInvalidated: boolean;
}

/** What to send after a frame, and what has become of the handshake. */
export type ExtensibleStep =
  | { readonly kind: 'challenge'; readonly reply: string }
  | ({ readonly kind: 'success' } & Authenticated)
  | ({ readonly kind: 'failure'; readonly reply: string } & HandshakeFailure);

/** XEP-0388 on one stream, over frames: it knows no socket. */
export class ExtensibleNegotiation {
  readonly #handshakes: Handshakes;
  readonly #claimed: string | undefined;
  /** The features that a client may pipeline its request upon (XEP-0509); '' before they were sent. */
  #configVersion = '';
  #request: InlineRequest | undefined;
  #attempt: TokenAttempt | undefined;
  /** What a client that is authenticated has to do before it is told so. */
  #tasks: { readonly tasks: UpgradeTasks; readonly authenticated: Authenticated } | undefined;
  #hasContinued = false;

  /** @param claimed the bare JID that the stream header says it is from */
  constructor(handshakes: Handshakes, claimed: string | undefined) {
    this.#handshakes = handshakes;
    this.#claimed = claimed;
  }

  /** Whether a handshake of this profile is under way: then nothing else may be sent. */
  get isUnderWay(): boolean {
    return this.#tasks !== undefined || (this.#request !== undefined && this.#handshakes.isUnderWay);
  }

  /**
   * `<authentication/>` for the stream features, as a byte string; '' when no mechanism is offered.
   * @param inline serialised features that may be negotiated with it
   */
  features(inline: string): string {
    const mechanisms = this.#handshakes.offer.mechanismBytes();
    if (mechanisms === '') return '';
    const tokens = this.#handshakes.tokenMechanisms.map((name) => `<mechanism>${name}</mechanism>`).join('');
    // Node accepts no early data, so tls-0rtt is left out.
    const fast = tokens === '' ? '' : `<fast xmlns='${NS.FAST}'>${tokens}</fast>`;
    const upgrades = this.#handshakes.offersUpgrades ? UPGRADE_FEATURES : '';
    return `<authentication xmlns='${NS.SASL2}'>${mechanisms}<inline>${inline}${fast}</inline>${upgrades}</authentication>`;
  }

  /** Mechanisms for tokens that this connection is fit for. */
  get tokenMechanisms(): readonly HashedTokenMechanism[] {
    return this.#handshakes.tokenMechanisms;
  }

  /** The features have this version. */
  announced(configVersion: string): void {
    this.#configVersion = configVersion;
  }

  /**
   * Takes a first-level element of the namespace. One at a time: the next only when the step before has resolved.
   * @throws StreamError for what must end the stream; never rejects for anything else that a client sends
   */
  async receive(frame: Frame): Promise<ExtensibleStep> {
    try {
      return await this.#step(frame);
    } catch (error) {
      if (error instanceof StreamError) throw error;
      const failure = this.#handshakes.fail(error);
      this.#request = undefined;
      this.#tasks = undefined;
      return { kind: 'failure', reply: failure.error.toExtensibleBytes(), ...failure };
    }
  }

  #step(frame: Frame): Promise<ExtensibleStep> {
    switch (frame.name) {
      case 'authenticate': {
        // XEP-0388, "During Authentication"
        if (this.isUnderWay) throw new StreamError('policy-violation', 'An authentication is under way');
        // XEP-0388, "Method(s) Of Terminating"
        if (this.#hasContinued) throw new StreamError('policy-violation', 'There was an authentication');
        const request = inlineRequestOf(frame);
        this.#checkConfigVersion(request);
        this.#request = undefined;
        this.#attempt = attemptOf(request);
        this.#handshakes.begin(otherAttribute(frame, 'mechanism'), { token: this.#attempt, claimed: this.#claimed });
        this.#request = request;
        const initial = request.find('initial-response', NS.SASL2);
        // RFC 6120 6.3.10: a client may leave it out; it is asked for with an empty challenge
        if (initial === undefined) return Promise.resolve({ kind: 'challenge', reply: challenge('') });
        return this.#advance(messageIn(initial.text));
      }
      case 'response':
        if (this.#tasks !== undefined || !this.isUnderWay) throw this.#outOfPlace();
        if (frame.children.length > 0) throw new SaslError('malformed-request');
        return this.#advance(messageIn(frame.content));
      case 'abort':
        if (!this.isUnderWay) this.#handshakes.countMisplaced();
        throw new SaslError('aborted');
      case 'next':
        if (this.#tasks === undefined) throw this.#outOfPlace();
        return Promise.resolve({ kind: 'challenge', reply: this.#tasks.tasks.begin(frame) });
      case 'task-data':
        return this.#finishTask(frame);
      default:
        throw this.#outOfPlace();
    }
  }

  async #finishTask(frame: Frame): Promise<ExtensibleStep> {
    if (this.#tasks === undefined) throw this.#outOfPlace();
    const { tasks, authenticated } = this.#tasks;
    await tasks.finish(frame);
    const reply = tasks.due('');
    if (reply !== '') return { kind: 'challenge', reply };
    this.#tasks = undefined;
    return { kind: 'success', ...authenticated };
  }

  async #advance(message: Buffer): Promise<ExtensibleStep> {
    const turn = await this.#handshakes.advance(message);
    if ('challenge' in turn) return { kind: 'challenge', reply: challenge(turn.challenge) };
    const request = this.#request;
    if (request === undefined) throw new Error('a handshake of another profile');
    this.#request = undefined;
    const { login, mechanism, token } = turn;
    const additional = turn.additional === '' ? '' : `<additional-data>${base64(turn.additional)}</additional-data>`;
    const isTokenInvalidated = token !== undefined && this.#attempt?.invalidate === true;
    const authenticated = { login, mechanism, additional, request, token, isTokenInvalidated };
    // XEP-0480: with a password only
    const tasks = token === undefined ? this.#handshakes.tasksFor(login, request) : undefined;
    if (tasks === undefined) return { kind: 'success', ...authenticated };
    this.#tasks = { tasks, authenticated: { ...authenticated, additional: '' } };
    this.#hasContinued = true;
    return { kind: 'challenge', reply: tasks.due(additional) };
  }

  /** XEP-0509: what was pipelined upon other features is refused without prejudice. */
  #checkConfigVersion({ find }: InlineRequest): void {
    const version = find('config-version', NS.PIPELINING);
    if (version === undefined || version.attribute('value') === this.#configVersion) return;
    const application = `<config-version-mismatch xmlns='${NS.PIPELINING}'/>`;
    throw new SaslError('aborted', 'Configuration version mismatch', application);
  }

  #outOfPlace(): SaslError {
    this.#handshakes.countMisplaced();
    return new SaslError('malformed-request');
  }
}

/**
 * How the client uses a token, where it says that it has one.
 * @throws SaslError malformed-request
 */
function attemptOf({ agent, find }: InlineRequest): TokenAttempt | undefined {
  const fast = find('fast', NS.FAST);
  if (fast === undefined) return undefined;
  // XEP-0484, "Client responsibilities"
  if (agent === undefined) throw new SaslError('malformed-request', 'A token needs the id of its user agent');
  const count = fast.attribute('count');
  if (count !== undefined && !/^\d{1,10}$/.test(count)) throw new SaslError('malformed-request', 'count is no number');
  const invalidate = fast.attribute('invalidate');
  return {
    agent,
    count: count === undefined ? undefined : Number(count),
    invalidate: invalidate === '1' || invalidate === 'true',
  };
}

/** XEP-0388, "SASL Data Encoding": clients SHOULD NOT wrap lines, so they may. */
function messageIn(text: string): Buffer {
  return decodeMessage(text.replace(/[ \t\r\n]+/g, ''));
}

function challenge(message: string): string {
  return `<challenge xmlns='${NS.SASL2}'>${base64(message)}</challenge>`;
}

function base64(message: string): string {
  return Buffer.from(message, 'latin1').toString('base64');
}
