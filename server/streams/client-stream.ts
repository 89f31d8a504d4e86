import type { Frame, StreamHeader } from '../../stanzas/frame.ts';
import type { Jid } from '../../stanzas/jid.ts';
import { NS } from '../../stanzas/namespaces.ts';
import { Scanner, scanDocument, type ScannerSink } from '../../stanzas/scanner.ts';
import type { Stanza } from '../../stanzas/stanza.ts';
import { StreamError } from '../../stanzas/stream-error.ts';
import type { Eventual } from '../eventual.ts';
import type { InboundLedger } from '../routing/receipt.ts';
import type { Session, SessionStream } from '../routing/session.ts';
import { acceptStanza } from './client-stanza.ts';
import type { Connection, ConnectionListener } from './connection.ts';
import { SessionOutput } from './session-output.ts';
import type { StreamContext } from './stream-context.ts';
import { manageStream } from './stream-management.ts';
import { StreamIntake, type IntakeOwner } from './stream-intake.ts';
import { StreamNegotiation } from './stream-negotiation.ts';
import { StreamTimeouts } from './stream-timeouts.ts';
import { readMessage } from './websocket-framing.ts';

/** Where the negotiation stands (RFC 6120 4.3). */
export type ClientStreamState =
  | 'opening' // a stream header comes next
  | 'negotiating' // the header was answered; TLS, SASL or resource binding come next
  | 'bound' // stanzas flow
  | 'closing' // we have closed our side and wait for the peer's
  | 'closed';

/**
 * One client's stream from the first byte to the last (RFC 6120 4): opened, negotiated, bound, closed. Knows one connection
 * and at most one session.
 */
export class ClientStream implements ConnectionListener, IntakeOwner, ScannerSink, SessionStream {
  readonly connection: Connection;
  readonly context: StreamContext;
  readonly negotiation: StreamNegotiation;
  /** What is written for the session. */
  readonly output: SessionOutput;
  session: Session | undefined;
  /** Where the last stanza went. */
  lastTo: Jid | undefined;
  /** What the messages of its session begin with wherever they go, a byte string; undefined before the first. */
  messageOpening: string | undefined;
  #state: ClientStreamState = 'opening';
  readonly #scanner: Scanner;
  /** Whether the peer has closed its side. */
  #isPeerClosed = false;
  readonly #timeouts: StreamTimeouts;
  readonly #intake: StreamIntake;

  constructor(connection: Connection, context: StreamContext) {
    this.connection = connection;
    this.context = context;
    this.negotiation = new StreamNegotiation(this);
    this.output = new SessionOutput(this);
    this.#scanner = new Scanner(this.negotiation.limits);
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
    return this.output.isWithholding ? -1 : (this.session?.flushMark() ?? -1);
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
    this.#takeMessage(scanDocument(chunk, this.negotiation.limits));
    return chunk.length;
  }

  throttled(): void {
    this.context.counters.limits.add('c2s.bytes_per_second');
  }

  fail(error: unknown): void {
    if (error instanceof StreamError) {
      if (this.#state === 'closing' || this.#state === 'closed') return; // whatever else comes is no news
      this.context.log.info(
        { address: this.remoteAddress, account: this.negotiation.authenticated, error: error.message },
        'stream refused',
      );
      this.closeWithError(error);
      return;
    }
    const stack = error instanceof Error ? error.stack : String(error);
    this.context.log.error(
      { address: this.remoteAddress, account: this.negotiation.authenticated, error: stack },
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
    if (this.#state === 'bound') this.output.writeStanza(stanza);
  }

  /** Sends an error and closes both ways (RFC 6120 4.9.1.1). */
  closeWithError(error: StreamError): void {
    if (this.#state === 'closing' || this.#state === 'closed') return;
    this.context.counters.streamErrors.add(error.condition);
    this.negotiation.ensureHeader();
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

  /** The client is authenticated and goes on within this stream (XEP-0388, "Success"). */
  authenticatedWithin(bare: string): void {
    this.negotiation.authenticatedWithin(bare);
    this.#scanner.setLimits(this.negotiation.limits);
  }

  /** Takes no further element until the work is done; what it rejects with ends the stream. */
  waitFor(work: Eventual<void>): void {
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
    this.negotiation.restart();
    this.#scanner.reset();
    this.#scanner.setLimits(this.negotiation.limits);
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
        this.output.payLateAcknowledgement(now);
        const silence = this.#timeouts.silence(now);
        if (silence === 'too long')
          this.closeWithError(new StreamError('connection-timeout', 'Nothing was heard for too long'));
        else if (silence === 'worth a ping') this.output.ping();
        return;
      }
      case 'closed':
        return;
    }
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
    this.negotiation.open(header);
    this.#state = 'negotiating';
  }

  #handle(frame: Frame): void {
    if (this.#state === 'closing' || this.#state === 'closed') return;
    if (frame.namespace === NS.STREAMS && frame.name === 'error') {
      this.context.log.debug({ address: this.remoteAddress }, 'the client reports a stream error');
      this.close();
      return;
    }
    const { session } = this;
    if (session === undefined) this.negotiation.take(frame);
    else if (frame.namespace === NS.STREAM_MANAGEMENT) manageStream(this, session, frame);
    else acceptStanza(this, session, frame);
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
