import { element } from '../../stanzas/element.ts';
import type { Frame, StreamHeader } from '../../stanzas/frame.ts';
import { Jid } from '../../stanzas/jid.ts';
import { NS } from '../../stanzas/namespaces.ts';
import { Scanner, scanDocument, type ScannerLimits, type ScannerSink } from '../../stanzas/scanner.ts';
import { Stanza } from '../../stanzas/stanza.ts';
import { StreamError } from '../../stanzas/stream-error.ts';
import type { InboundLedger } from '../routing/receipt.ts';
import type { Session, SessionStream } from '../routing/session.ts';
import { acceptStanza } from './client-stanza.ts';
import type { Connection, ConnectionListener } from './connection.ts';
import { bindResource } from './resource-binding.ts';
import { SaslProfiles } from './sasl-profiles.ts';
import type { StreamContext } from './stream-context.ts';
import { manageStream } from './stream-management.ts';
import { negotiateSecurity } from './security-negotiation.ts';
import { checkClaim, checkHeader, claimOf, domainOf, featuresBytes, headerBytes, langOf } from './stream-opening.ts';
import { StreamIntake, type IntakeOwner } from './stream-intake.ts';
import { StreamTimeouts } from './stream-timeouts.ts';
import { readMessage } from './websocket-framing.ts';

/** Where the negotiation stands (RFC 6120 4.3). */
export type ClientStreamState =
  | 'opening' // a stream header comes next
  | 'negotiating' // the header was answered; TLS, SASL or resource binding come next
  | 'bound' // stanzas flow
  | 'closing' // we have closed our side and wait for the peer's
  | 'closed';

const LATE_ACKNOWLEDGEMENT_MS = 1000;

/** One client's stream from the first byte to the last (RFC 6120 4). Knows one connection and at most one session. */
export class ClientStream implements ConnectionListener, IntakeOwner, ScannerSink, SessionStream {
  readonly connection: Connection;
  readonly context: StreamContext;
  /** The domain the client asked for, once it has. */
  domain: string | undefined;
  /** The bare JID that the protected stream header says it is from (RFC 6120 4.7.1). */
  claimed: string | undefined;
  /** The bare JID that was authenticated. */
  authenticated: string | undefined;
  /** The client installation that it said it is (XEP-0388), by its name for operators; undefined where it did not say. */
  client: string | undefined;
  session: Session | undefined;
  /** Default language of the stanzas of this stream (RFC 6120 4.7.4). */
  lang: string | undefined;
  bindAttempts = 0;
  #state: ClientStreamState = 'opening';
  #scanner: Scanner;
  #sasl: SaslProfiles | undefined;
  #hasSentHeader = false;
  /** Whether the peer has closed its side. */
  #isPeerClosed = false;
  readonly #timeouts: StreamTimeouts;
  readonly #intake: StreamIntake;
  #isAckRequested = false;
  /** Stanzas for a session whose client is not told yet that it has one. */
  #withheld: Stanza[] | undefined;
  /** When the client asked for our count and has not been told, monotonic milliseconds. */
  #ackOwedSince: number | undefined;

  constructor(connection: Connection, context: StreamContext) {
    this.connection = connection;
    this.context = context;
    this.#scanner = new Scanner(this.#limits());
    const { c2s } = context.config;
    this.#timeouts = new StreamTimeouts(c2s, context.clock.monotonic());
    this.#intake = new StreamIntake(this, context, c2s);
    context.streams.add(this);
    connection.listener = this;
  }

  get remoteAddress(): string {
    return this.connection.remoteAddress;
  }

  get state(): ClientStreamState {
    return this.#state;
  }

  /** When bytes last came, monotonic milliseconds. */
  get lastHeardMs(): number {
    return this.#timeouts.lastHeardMs;
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
    const now = this.context.clock.monotonic();
    this.#timeouts.heard(now);
    this.context.counters.clientBytesReceived += chunk.length;
    if (this.connection.bufferedBytes > 2 * this.context.config.limits.maxQueueBytes) {
      // Who sends on without reading the answers would have us keep them all. Twice: a resumed session's queue is written
      // at once, with its tags.
      this.context.counters.limits.add('limits.max_queue');
      this.closeWithError(new StreamError('resource-constraint', 'Too much waits for this client'));
    } else this.#intake.receive(chunk);
    this.#intake.charge(chunk.length, now);
  }

  refused(error: StreamError): void {
    this.fail(error);
  }

