import { textValue } from '../../stanzas/byte-string.ts';
import type { Frame } from '../../stanzas/frame.ts';
import { StreamError } from '../../stanzas/stream-error.ts';
import type { DomainPair } from '../../storage/outboxes.ts';
import type { Connection } from '../streams/connection.ts';
import { dialbackBytes, dialbackDomains, dialbackError, type DialbackCondition } from './dialback.ts';
import { certificateProblem } from './failure-words.ts';
import { isServedHere, type FederationContext, type Verification } from './federation-context.ts';
import type { Proof } from './stream-lines.ts';

/** Dialback keys of one stream that are being verified at the same time. */
const MAX_VERIFYING = 16;
/** Pairs of domains of one stream (XEP-0220 2.6). */
const MAX_PAIRS = 1000;
/**
 * What OpenSSL says of a certificate that is for servers alone (RFC 5280 4.2.1.12), as some public authorities issue now. It
 * proves nothing of who connects, so the other server is connected to, where it is worth what it says.
 */
const SERVERS_ONLY = 'INVALID_PURPOSE';

/** The stream over which another server asks. */
export interface AskedStream {
  readonly context: FederationContext;
  readonly connection: Connection;
  /** The id that we gave it. */
  readonly streamId: string;
  readonly isOpen: boolean;
  /** Whether a domain has been proved already. */
  readonly isAuthenticated: boolean;
  /** Whether policy wants TLS that is not there. */
  readonly isTlsMissing: boolean;
  /** Whether the certificate of the connection is valid for the domain. */
  shows(domain: string): boolean;
  /** The pair is proved. */
  proved(pair: DomainPair, proof: Proof): void;
  close(reason: string): void;
}

/** What we answer over a stream that another server opened: as the receiving server of XEP-0220, and as the authoritative one. */
export class DialbackAnswers {
  readonly #stream: AskedStream;
  #verifying = 0;
  #pairs = 0;

  constructor(stream: AskedStream) {
    this.#stream = stream;
  }

  /** Whether a key is being verified. */
  get areVerifying(): boolean {
    return this.#verifying > 0;
  }

  /** Takes an element of dialback; false where it is none. @throws StreamError */
  take(frame: Frame): boolean {
    if (frame.name === 'result') this.#result(frame);
    else if (frame.name === 'verify') this.#verify(frame);
    else return false;
    return true;
  }

  /** XEP-0220 2.2.1: the other server wants to send from its domain to ours. */
  #result(frame: Frame): void {
    const stream = this.#stream;
    const { context, connection } = stream;
    const { from, to } = dialbackDomains(frame, context);
    if (frame.type !== undefined) {
      this.#warnUnasked(from, to);
      return;
    }
    const policy = context.policies.of(from);
    if (!isServedHere(context, to)) this.#answer(from, to, 'item-not-found');
    else if (stream.isTlsMissing || policy === 'deny' || isServedHere(context, from))
      this.#answer(from, to, 'policy-violation');
    else if (this.#pairs >= MAX_PAIRS || this.#verifying >= MAX_VERIFYING)
      this.#answer(from, to, 'resource-constraint');
    else if (stream.shows(from)) this.#answer(from, to, 'valid', 'certificate');
    else if (policy === 'certificate' && connection.security.peer?.problem !== SERVERS_ONLY) {
      const { problem } = connection.security.peer ?? {};
      context.log.warn(
        {
          ...{ domain: from, address: connection.remoteAddress },
          reason: problem === undefined ? 'it shows none for its domain' : certificateProblem(problem),
        },
        'another server has no valid certificate, and s2s.policy asks for one',
      );
      this.#answer(from, to, 'not-authorized');
    } else {
      this.#verifying++;
      const key = textValue(frame.content).trim();
      const answer = (verification: Verification): void => {
        this.#verifying--;
        if (stream.isOpen) this.#answer(from, to, this.#outcome(from, to, verification));
      };
      const pair = { local: to, remote: from };
      void context.events.verify(pair, stream.streamId, key, connection.remoteAddress).then(answer);
    }
  }

  #outcome(from: string, to: string, verification: Verification): 'valid' | 'invalid' | DialbackCondition {
    if (verification === 'valid') return 'valid';
    const { context, connection, isAuthenticated } = this.#stream;
    const facts = { from, to, address: connection.remoteAddress };
    if (verification === 'invalid') {
      context.log.warn(facts, 'another server claims a domain that does not know of it');
      // XEP-0220 2.2.1: only where it has nothing to lose is the stream closed
      return isAuthenticated ? 'forbidden' : 'invalid';
    }
    context.log.info({ ...facts, reason: verification.message }, 'the claim of another server could not be checked');
    return verification.condition;
  }

  #answer(
    remote: string,
    local: string,
    outcome: 'valid' | 'invalid' | DialbackCondition,
    proof: Proof = 'dialback',
  ): void {
    const stream = this.#stream;
    const header = { from: local, to: remote };
    switch (outcome) {
      case 'valid':
        this.#pairs++;
        stream.connection.write(dialbackBytes('result', { ...header, type: 'valid' }));
        stream.proved({ local, remote }, proof);
        return;
      case 'invalid':
        stream.connection.write(dialbackBytes('result', { ...header, type: 'invalid' }));
        stream.close('the other server could not prove its domain');
        return;
      default:
        stream.connection.write(dialbackBytes('result', { ...header, type: 'error' }, dialbackError(outcome)));
    }
  }

  /** XEP-0220 2.2.2: another server asks whether a key is one of ours. */
  #verify(frame: Frame): void {
    const { context, connection } = this.#stream;
    const { from, to } = dialbackDomains(frame, context);
    const { id } = frame;
    if (frame.type !== undefined) {
      this.#warnUnasked(from, to);
      return;
    }
    if (id === undefined) throw new StreamError('bad-format', 'Which stream is asked about?');
    const header = { from: to, to: from, id };
    if (!isServedHere(context, to)) {
      connection.write(dialbackBytes('verify', { ...header, type: 'error' }, dialbackError('item-not-found')));
      return;
    }
    const isValid = context.keys.isValid(textValue(frame.content), from, to, id);
    connection.write(dialbackBytes('verify', { ...header, type: isValid ? 'valid' : 'invalid' }));
  }

  /** XEP-0220 3.1 */
  #warnUnasked(from: string, to: string): void {
    const { context, connection } = this.#stream;
    context.log.warn(
      { address: connection.remoteAddress, from, to },
      'an answer to dialback came that nobody asked for',
    );
  }
}
