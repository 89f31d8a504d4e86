import { escapeAttribute, toByteString } from '../../stanzas/byte-string.ts';
import type { Frame, StreamHeader } from '../../stanzas/frame.ts';
import { NS } from '../../stanzas/namespaces.ts';
import { Scanner, scanDocument, type ScannerLimits, type ScannerSink } from '../../stanzas/scanner.ts';
import type { Stanza } from '../../stanzas/stanza.ts';
import { StreamError } from '../../stanzas/stream-error.ts';
import type { Session, SessionStream } from '../routing/session.ts';
import { SaslNegotiation } from '../sasl/negotiation.ts';
import { acceptStanza } from './client-stanza.ts';
import type { Connection, ConnectionListener } from './connection.ts';
import { bindResource } from './resource-binding.ts';
import type { StreamContext } from './stream-context.ts';
import { manageStream } from './stream-management.ts';

/** Where the negotiation stands (RFC 6120 4.3). */
type State =
  | 'opening' // a stream header comes next
  | 'negotiating' // the header was answered; TLS, SASL or resource binding come next
  | 'bound' // stanzas flow
  | 'closing' // we have closed our side and wait for the peer's
  | 'closed';

/** One client's stream from the first byte to the last (RFC 6120 4). Knows one connection and at most one session. */
export class ClientStream implements ConnectionListener, ScannerSink, SessionStream {
  readonly connection: Connection;
  readonly context: StreamContext;
  /** The domain the client asked for, once it has. */
  domain: string | undefined;
  /** The bare JID that was authenticated. */
  authenticated: string | undefined;
  session: Session | undefined;
  /** Default language of the stanzas of this stream (RFC 6120 4.7.4). */
  lang: string | undefined;
  bindAttempts = 0;
  #state: State = 'opening';
  #scanner: Scanner;
  #sasl: SaslNegotiation | undefined;
  /** Something asynchronous decides what comes next: no element is taken before it is done. */
  #isBusy = false;
  #held: Buffer[] = [];
  #hasSentHeader = false;
  /** Monotonic milliseconds. */
  #lastSeen: number;
  #deadline: number;
  #isPinged = false;
  #isAckRequested = false;

  constructor(connection: Connection, context: StreamContext) {
    this.connection = connection;
    this.context = context;
    this.#scanner = new Scanner(this.#limits());
    this.#lastSeen = context.clock.monotonic();
    this.#deadline = this.#lastSeen + context.config.c2s.authenticationTimeoutSeconds * 1000;
    context.streams.add(this);
    connection.listener = this;
  }

  get remoteAddress(): string {
    return this.connection.remoteAddress;
  }

  get transport(): string {
    return this.connection.framing === 'websocket' ? 'websocket' : 'tcp';
  }

  get isSecure(): boolean {
    return this.connection.security.encrypted;
  }

  get bufferedBytes(): number {
    return this.connection.bufferedBytes;
  }

  // ConnectionListener

