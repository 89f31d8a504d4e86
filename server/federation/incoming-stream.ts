import { escapeAttribute, textValue, toByteString } from '../../stanzas/byte-string.ts';
import { otherAttribute, type Frame, type StreamHeader } from '../../stanzas/frame.ts';
import { NS } from '../../stanzas/namespaces.ts';
import { StreamError } from '../../stanzas/stream-error.ts';
import type { DomainPair } from '../../storage/outboxes.ts';
import { decodeBase64 } from '../sasl/base64.ts';
import { namesDomain } from '../sasl/peer-certificate.ts';
import { dialbackBytes, dialbackDomains, dialbackError, type DialbackCondition } from './dialback.ts';
import { isServedHere, type FederationContext, type Verification } from './federation-context.ts';
import { ServerStream } from './server-stream.ts';
import { countOf } from './stream-flow.ts';

/** Dialback keys of one stream that are being verified at the same time. */
const MAX_VERIFYING = 16;
/** Pairs of domains of one stream (XEP-0220 2.6). */
const MAX_PAIRS = 1000;
const RESUMPTION_SECONDS = 300;

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
  #verifying = 0;
  #pairs = 0;
  #saslFailures = 0;
  /** Pairs that may be sent over this stream (XEP-0288) and have not been told to who sends them. */
  readonly #sendable: DomainPair[] = [];

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
        if (this.isAuthenticated) break; // XEP-0288 2.2
        this.#isBidirectional = true;
        this.takeLimits(frame);
        return;
      case NS.DIALBACK:
        if (frame.name === 'result') this.#result(frame);
        else if (frame.name === 'verify') this.#verify(frame);
        else break;
        return;
      case NS.STREAM_MANAGEMENT:
        if (this.#manage(frame) || this.manage(frame)) return;
        break;
    }
    throw new StreamError('unsupported-stanza-type', 'This element has no place here');
  }

  protected isInUse(): boolean {
    return this.#verifying > 0;
  }

  protected overdue(): void {
    this.closeWithError(new StreamError('connection-timeout', 'Nothing was proved in time'));
  }

  protected ended(): void {
    // nobody waits for it
  }

  get #isTlsMissing(): boolean {
    return this.context.settings.requireTls && !this.isEncrypted;
  }

  #features(): string {
    let features = '';
    if (this.connection.canStartTls) {
      features += `<starttls xmlns='${NS.TLS}'>${this.context.settings.requireTls ? '<required/>' : ''}</starttls>`;
    }
    if (!this.#isTlsMissing) {
      if (!this.isAuthenticated) {
        if (this.#claimed !== undefined && this.#shows(this.#claimed)) {
          features += `<mechanisms xmlns='${NS.SASL}'><mechanism>EXTERNAL</mechanism></mechanisms>`;
        }
        features += `<bidi xmlns='${NS.BIDI_FEATURE}'/>`;
      }
      // XEP-0220 2.4.2. Stream management is announced before dialback too: no features follow that.
      features += `<dialback xmlns='${NS.DIALBACK_FEATURE}'><errors/></dialback><sm xmlns='${NS.STREAM_MANAGEMENT}'/>`;
    }
    return `<stream:features>${features}${this.limitsElement()}</stream:features>`;
  }

  /** Whether the certificate of the connection is valid for the domain (RFC 6120 13.7.2). */
  #shows(domain: string): boolean {
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
    this.connection.write(`<proceed xmlns='${NS.TLS}'/>`);
    // RFC 6120 5.4.3.3
    this.restart();
    this.#claimed = this.#local = undefined;
    this.#isBidirectional = false;
    this.waitFor(
      this.connection.startTls(local).then(
        () => this.forgetHeld(),
        (error: unknown) => {
          this.context.log.debug(
            { address: this.connection.remoteAddress, error: String(error) },
            'TLS was not established',
          );
          this.abort(`TLS was not established: ${String(error)}`);
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
      } else if (!this.#shows(domain) || this.context.policies.of(domain) === 'deny') {
        failed('not-authorized', this.connection.security.peer?.problem ?? `the certificate is not for ${domain}`);
      } else {
        this.connection.write(`<success xmlns='${NS.SASL}'/>`);
        this.#external = domain;
        // A certificate proves who speaks, whichever of our domains is spoken to.
        this.allowReceiving({ local: '*', remote: domain });
        this.context.events.proved(domain);
        this.context.log.info(
          { domain, address: this.connection.remoteAddress, proof: 'certificate' },
          'another server connected',
        );
        if (this.#isBidirectional) this.#maySend(this.#local, domain);
        this.restart(); // RFC 6120 6.3.2
      }
    }
  }

  /** XEP-0220 2.2.1: the other server wants to send from its domain to ours. */
  #result(frame: Frame): void {
    const { from, to } = dialbackDomains(frame, this.context);
    if (frame.type !== undefined) {
      // XEP-0220 3.1: an answer to nothing we asked
      this.context.log.warn(
        { address: this.connection.remoteAddress, from, to },
        'an answer to dialback came that nobody asked for',
      );
      return;
    }
    const policy = this.context.policies.of(from);
    if (!isServedHere(this.context, to)) this.#answer(from, to, 'item-not-found');
    else if (this.#isTlsMissing || policy === 'deny') this.#answer(from, to, 'policy-violation');
    else if (this.#pairs >= MAX_PAIRS || this.#verifying >= MAX_VERIFYING)
      this.#answer(from, to, 'resource-constraint');
    else if (this.#shows(from)) this.#answer(from, to, 'valid', 'certificate');
    else if (policy === 'certificate' && this.connection.security.peer?.problem !== SERVERS_ONLY) {
      const problem = this.connection.security.peer?.problem ?? 'it has no certificate for its domain';
      this.context.log.warn(
        { domain: from, address: this.connection.remoteAddress, problem },
        'another server has no valid certificate, and s2s.policy asks for one',
      );
      this.#answer(from, to, 'not-authorized');
    } else {
      this.#verifying++;
      const key = textValue(frame.content).trim();
      void this.context.events.verify({ local: to, remote: from }, this.#streamId, key).then((verification) => {
        this.#verifying--;
        if (this.isOpen) this.#answer(from, to, this.#outcome(from, to, verification), 'dialback');
      });
    }
  }

  #outcome(from: string, to: string, verification: Verification): 'valid' | 'invalid' | DialbackCondition {
    if (verification === 'valid') return 'valid';
    const facts = { from, to, address: this.connection.remoteAddress };
    if (verification === 'invalid') {
      this.context.log.warn(facts, 'another server claims a domain that does not know of it');
      // XEP-0220 2.2.1: only where it has nothing to lose is the stream closed
      return this.isAuthenticated ? 'forbidden' : 'invalid';
    }
    this.context.log.info(
      { ...facts, reason: verification.message },
      'the claim of another server could not be checked',
    );
    return verification.condition;
  }

  #answer(remote: string, local: string, outcome: 'valid' | 'invalid' | DialbackCondition, proof = ''): void {
    const header = { from: local, to: remote };
    switch (outcome) {
      case 'valid':
        this.#pairs++;
        this.allowReceiving({ local, remote });
        this.context.events.proved(remote);
        this.context.log.info(
          { domain: remote, address: this.connection.remoteAddress, proof },
          'another server connected',
        );
        this.connection.write(dialbackBytes('result', { ...header, type: 'valid' }));
        if (this.#isBidirectional) this.#maySend(local, remote);
        return;
      case 'invalid':
        this.connection.write(dialbackBytes('result', { ...header, type: 'invalid' }));
        this.close('the other server could not prove its domain');
        return;
      default:
        this.connection.write(dialbackBytes('result', { ...header, type: 'error' }, dialbackError(outcome)));
    }
  }

  /** XEP-0220 2.2.2: another server asks whether a key is one of ours. */
  #verify(frame: Frame): void {
    const { from, to } = dialbackDomains(frame, this.context);
    const { id } = frame;
    if (frame.type !== undefined) {
      this.context.log.warn(
        { address: this.connection.remoteAddress, from, to },
        'an answer to dialback came that nobody asked for',
      );
      return;
    }
    if (id === undefined) throw new StreamError('bad-format', 'Which stream is asked about?');
    const header = { from: to, to: from, id };
    if (!isServedHere(this.context, to)) {
      this.connection.write(dialbackBytes('verify', { ...header, type: 'error' }, dialbackError('item-not-found')));
      return;
    }
    const isValid = this.context.keys.isValid(textValue(frame.content), from, to, id);
    this.connection.write(dialbackBytes('verify', { ...header, type: isValid ? 'valid' : 'invalid' }));
  }

  #maySend(local: string | undefined, remote: string): void {
    if (local === undefined) return;
    const pair = { local, remote };
    this.allowSending(pair);
    this.#sendable.push(pair);
    // Behind the answer, and outside of whatever reads it.
    setImmediate(() => this.#announce());
  }

  #announce(): void {
    if (this.isOver) return;
    // After SASL the peer opens the stream anew first.
    if (!this.isOpen || !this.hasSentHeader) {
      setImmediate(() => this.#announceLater());
      return;
    }
    for (const pair of this.#sendable.splice(0)) this.context.events.maySend(this, pair);
  }

  #announceLater(): void {
    this.context.clock.schedule(50, () => this.#announce());
  }

  /** XEP-0198 3 and 5; returns false for what both sides do alike. */
  #manage(frame: Frame): boolean {
    const fail = (condition: string): void =>
      this.connection.write(
        `<failed xmlns='${NS.STREAM_MANAGEMENT}'><${condition} xmlns='${NS.STANZA_ERRORS}'/></failed>`,
      );
    const { flow } = this;
    switch (frame.name) {
      case 'enable': {
        if (!this.isAuthenticated || flow.isCounting) {
          fail('unexpected-request');
          return true;
        }
        flow.startCounting();
        const wish = otherAttribute(frame, 'resume');
        if (wish !== 'true' && wish !== '1') {
          this.connection.write(`<enabled xmlns='${NS.STREAM_MANAGEMENT}'/>`);
          return true;
        }
        flow.resumptionId = this.context.randomId();
        flow.resumptionMs = RESUMPTION_SECONDS * 1000;
        this.connection.write(
          `<enabled xmlns='${NS.STREAM_MANAGEMENT}' id='${flow.resumptionId}' resume='true' max='${RESUMPTION_SECONDS}'/>`,
        );
        return true;
      }
      case 'resume': {
        const id = otherAttribute(frame, 'previd') ?? '';
        const peer = this.receivedPairs[0]?.split('>')[0];
        const kept = peer === undefined || flow.isCounting ? undefined : this.context.events.takeKept(id, peer);
        if (kept === undefined) {
          fail(this.isAuthenticated ? 'item-not-found' : 'unexpected-request');
          return true;
        }
        const handled = countOf(frame);
        this.connection.write(
          `<resumed xmlns='${NS.STREAM_MANAGEMENT}' previd='${attribute(id)}' h='${kept.inbound.handled}'/>`,
        );
        this.resume(kept, handled);
        return true;
      }
      default:
        return false;
    }
  }
}

const MAX_SASL_FAILURES = 3;
/**
 * What OpenSSL says of a certificate that is for servers alone (RFC 5280 4.2.1.12), as some public authorities issue now. It
 * proves nothing of who connects, so the other server is connected to, where it is worth what it says.
 */
const SERVERS_ONLY = 'INVALID_PURPOSE';

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
