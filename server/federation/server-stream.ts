import type { Frame, StreamHeader } from '../../stanzas/frame.ts';
import { NS } from '../../stanzas/namespaces.ts';
import type { ScannerLimits, ScannerSink } from '../../stanzas/scanner.ts';
import { stanzaKind } from '../../stanzas/stanza.ts';
import { StreamError } from '../../stanzas/stream-error.ts';
import type { DomainPair } from '../../storage/outboxes.ts';
import type { Connection, ConnectionListener } from '../streams/connection.ts';
import { Acknowledgements } from './acknowledgements.ts';
import { connectionProblem } from './failure-words.ts';
import type { FederationContext } from './federation-context.ts';
import type { Carrier, Parcel, ParcelOwner } from './parcel.ts';
import { ProvedPairs } from './proved-pairs.ts';
import { acceptStanza } from './server-stanza.ts';
import { StreamClosing } from './stream-closing.ts';
import { loseFlow, type StreamFlow } from './stream-flow.ts';
import { maxBytesIn, rateLimit, scannerLimits } from './stream-limits.ts';
import { tellFailed, tellOver, tellPeerError } from './stream-lines.ts';
import { StreamOutput } from './stream-output.ts';
import { StreamReader } from './stream-reader.ts';

/** Where a stream stands; which stanzas flow depends on what was proved for each pair of domains. */
export type ServerStreamState =
  | 'opening' // a stream header comes next
  | 'open'
  | 'closing' // we have closed our side and wait for the peer's
  | 'closed';

/** Answers and stanzas that a peer lets wait while it asks for more; a server that has proved nothing gets little room. */
const MAX_UNREAD_BYTES = 4 * 1024 * 1024;
const MAX_UNREAD_BYTES_UNAUTHENTICATED = 64 * 1024;
const CLOSE_TIMEOUT_MS = 5000;

/** What both directions of a stream between servers have in common (RFC 6120 4, 8; XEP-0198, XEP-0288). */
export abstract class ServerStream implements ConnectionListener, ScannerSink, Carrier {
  readonly connection: Connection;
  readonly context: FederationContext;
  abstract readonly direction: 'incoming' | 'outgoing';
  /** What was proved on it. */
  readonly pairs = new ProvedPairs();
  /** When it began, milliseconds since the epoch. */
  readonly since: number;
  /** Whether TLS began with the first byte, rather than by STARTTLS. */
  readonly hasDirectTls: boolean;
  /** Why it ended, once it has, in words for the operator. */
  endReason = '';
  /** The largest stanza the peer takes (XEP-0478), as far as it has said. */
  maxBytes = Infinity;
  /** The stream error that the peer sent, if it did. */
  peerCondition: string | undefined;
  protected isBusy = false;
  protected hasSentHeader = false;
  /** Monotonic milliseconds. */
  protected deadline: number;
  #state: ServerStreamState = 'opening';
  protected readonly acknowledgements = new Acknowledgements(this);
  readonly #reader: StreamReader;
  #lastHeard: number;
  #lastStanza: number;
  readonly #output: StreamOutput;
  readonly #closing = new StreamClosing();

