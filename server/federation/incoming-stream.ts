import { escapeAttribute, textValue, toByteString } from '../../stanzas/byte-string.ts';
import { otherAttribute, type Frame, type StreamHeader } from '../../stanzas/frame.ts';
import { NS } from '../../stanzas/namespaces.ts';
import { StreamError } from '../../stanzas/stream-error.ts';
import type { DomainPair } from '../../storage/outboxes.ts';
import { decodeBase64 } from '../sasl/base64.ts';
import { namesDomain } from '../sasl/peer-certificate.ts';
import { DialbackAnswers } from './dialback-answers.ts';
import { certificateProblem, connectionProblem } from './failure-words.ts';
import { isServedHere, type FederationContext } from './federation-context.ts';
import { answerManagement } from './management-answers.ts';
import { ServerStream } from './server-stream.ts';
import { limitsElement } from './stream-limits.ts';
import { tellUp, type Proof } from './stream-lines.ts';

/** A stream that another server opened: the receiving entity of RFC 6120, the receiving and authoritative server of XEP-0220. */
export class IncomingStream extends ServerStream {
  readonly direction = 'incoming';
  /** The domain of ours that the header names. */
  #local: string | undefined;
  /** The domain that the header claims to come from. Nothing is proved by it. */
  #claimed: string | undefined;
  /** The domain that SASL EXTERNAL proved. */
  #external: string | undefined;
  #headerFrom: string | undefined;
  #streamId = '';
  #isBidirectional = false;
  readonly #dialback = new DialbackAnswers(this);
  #saslFailures = 0;
  /** Pairs that may be sent over this stream (XEP-0288) and have not been told to who sends them. */
  readonly #sendable: DomainPair[] = [];
  /** Whether that is about to be done: not once for each pair, of which the peer may prove many. */
  #isAnnouncing = false;
  /** Monotonic milliseconds. */
  #mayResumeUntil = 0;

  /** Whether the header names the domain as the one it comes from. */
  claims(domain: string): boolean {
    return this.#claimed === domain && !this.isOver;
  }