  received(chunk: Buffer): void {
    this.#lastSeen = this.context.clock.monotonic();
    this.#isPinged = false;
    if (this.#isStopped) this.#hold(chunk);
    else this.#take(chunk);
  }

  closed(error?: Error): void {
    if (this.#state === 'closed') return;
    if (error !== undefined)
      this.context.log.debug({ address: this.remoteAddress, error: error.message }, 'connection lost');
    this.#finish();
  }

  flushMark(): number {
    return this.session?.flushMark() ?? -1;
  }

  flushed(mark: number): void {
    this.session?.flushed(mark);
  }

  // ScannerSink

  streamOpened(header: StreamHeader): boolean {
    this.#open(header);
    return !this.#isStopped;
  }

  elementScanned(frame: Frame): boolean {
    this.#handle(frame);
    return !this.#isStopped;
  }

  streamClosed(): boolean {
    this.#peerClosed();
    return false;
  }

  // SessionStream

  writeStanza(stanza: Stanza): void {
    if (this.#state !== 'bound') return;
    this.connection.write(this.connection.framing === 'websocket' ? stanza.toDocument() : stanza.toBytes());
    if (this.session?.isAcknowledging === true) this.requestAcknowledgement();
  }

  /** Sends an error and closes both ways (RFC 6120 4.9.1.1). */
  closeWithError(error: StreamError): void {
    if (this.#state === 'closing' || this.#state === 'closed') return;
    // RFC 6120 4.9.1.2: an error during setup follows our own header
    if (!this.#hasSentHeader) this.#writeHeader(undefined);
    this.connection.write(error.toBytes(this.connection.framing === 'websocket'));
    this.close();
  }

  /** Closes our side (RFC 6120 4.4) and waits for the peer's, but not for ever. */
  close(): void {
    if (this.#state === 'closing' || this.#state === 'closed') return;
    this.connection.write(
      this.connection.framing === 'websocket' ? `<close xmlns='${NS.FRAMING}'/>` : '</stream:stream>',
    );
    this.#endSession();
    this.#state = 'closing';
    this.#held = [];
    this.#deadline = this.context.clock.monotonic() + this.context.config.c2s.closeTimeoutSeconds * 1000;
    this.connection.end();
    this.connection.resume();
  }

  /** Writes a first-level element that is no stanza, as a byte string. */
  writeElement(bytes: string): void {
    this.connection.write(bytes);
  }

  /** Asks the client for its count, unless an answer is still due (XEP-0198 4). */
  requestAcknowledgement(): void {
    if (this.#isAckRequested) return;
    this.#isAckRequested = true;
    this.connection.write(`<r xmlns='${NS.STREAM_MANAGEMENT}'/>`);
  }

  acknowledgementCame(): void {
    this.#isAckRequested = false;
  }

  /** Takes no further element until the promise settles; what it rejects with ends the stream. */
  waitFor(work: Promise<void>): void {
    this.#isBusy = true;
    work.then(
      () => this.#goOn(),
      (error: unknown) => {
        this.#isBusy = false;
        this.#fail(error);
      },
    );
  }

  /** The session exists: stanzas flow from here on. */
  bound(session: Session): void {
    this.session = session;
    this.#state = 'bound';
    this.#sasl = undefined;
  }

  /** Looks at the clock, about once a second. */
  check(now: number): void {
    const { c2s } = this.context.config;
    switch (this.#state) {
      case 'opening':
      case 'negotiating':
        if (now > this.#deadline)
          this.closeWithError(new StreamError('connection-timeout', 'Logging in took too long'));
        return;
      case 'closing':
        if (now > this.#deadline) {
          this.connection.destroy();
          this.#finish();
        }
        return;
      case 'bound': {
        const silentMs = now - this.#lastSeen;
        if (silentMs > (c2s.idleSeconds + c2s.pingTimeoutSeconds) * 1000) {
          this.closeWithError(new StreamError('connection-timeout', 'Nothing was heard for too long'));
        } else if (silentMs > c2s.idleSeconds * 1000 && !this.#isPinged) {
          this.#isPinged = true;
          this.#ping();
        }
        return;
      }
      case 'closed':
        return;
    }
  }

  get #isStopped(): boolean {
    return this.#isBusy || this.#state === 'closed' || this.session?.inbound.isAboveMark === true;
  }

  #limits(): ScannerLimits {
    const { maxStanzaBytes, maxStanzaBytesUnauthenticated, maxDepth, maxAttributes } = this.context.config.c2s;
    const maxBytes = this.authenticated === undefined ? maxStanzaBytesUnauthenticated : maxStanzaBytes;
    return { maxBytes, maxDepth, maxAttributes };
  }

  #hold(chunk: Buffer): void {
    if (this.#state === 'closed') return;
    this.#held.push(Buffer.from(chunk));
    this.connection.pause();
  }

  #take(chunk: Buffer): void {
    try {
      if (this.connection.framing === 'websocket') {
        this.#takeDocument(scanDocument(chunk, this.#limits()));
      } else {
        const consumed = this.#scanner.scan(chunk, this);
        if (consumed < chunk.length && this.#isStopped) this.#hold(chunk.subarray(consumed));
      }
    } catch (error) {
      this.#fail(error);
      return;
    }
    if (!this.#isStopped) return;
    this.connection.pause();
    const { session } = this;
    if (session?.inbound.isAboveMark === true) session.inbound.onRelief = () => setImmediate(() => this.#goOn());
  }

  #goOn(): void {
    this.#isBusy = false;
    while (this.#held.length > 0 && !this.#isStopped) this.#take(this.#held.shift()!);
    if (!this.#isStopped) this.connection.resume();
  }

  /** RFC 7395 3.3: every message is one element. */
  #takeDocument(frame: Frame): void {
    if (frame.namespace !== NS.FRAMING) {
      if (this.#state === 'opening') throw new StreamError('not-authorized', 'A stream begins with <open/>');
      this.#handle(frame);
    } else if (frame.name === 'open') {
      const version = / version=(?:'([^']*)'|"([^"]*)")/.exec(frame.others);
      this.#open({ ...frame, contentNamespace: NS.CLIENT, version: version?.[1] ?? version?.[2] });
    } else if (frame.name === 'close') {
      this.#peerClosed();
    } else {
      throw new StreamError('bad-format', 'Only <open/> and <close/> belong to the framing');
    }
  }

  #open(header: StreamHeader): void {
    if (this.#state !== 'opening') throw new StreamError('bad-format', 'The stream is open already');
    this.lang = header.lang;
    const domain = header.to === undefined ? undefined : this.#prepareDomain(header.to);
    const wasFor = this.domain;
    if (domain !== undefined && this.context.domains.has(domain)) this.domain = domain;
    this.#writeHeader(header);
    if (header.contentNamespace !== NS.CLIENT)
      throw new StreamError('invalid-namespace', 'Clients speak jabber:client here');
    // RFC 6120 4.9.1.3
    if (domain === undefined || !this.context.domains.has(domain) || (wasFor !== undefined && wasFor !== domain)) {
      throw new StreamError('host-unknown', 'This domain is not served here');
    }
    // RFC 6120 4.7.5
    if (header.version === undefined || !/^[1-9]\d*\.\d+$/.test(header.version)) {
      throw new StreamError('unsupported-version', 'XMPP 1.0 is spoken here');
    }
    this.#state = 'negotiating';
    this.#writeFeatures(domain);
  }

  #prepareDomain(to: string): string | undefined {
    try {
      const jid = this.context.jids.parse(to);
      return jid.local === '' && jid.resource === '' ? jid.domain : undefined;
    } catch {
      return undefined;
    }
  }

  #writeHeader(header: StreamHeader | undefined): void {
    const from = this.domain ?? [...this.context.domains][0] ?? '';
    const to = header?.from === undefined ? '' : ` to='${toByteString(escapeAttribute(header.from))}'`;
    const attributes = `from='${toByteString(from)}'${to} id='${this.context.randomId()}' version='1.0' xml:lang='en'`;
    this.#hasSentHeader = true;
    this.connection.write(
      this.connection.framing === 'websocket'
        ? `<open xmlns='${NS.FRAMING}' ${attributes}/>`
        : `<?xml version='1.0'?><stream:stream xmlns='${NS.CLIENT}' xmlns:stream='${NS.STREAMS}' ${attributes}>`,
    );
  }

  /** RFC 6120 4.3.2: what may be negotiated now. */
  #writeFeatures(domain: string): void {
    const { c2s } = this.context.config;
    let features = '';
    if (this.authenticated !== undefined) {
      features += `<bind xmlns='${NS.BIND}'/><sm xmlns='${NS.STREAM_MANAGEMENT}'/>`;
      for (const feature of this.context.streamFeatures) features += feature().toBytes(NS.CLIENT);
    } else {
      const { canStartTls, security, remoteAddress } = this.connection;
      if (canStartTls) {
        features += `<starttls xmlns='${NS.TLS}'>${c2s.allowPlaintextAuthentication ? '' : '<required/>'}</starttls>`;
      }
      this.#sasl = new SaslNegotiation({ ...this.context.sasl, domain, security, address: remoteAddress });
      features += this.#sasl.features();
    }
    const { maxBytes } = this.#limits();
    features +=
      `<limits xmlns='${NS.STREAM_LIMITS}'><max-bytes>${String(maxBytes)}</max-bytes>` +
      `<idle-seconds>${String(c2s.idleSeconds)}</idle-seconds></limits>`;
    const declaration = this.connection.framing === 'websocket' ? ` xmlns:stream='${NS.STREAMS}'` : '';
    this.connection.write(`<stream:features${declaration}>${features}</stream:features>`);
  }

  #handle(frame: Frame): void {
    if (this.#state === 'closing' || this.#state === 'closed') return;
    if (frame.namespace === NS.STREAMS && frame.name === 'error') {
      this.context.log.debug({ address: this.remoteAddress }, 'the client reports a stream error');
      this.close();
      return;
    }
    const { session } = this;
    if (session !== undefined) {
      if (frame.namespace === NS.STREAM_MANAGEMENT) manageStream(this, session, frame);
      else acceptStanza(this, session, frame);
    } else if (this.authenticated !== undefined) {
      bindResource(this, this.authenticated, frame);
    } else {
      this.#negotiateSecurity(frame);
    }
  }

  #negotiateSecurity(frame: Frame): void {
    if (frame.namespace === NS.TLS && frame.name === 'starttls') {
      // RFC 6120 5.4.2.2
      if (!this.connection.canStartTls) {
        this.connection.write(`<failure xmlns='${NS.TLS}'/>`);
        this.close();
        return;
      }
      this.waitFor(this.#startTls());
    } else if (frame.namespace === NS.SASL && this.#sasl !== undefined) {
      this.waitFor(this.#authenticate(this.#sasl, frame));
    } else {
      // RFC 6120 4.9.3.12
      throw new StreamError('not-authorized', 'Log in first');
    }
  }

  async #startTls(): Promise<void> {
    this.connection.write(`<proceed xmlns='${NS.TLS}'/>`);
    // RFC 6120 5.4.3.3: whatever was known or sent before TLS is forgotten
    const { domain } = this;
    this.#restart();
    this.domain = undefined;
    try {
      await this.connection.startTls(domain);
    } catch (error) {
      this.context.log.debug({ address: this.remoteAddress, error: String(error) }, 'TLS was not established');
      this.connection.destroy();
      this.#finish();
    } finally {
      this.#held = [];
    }
  }

  async #authenticate(sasl: SaslNegotiation, frame: Frame): Promise<void> {
    const step = await sasl.receive(frame);
    if (this.#state !== 'negotiating') return;
    this.connection.write(step.reply);
    if (step.kind === 'success') {
      this.authenticated = `${step.username}@${this.domain ?? ''}`;
      const { mechanism } = step;
      this.context.log.info({ account: this.authenticated, mechanism, address: this.remoteAddress }, 'logged in');
      this.#restart(); // RFC 6120 6.3.2
    } else if (step.kind === 'failure') {
      const facts = { account: step.account, condition: step.condition, address: this.remoteAddress };
      if (step.cause === undefined) this.context.log.info(facts, 'login failed');
      else
        this.context.log.error(
          { ...facts, error: step.cause instanceof Error ? step.cause.stack : 'unknown' },
          'login failed by our own fault',
        );
      if (step.fatal) throw new StreamError('policy-violation', 'Too many failed logins'); // RFC 6120 6.4.5
    }
  }

  #restart(): void {
    this.#state = 'opening';
    this.#hasSentHeader = false;
    this.#scanner.reset();
    this.#scanner.setLimits(this.#limits());
  }

  #ping(): void {
    if (this.session?.isAcknowledging === true) {
      this.#isAckRequested = false;
      this.requestAcknowledgement();
    } else {
      const xmlns = this.connection.framing === 'websocket' ? ` xmlns='${NS.CLIENT}'` : '';
      const from = toByteString(this.domain ?? '');
      const id = this.context.randomId();
      this.connection.write(`<iq${xmlns} type='get' id='${id}' from='${from}'><ping xmlns='${NS.PING}'/></iq>`);
    }
  }

  /** RFC 6120 4.4: the peer has closed its side; so do we, and the connection with it. */
  #peerClosed(): void {
    if (this.#state === 'closing') {
      this.connection.destroy();
      this.#finish();
    } else this.close();
  }

  #fail(error: unknown): void {
    if (error instanceof StreamError) {
      this.context.log.info(
        { address: this.remoteAddress, account: this.authenticated, error: error.message },
        'stream refused',
      );
      this.closeWithError(error);
      return;
    }
    const stack = error instanceof Error ? error.stack : String(error);
    this.context.log.error(
      { address: this.remoteAddress, account: this.authenticated, error: stack },
      'a stream failed',
    );
    this.closeWithError(new StreamError('internal-server-error'));
  }

  #endSession(): void {
    const { session } = this;
    if (session === undefined) return;
    this.session = undefined;
    session.stream = undefined;
    this.context.table.end(session);
  }

  #finish(): void {
    this.#endSession();
    this.#state = 'closed';
    this.#held = [];
    this.context.streams.delete(this);
  }
}