  constructor(connection: Connection, context: FederationContext) {
    this.connection = connection;
    this.context = context;
    const { settings, clock } = context;
    this.#output = new StreamOutput(this, connection, context.counters);
    this.since = clock.now();
    this.hasDirectTls = connection.security.encrypted;
    this.#lastHeard = this.#lastStanza = clock.monotonic();
    this.deadline = this.#lastHeard + settings.negotiationTimeoutSeconds * 1000;
    this.#reader = new StreamReader({
      connection,
      clock,
      owner: this,
      limits: this.limits(),
      rate: rateLimit(settings, this.#lastHeard),
    });
    connection.listener = this;
    context.events.opened(this);
  }

  // What the two directions do differently

  protected abstract headerCame(header: StreamHeader): void;
  /** An element that is no stanza and is not common to both directions. */
  protected abstract handle(frame: Frame): void;
  protected abstract writeHeader(): void;
  /** Whether an end of the stream is in order while nothing waits. */
  protected abstract isInUse(): boolean;
  /** The stream is over; whoever waits for it must be told. */
  protected abstract ended(): void;
  /** The time for proving something is over. */
  protected abstract overdue(): void;

  get state(): ServerStreamState {
    return this.#state;
  }

  /** What went out and came in. */
  get flow(): StreamFlow {
    return this.acknowledgements.flow;
  }

  get isEncrypted(): boolean {
    return this.connection.security.encrypted;
  }

  get isOpen(): boolean {
    return this.#state === 'open';
  }

  get isOver(): boolean {
    return this.#state === 'closing' || this.#state === 'closed';
  }

  /** Seconds without a stanza in either direction. */
  get idleSeconds(): number {
    return Math.round((this.context.clock.monotonic() - this.#lastStanza) / 1000);
  }

  // ConnectionListener

  received(chunk: Buffer): void {
    this.#lastHeard = this.context.clock.monotonic();
    this.context.counters.serverBytesReceived += chunk.length;
    this.#reader.received(chunk, this.#lastHeard);
  }

  closed(error?: Error): void {
    this.#finish(
      error === undefined
        ? 'the other server closed the connection'
        : `the connection broke: ${connectionProblem(error)}`,
      true,
    );
  }

  flushMark(): number {
    return this.#output.isAwaited ? 0 : -1;
  }

  flushed(): void {
    this.#output.flushed();
  }

  // ScannerSink

  streamOpened(header: StreamHeader): boolean {
    if (this.#state !== 'opening') throw new StreamError('bad-format', 'The stream is open already');
    this.#state = 'open';
    this.headerCame(header);
    return !this.isStopped;
  }

  elementScanned(frame: Frame): boolean {
    this.#handleFrame(frame);
    const maxUnread = this.isAuthenticated ? MAX_UNREAD_BYTES : MAX_UNREAD_BYTES_UNAUTHENTICATED;
    if (!this.isOver && this.connection.bufferedBytes > maxUnread) {
      this.giveUp('the other server asks and does not read the answers');
    }
    return !this.isStopped;
  }

  /** RFC 6120 4.4 */
  streamClosed(): boolean {
    if (this.#state === 'closing') {
      this.#closing.ended(this.flow);
      this.abort(this.endReason);
    } else this.close('the other server closed the stream');
    return false;
  }

  // Carrier

  get isCongested(): boolean {
    return this.#output.isCongested;
  }

  carry(owner: ParcelOwner): void {
    this.#output.tell(owner);
  }

  send(parcel: Parcel): void {
    this.#lastStanza = this.context.clock.monotonic();
    this.acknowledgements.push(parcel);
    this.#output.write(parcel);
    this.acknowledgements.askIfDue(this.#lastStanza);
  }

  write(bytes: string): void {
    this.connection.write(bytes);
  }

  /** Takes the stanzas of a pair from the other server from now on. */
  protected allowReceiving(pair: DomainPair): void {
    this.pairs.allowReceiving(pair);
    this.#reader.setLimits(this.limits());
  }

  /** Whether anything was proved at all. */
  get isAuthenticated(): boolean {
    return this.pairs.areSome;
  }

  /** Sends an error and closes both ways (RFC 6120 4.9.1.1). */
  closeWithError(error: StreamError): void {
    if (this.isOver) return;
    if (!this.hasSentHeader) this.writeHeader(); // RFC 6120 4.9.1.2
    this.connection.write(error.toBytes());
    this.#close(error.message, false);
  }

  /** Asks how far the peer has come; returns whether something is not known to have arrived. @param now monotonic milliseconds */
  askForArrival(now: number): boolean {
    return this.isOpen && this.acknowledgements.askNow(now);
  }

  /** Ends the stream because the server stops. */
  shutDown(): void {
    // RFC 6120 4.9.1.1: who closes the stream behind our error has read what came before that.
    if (!this.isOver && !this.flow.isCounting) this.#closing.askForArrival();
    this.closeWithError(new StreamError('system-shutdown'));
  }

  /** Closes our side (RFC 6120 4.4) and waits for the peer's, but not for ever. */
  close(reason: string): void {
    this.#close(reason, true);
  }

  /** @param hearsOut whether stanzas on their way are taken (RFC 6120 4.4); who counts them will know that they were not */
  #close(reason: string, hearsOut: boolean): void {
    if (this.isOver) return;
    this.endReason ||= reason;
    if (this.hasSentHeader) this.connection.write('</stream:stream>');
    this.#state = 'closing';
    if (hearsOut && !this.flow.isCounting) this.#closing.hearOut(this.pairs.received);
    else this.#reader.forget();
    this.deadline = this.context.clock.monotonic() + CLOSE_TIMEOUT_MS;
    this.connection.end();
    this.connection.resume();
    this.#leave(false);
  }

  /** Gives the connection up without a word. */
  abort(reason: string): void {
    this.endReason ||= reason;
    this.connection.destroy();
    this.#finish(reason, false);
  }

  /** Looks at the clock, about once a second. */
  check(now: number): void {
    switch (this.#state) {
      case 'opening':
        if (now > this.deadline) this.closeWithError(new StreamError('connection-timeout', 'No stream header came'));
        return;
      case 'open':
        if (this.isAuthenticated) this.#checkOpen(now);
        else if (now > this.deadline) this.overdue();
        return;
      case 'closing':
        if (now > this.deadline) this.abort(this.endReason);
        return;
      case 'closed':
        return;
    }
  }

  /** A ping that this stream sent has been answered. */
  pingAnswered(id: string): boolean {
    return this.acknowledgements.pingAnswered(id);
  }

  protected waitFor(work: Promise<void>): void {
    this.isBusy = true;
    work.then(
      () => {
        this.isBusy = false;
        this.#reader.goOn();
      },
      (error: unknown) => {
        this.isBusy = false;
        this.fail(error);
      },
    );
  }

  /** Expects a new stream header next (RFC 6120 4.3.3). */
  protected restart(): void {
    this.#state = 'opening';
    this.hasSentHeader = false;
    this.#reader.restart(this.limits());
  }

  protected forgetHeld(): void {
    this.#reader.forget();
  }

  protected limits(): ScannerLimits {
    return scannerLimits(this.context.settings, this.isAuthenticated);
  }

  /** Reading has stopped: it goes on when what is in work has become less. */
  readingStopped(): void {
    const { inbound } = this.flow;
    if (inbound.isAboveMark) inbound.onRelief = () => setImmediate(() => this.#reader.goOn());
  }

  /** What was read cannot be taken. */
  fail(error: unknown): void {
    tellFailed(this, error);
    this.closeWithError(error instanceof StreamError ? error : new StreamError('internal-server-error'));
  }

  /** Goes on with what a broken stream left. @throws StreamError */
  resume(flow: StreamFlow, handled: number): void {
    this.acknowledgements.resume(flow, handled);
  }

  /** Takes the peer's `<limits/>` (XEP-0478) out of an element that holds it. */
  protected takeLimits(frame: Frame): void {
    this.maxBytes = maxBytesIn(frame) ?? this.maxBytes;
  }

  #checkOpen(now: number): void {
    switch (this.acknowledgements.check(now)) {
      case 'silent':
        this.giveUp('the other server fell silent');
        return;
      case 'unanswered':
        this.#closing.askForArrival();
        this.close('the other server does not say what has arrived');
        return;
      case 'waiting':
        return;
      case 'settled':
        if (now - this.#lastStanza > this.context.settings.idleSeconds * 1000 && !this.isInUse()) {
          this.close('it was idle');
        }
    }
  }

  /** The connection is as good as broken, though nobody has told us. */
  giveUp(reason: string): void {
    this.endReason ||= reason;
    if (!this.isAuthenticated) tellOver(this, 'none yet');
    this.connection.destroy();
    this.#finish(reason, true);
  }

  #handleFrame(frame: Frame): void {
    if (this.isOver) {
      this.#closing.take(frame, this.context, this.flow);
      return;
    }
    if (frame.namespace === NS.STREAMS && frame.name === 'error') {
      this.#peerError(frame);
      return;
    }
    if (stanzaKind(frame) !== undefined) {
      if (frame.namespace !== NS.SERVER) throw new StreamError('invalid-namespace', 'Servers speak jabber:server'); // 4.8.3
      if (!this.isAuthenticated) throw new StreamError('not-authorized', 'Prove your domain first');
      this.#lastStanza = this.#lastHeard;
      acceptStanza(frame, this.context, this.flow.inbound, this.pairs.received);
    } else this.handle(frame);
  }

  #peerError(frame: Frame): void {
    const condition = frame.children.find(({ namespace, name }) => namespace === NS.STREAM_ERRORS && name !== 'text');
    this.peerCondition = condition?.name;
    const reason = `the other server ended the stream with ${condition?.name ?? 'an error'}`;
    tellPeerError(this, reason);
    this.close(reason);
  }

  get isStopped(): boolean {
    return this.isBusy || this.#state === 'closed' || this.flow.inbound.isAboveMark;
  }

  #finish(reason: string, isBroken: boolean): void {
    if (this.#state === 'closed') return;
    const wasOver = this.isOver;
    this.endReason ||= reason;
    this.#state = 'closed';
    this.#reader.forget();
    if (wasOver) loseFlow(this.flow);
    else this.#leave(isBroken);
    this.context.events.ended(this);
  }

  /** Nothing more is sent: what is not known to have arrived goes back, or waits for a stream that resumes this one. */
  #leave(isBroken: boolean): void {
    const { flow } = this;
    if (this.isAuthenticated) tellOver(this, this.pairs.peer);
    const isKept = isBroken && flow.resumptionId !== undefined && this.context.events.keep(flow, this.pairs.peers);
    if (!isKept && !this.#closing.asksForArrival) loseFlow(flow);
    this.pairs.clear();
    this.ended();
    this.#output.end();
  }
}