  closed(error?: Error): void {
    if (this.#state === 'closed') return;
    // XEP-0198 7: a stream that was not closed is unfinished, and its session may be resumed
    this.#leaveSession(true);
    if (error !== undefined)
      this.context.log.debug({ address: this.remoteAddress, error: error.message }, 'connection lost');
    this.#finish();
  }

  flushMark(): number {
    return this.#withheld === undefined ? (this.session?.flushMark() ?? -1) : -1;
  }

  flushed(mark: number): void {
    this.session?.flushed(mark);
  }

  // IntakeOwner

  get inbound(): InboundLedger | undefined {
    return this.session?.inbound;
  }

  get isClosed(): boolean {
    return this.#state === 'closed';
  }

  take(chunk: Buffer): number {
    if (this.connection.framing === 'stream') return this.#scanner.scan(chunk, this);
    this.#takeMessage(scanDocument(chunk, this.#limits()));
    return chunk.length;
  }

  throttled(): void {
    this.context.counters.limits.add('c2s.bytes_per_second');
  }

  fail(error: unknown): void {
    if (error instanceof StreamError) {
      if (this.#state === 'closing' || this.#state === 'closed') return; // whatever else comes is no news
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

  // ScannerSink

  streamOpened(header: StreamHeader): boolean {
    this.#open(header);
    return !this.#intake.isStopped;
  }

  elementScanned(frame: Frame): boolean {
    this.#handle(frame);
    return !this.#intake.isStopped;
  }

  streamClosed(): boolean {
    this.#peerClosed();
    return false;
  }

  // SessionStream

  writeStanza(stanza: Stanza): void {
    if (this.#state !== 'bound') return;
    if (this.#withheld !== undefined) {
      this.#withheld.push(stanza);
      if (this.#withheld.length > this.context.config.limits.maxQueueStanzas) {
        this.context.counters.limits.add('limits.max_queue');
        this.closeWithError(new StreamError('resource-constraint', 'Too much waits for this client'));
      }
      return;
    }
    this.writeOwn(stanza);
    this.context.counters.clientStanzasSent[stanza.kind]++;
    if (this.session?.isAcknowledging === true) this.requestAcknowledgement();
  }

  /** Sends an error and closes both ways (RFC 6120 4.9.1.1). */
  closeWithError(error: StreamError): void {
    if (this.#state === 'closing' || this.#state === 'closed') return;
    this.context.counters.streamErrors.add(error.condition);
    // RFC 6120 4.9.1.2: an error during setup follows our own header
    if (!this.#hasSentHeader) this.#writeHeader(undefined);
    this.connection.write(error.toBytes(this.connection.framing === 'websocket'));
    // A client that fell silent has lost its connection without our noticing: it may come back.
    if (error.condition === 'connection-timeout') this.#leaveSession(true);
    this.close();
  }

  /**
   * Closes our side (RFC 6120 4.4) and waits for the peer's, but not for ever. A TCP connection is closed in our direction
   * at once; a WebSocket, which has no half, when the peer's `<close/>` has come (RFC 7395 3.6).
   */
  close(): void {
    if (this.#state === 'closing' || this.#state === 'closed') return;
    const isWebSocket = this.connection.framing === 'websocket';
    this.connection.write(isWebSocket ? `<close xmlns='${NS.FRAMING}'/>` : '</stream:stream>');
    this.#leaveSession(false);
    this.#state = 'closing';
    this.#timeouts.closes(this.context.clock.monotonic());
    if (!isWebSocket || this.#isPeerClosed) this.connection.end();
    this.#intake.awaitEnd();
  }

  /** Takes nothing more from the client: the server stops. What has been taken is still answered. */
  stopReading(): void {
    this.#intake.stop();
  }

  /** Writes a stanza of the stream itself, whatever its state: not counted, not confirmed. */
  writeOwn(stanza: Stanza): void {
    this.connection.write(this.connection.framing === 'websocket' ? stanza.toDocument() : stanza.toBytes());
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

  /** The client has asked for our count (XEP-0198 4). */
  owesAcknowledgement(): void {
    this.#ackOwedSince ??= this.#timeouts.lastHeardMs;
  }

  /** Tells the client our count. */
  payAcknowledgement(handled: number): void {
    this.#ackOwedSince = undefined;
    if (this.#state === 'bound') this.connection.write(`<a xmlns='${NS.STREAM_MANAGEMENT}' h='${handled}'/>`);
  }

  acknowledgementCame(): void {
    this.#isAckRequested = false;
  }

  /** Stanzas wait from now on until `release`; what the client must hear first is written meanwhile. */
  withhold(): void {
    this.#withheld = [];
  }

  release(): void {
    const stanzas = this.#withheld ?? [];
    this.#withheld = undefined;
    for (const stanza of stanzas) this.writeStanza(stanza);
  }

  /** The client is authenticated and goes on within this stream (XEP-0388, "Success"). */
  authenticatedWithin(bare: string): void {
    this.authenticated = bare;
    this.#sasl = undefined;
    this.#scanner.setLimits(this.#limits());
  }

  writeFeatures(): void {
    this.connection.write(featuresBytes(this, this.#sasl, this.#limits().maxBytes));
  }

  /** Takes no further element until the promise settles; what it rejects with ends the stream. */
  waitFor(work: Promise<void>): void {
    this.#intake.waitFor(work);
  }

  /** Whether features were sent and the stream has neither been bound nor closed since. */
  get isNegotiating(): boolean {
    return this.#state === 'negotiating';
  }

  /** Whether the stream has been closed, by whichever side. */
  get isOver(): boolean {
    return this.#state === 'closing' || this.#state === 'closed';
  }

  /** Expects a new stream header next (RFC 6120 4.3.3). */
  restart(): void {
    this.#state = 'opening';
    this.#sasl = undefined;
    this.#hasSentHeader = false;
    this.#scanner.reset();
    this.#scanner.setLimits(this.#limits());
  }

  /** Forgets what came in and has not been taken. */
  forgetHeld(): void {
    this.#intake.forget();
  }

  /**
   * The server stops. A session that may be resumed loses its connection without a stream close, so that its client comes
   * back to it (XEP-0198 7); any other stream ends with `system-shutdown`.
   */
  shutDown(): void {
    if (this.session?.resumption === undefined) {
      this.closeWithError(new StreamError('system-shutdown'));
      return;
    }
    this.#finish();
    this.connection.end();
  }

  /** Gives the connection up without a word. */
  abort(): void {
    this.connection.destroy();
    this.#finish();
  }

  /** The session exists: stanzas flow from here on. */
  bound(session: Session): void {
    this.session = session;
    this.#state = 'bound';
  }

  /** Looks at the clock, about once a second. */
  check(now: number): void {
    switch (this.#state) {
      case 'opening':
      case 'negotiating':
        if (this.#timeouts.isOverdue(now))
          this.closeWithError(new StreamError('connection-timeout', 'Logging in took too long'));
        return;
      case 'closing':
        if (this.#timeouts.isOverdue(now)) this.abort();
        return;
      case 'bound': {
        this.#payLateAcknowledgement(now);
        const silence = this.#timeouts.silence(now);
        if (silence === 'too long')
          this.closeWithError(new StreamError('connection-timeout', 'Nothing was heard for too long'));
        else if (silence === 'worth a ping') this.#ping();
        return;
      }
      case 'closed':
        return;
    }
  }

  #limits(): ScannerLimits {
    const { unauthenticated, authenticated } = this.context.scannerLimits;
    return this.authenticated === undefined ? unauthenticated : authenticated;
  }

  /** RFC 7395 3.3: every message is one element. */
  #takeMessage(frame: Frame): void {
    const message = readMessage(frame, this.#state === 'opening');
    if (message.kind === 'open') this.#open(message.header);
    else if (message.kind === 'close') this.#peerClosed();
    else this.#handle(frame);
  }

  #open(header: StreamHeader): void {
    if (this.#state === 'closing' || this.#state === 'closed') return;
    if (this.#state !== 'opening') throw new StreamError('bad-format', 'The stream is open already');
    const { context, connection } = this;
    this.lang = langOf(header);
    const domain = domainOf(header, this.domain, context);
    const earlierDomain = this.domain;
    if (domain !== undefined && context.domains.has(domain)) this.domain = domain;
    this.#writeHeader(header);
    checkHeader(header, domain, earlierDomain, context);
    this.claimed = connection.security.encrypted ? claimOf(header, context) : undefined;
    if (this.authenticated !== undefined) checkClaim(this.claimed, this.authenticated);
    this.#state = 'negotiating';
    if (this.authenticated === undefined) {
      const { security, remoteAddress: address } = connection;
      this.#sasl = new SaslProfiles({ ...context.sasl, domain, security, address }, this.claimed);
    }
    this.writeFeatures();
  }

  #writeHeader(header: StreamHeader | undefined): void {
    const from = this.domain ?? [...this.context.domains][0] ?? '';
    this.#hasSentHeader = true;
    this.connection.write(headerBytes(this.connection, from, header, this.context));
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
    } else if (this.#sasl !== undefined) {
      negotiateSecurity(this, this.#sasl, frame);
    } else {
      throw new StreamError('not-authorized', 'A stream begins with its header');
    }
  }

  #ping(): void {
    if (this.session?.isAcknowledging === true) {
      this.#isAckRequested = false;
      this.requestAcknowledgement();
    } else {
      const header = { from: Jid.of('', this.domain ?? ''), id: this.context.randomId(), type: 'get' };
      this.writeOwn(Stanza.create('iq', header, [element('ping', NS.PING)]));
    }
  }

  /** RFC 6120 4.4: the peer has closed its side; so do we, and the connection with it, behind all that was written. */
  #peerClosed(): void {
    this.#isPeerClosed = true;
    if (this.#state === 'closing') this.connection.end();
    else {
      if (this.session !== undefined) this.session.isClosedInOrder = true;
      this.close();
    }
  }

  /** XEP-0198 4: an answer is not withheld because the store takes its time; what is committed by then is told. */
  #payLateAcknowledgement(now: number): void {
    if (this.#ackOwedSince === undefined || now - this.#ackOwedSince < LATE_ACKNOWLEDGEMENT_MS) return;
    this.payAcknowledgement(this.session?.inbound.handled ?? 0); // another follows when all of it is handled
  }

  /** @param mayResume whether the session stays for its client to come back, if it is resumable */
  #leaveSession(mayResume: boolean): void {
    const { session } = this;
    if (session === undefined) return;
    this.session = undefined;
    if (session.stream !== this) return; // another stream has it
    session.stream = undefined;
    if (mayResume && this.context.resumable.detach(session)) return;
    this.context.table.end(session);
  }

  #finish(): void {
    this.#leaveSession(true);
    this.#state = 'closed';
    this.#intake.forget();
    this.context.streams.delete(this);
  }
}