  protected headerCame(header: StreamHeader): void {
    const { context } = this;
    this.#headerFrom = header.from;
    const to = domainIn(header.to, context);
    if (to !== undefined && isServedHere(context, to)) this.#local = to;
    this.#claimed = domainIn(header.from, context);
    this.writeHeader();
    if (header.contentNamespace !== NS.SERVER) {
      throw new StreamError('invalid-namespace', 'Servers speak jabber:server here'); // RFC 6120 4.9.3.10
    }
    // RFC 6120 4.7.2, 4.9.3.6
    if (to === undefined) throw new StreamError('improper-addressing', 'The header says not which domain is wanted');
    if (this.#local !== to) throw new StreamError('host-unknown', `${to} is not served here`);
    if (header.from !== undefined && this.#claimed === undefined) {
      throw new StreamError('improper-addressing', 'The header comes from no domain');
    }
    if (this.#claimed !== undefined && isServedHere(context, this.#claimed)) {
      throw new StreamError('invalid-from', `${this.#claimed} is served here, and nowhere else`); // 4.9.3.9
    }
    if (this.#external !== undefined && this.#claimed !== undefined && this.#claimed !== this.#external) {
      throw new StreamError('invalid-from', 'The header comes from another domain than the certificate'); // 4.9.3.9
    }
    if (this.#claimed !== undefined && context.policies.of(this.#claimed) === 'deny') {
      throw new StreamError('policy-violation', `This server does not talk to ${this.#claimed}`);
    }
    // RFC 6120 4.7.5
    if (!/^[1-9]\d*\.\d+$/.test(header.version ?? '')) {
      throw new StreamError('unsupported-version', 'XMPP 1.0 is spoken here');
    }
    this.connection.write(this.#features());
  }

  protected writeHeader(): void {
    this.hasSentHeader = true;
    this.#streamId = this.context.randomId();
    const from = this.#local === undefined ? '' : ` from='${attribute(this.#local)}'`;
    const to = this.#headerFrom === undefined ? '' : ` to='${attribute(this.#headerFrom)}'`;
    this.connection.write(
      `<?xml version='1.0'?><stream:stream xmlns='${NS.SERVER}' xmlns:stream='${NS.STREAMS}' xmlns:db='${NS.DIALBACK}'` +
        `${from}${to} id='${this.#streamId}' version='1.0' xml:lang='en'>`,
    );
  }

  protected handle(frame: Frame): void {
    switch (frame.namespace) {
      case NS.TLS:
        if (frame.name !== 'starttls') break;
        this.#startTls();
        return;
      case NS.SASL:
        this.#authenticate(frame);
        return;
      case NS.BIDI:
        if (this.isAuthenticated || !this.context.settings.bidirectional) break; // XEP-0288 2.2
        this.#isBidirectional = true;
        this.takeLimits(frame);
        return;
      case NS.DIALBACK:
        if (this.#dialback.take(frame)) return;
        break;
      case NS.STREAM_MANAGEMENT:
        if (answerManagement(frame, this) || this.acknowledgements.take(frame)) return;
        break;
    }
    throw new StreamError('unsupported-stanza-type', 'This element has no place here');
  }

  protected isInUse(): boolean {
    return this.#dialback.areVerifying;
  }

  protected overdue(): void {
    this.context.log.info(
      { address: this.connection.remoteAddress, claimed: this.#claimed, secure: this.isEncrypted },
      'another server proved no domain in time: it may not reach the server of the domain it claims, or want TLS that it cannot have',
    );
    this.closeWithError(new StreamError('connection-timeout', 'Nothing was proved in time'));
  }

  protected ended(): void {
    // nobody waits for it
  }

  get streamId(): string {
    return this.#streamId;
  }

  get isTlsMissing(): boolean {
    return this.context.settings.requireTls && !this.isEncrypted;
  }

  #features(): string {
    let features = '';
    if (this.connection.canStartTls) {
      features += `<starttls xmlns='${NS.TLS}'>${this.context.settings.requireTls ? '<required/>' : ''}</starttls>`;
    }
    if (!this.isTlsMissing) {
      if (!this.isAuthenticated) {
        if (this.#claimed !== undefined && this.shows(this.#claimed)) {
          features += `<mechanisms xmlns='${NS.SASL}'><mechanism>EXTERNAL</mechanism></mechanisms>`;
        }
        if (this.context.settings.bidirectional) features += `<bidi xmlns='${NS.BIDI_FEATURE}'/>`;
      }
      // XEP-0220 2.4.2. Stream management is announced before dialback too: no features follow that.
      features += `<dialback xmlns='${NS.DIALBACK_FEATURE}'><errors/></dialback><sm xmlns='${NS.STREAM_MANAGEMENT}'/>`;
    }
    return `<stream:features>${features}${limitsElement(this.context.settings)}</stream:features>`;
  }

  /** Whether the certificate of the connection is valid for the domain (RFC 6120 13.7.2). */
  shows(domain: string): boolean {
    const { peer } = this.connection.security;
    return peer !== undefined && peer.problem === undefined && namesDomain(peer.names, domain);
  }

  #startTls(): void {
    // RFC 6120 5.4.2.2
    if (!this.connection.canStartTls || this.isAuthenticated) {
      this.connection.write(`<failure xmlns='${NS.TLS}'/>`);
      this.close('TLS was asked for where it cannot begin');
      return;
    }
    const local = this.#local;
    const claimed = this.#claimed;
    this.connection.write(`<proceed xmlns='${NS.TLS}'/>`);
    // RFC 6120 5.4.3.3
    this.restart();
    this.#claimed = this.#local = undefined;
    this.#isBidirectional = false;
    this.waitFor(
      this.connection.startTls(local).then(
        () => this.forgetHeld(),
        (error: unknown) => {
          const reason = `TLS was not established: ${error instanceof Error ? connectionProblem(error) : String(error)}`;
          this.context.log.info(
            { address: this.connection.remoteAddress, claimed, reason },
            'another server did not get as far as proving its domain',
          );
          this.abort(reason);
        },
      ),
    );
  }

  /** SASL EXTERNAL (RFC 6120 6, XEP-0178 3): the certificate was checked by TLS, its names when the header came. */
  #authenticate(frame: Frame): void {
    const failed = (condition: string, reason: string): void => {
      this.context.log.info(
        { address: this.connection.remoteAddress, claimed: this.#claimed, reason },
        'another server could not prove its domain by SASL',
      );
      this.connection.write(`<failure xmlns='${NS.SASL}'><${condition}/></failure>`);
      if (++this.#saslFailures > MAX_SASL_FAILURES) {
        throw new StreamError('policy-violation', 'Too many failed attempts'); // RFC 6120 6.4.5
      }
    };
    if (frame.name === 'abort') failed('aborted', 'aborted');
    else if (frame.name !== 'auth' || this.isAuthenticated) failed('malformed-request', 'out of place');
    else if (!this.isEncrypted) failed('encryption-required', 'no TLS');
    else if (otherAttribute(frame, 'mechanism') !== 'EXTERNAL') failed('invalid-mechanism', 'no such mechanism');
    else {
      const text = textValue(frame.content).trim();
      const authzid = text === '' || text === '=' ? undefined : decodeBase64(text)?.toString('utf8');
      if (authzid === undefined && text !== '' && text !== '=') {
        failed('incorrect-encoding', 'no base 64');
        return;
      }
      // XEP-0178 3, step 11: without an authorization identity it is the from of the header
      const domain = authzid === undefined ? this.#claimed : domainIn(authzid, this.context);
      if (domain === undefined || domain !== this.#claimed) {
        failed('invalid-authzid', `${authzid ?? 'nobody'} is not where the header comes from`);
      } else if (!this.shows(domain) || this.context.policies.of(domain) === 'deny') {
        const { problem } = this.connection.security.peer ?? {};
        failed(
          'not-authorized',
          problem === undefined
            ? `it shows no certificate for ${domain}`
            : `its certificate is not valid: ${certificateProblem(problem)}`,
        );
      } else {
        this.connection.write(`<success xmlns='${NS.SASL}'/>`);
        this.#external = domain;
        // A certificate proves who speaks, whichever of our domains is spoken to.
        this.allowReceiving({ local: '*', remote: domain });
        tellUp(this, { local: this.#local ?? '', remote: domain }, 'certificate');
        this.#announceProof(this.#local, domain);
        this.restart(); // RFC 6120 6.3.2
      }
    }
  }

  proved(pair: DomainPair, proof: Proof): void {
    const { remote } = pair;
    this.allowReceiving(pair);
    tellUp(this, pair, proof);
    this.#announceProof(pair.local, remote);
  }

  /** Tells who waits for the other server that it is there, and that this stream will do where it may. */
  #announceProof(local: string | undefined, remote: string): void {
    if (local === undefined || !this.#isBidirectional) {
      this.context.events.proved(remote);
      return;
    }
    this.#sendable.push({ local, remote });
    if (!this.context.events.hasKeptFrom(remote)) this.pairs.allowSending({ local, remote });
    this.#mayResumeUntil = this.context.clock.monotonic() + RESUMPTION_GRACE_MS;
    // Behind the answer, and outside of whatever reads it; once for all that are proved until then.
    if (this.#isAnnouncing) return;
    this.#isAnnouncing = true;
    setImmediate(() => this.#announce());
  }

  #announce(): void {
    if (this.isOver) return;
    // After SASL the peer opens the stream anew first.
    if (!this.isOpen || !this.hasSentHeader || this.#mayResume()) {
      setImmediate(() => this.#announceLater());
      return;
    }
    this.#isAnnouncing = false;
    for (const pair of this.#sendable.splice(0)) {
      this.pairs.allowSending(pair);
      this.context.events.maySend(this, pair);
      this.context.events.proved(pair.remote);
    }
  }

  /** Whether the peer may yet resume what comes before all that waits here (RFC 6120 10.1). */
  #mayResume(): boolean {
    const { flow, context } = this;
    if (flow.isCounting || context.clock.monotonic() >= this.#mayResumeUntil) return false;
    return this.#sendable.some(({ remote }) => context.events.hasKeptFrom(remote));
  }

  #announceLater(): void {
    this.context.clock.schedule(50, () => this.#announce());
  }
}

const MAX_SASL_FAILURES = 3;
/** How long a peer that may resume a stream has for asking. */
const RESUMPTION_GRACE_MS = 2000;

function domainIn(text: string | undefined, { jids }: FederationContext): string | undefined {
  try {
    const jid = text === undefined ? undefined : jids.parse(text);
    return jid?.local === '' && jid.resource === '' ? jid.domain : undefined;
  } catch {
    return undefined;
  }
}

function attribute(text: string): string {
  return toByteString(escapeAttribute(text));
}
