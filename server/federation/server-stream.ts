import type { Frame, StreamHeader } from '../../stanzas/frame.ts';
import { NS } from '../../stanzas/namespaces.ts';
import type { ScannerLimits, ScannerSink } from '../../stanzas/scanner.ts';
import { stanzaKind } from '../../stanzas/stanza.ts';
import { StreamError } from '../../stanzas/stream-error.ts';
import type { DomainPair } from '../../storage/outboxes.ts';
import type { Connection, ConnectionListener } from '../streams/connection.ts';
import { RateLimit } from '../streams/rate-limit.ts';
import { Acknowledgements } from './acknowledgements.ts';
import { connectionProblem } from './failure-words.ts';
import type { FederationContext } from './federation-context.ts';
import { toOwners, type Carrier, type Parcel, type ParcelOwner } from './parcel.ts';
import { acceptStanza, serverBytes } from './server-stanza.ts';
import { loseFlow, type StreamFlow } from './stream-flow.ts';
import { maxBytesIn, scannerLimits } from './stream-limits.ts';
import { tellOver } from './stream-lines.ts';
import { StreamReader } from './stream-reader.ts';

/** Where a stream stands; which stanzas flow depends on what was proved for each pair of domains. */
export type ServerStreamState =
  | 'opening' // a stream header comes next
  | 'open'
  | 'closing' // we have closed our side and wait for the peer's
  | 'closed';

/** Output that waits for a slow peer; more stays with the paths. */
const MAX_BUFFERED_BYTES = 1024 * 1024;
/** Answers and stanzas that a peer lets wait while it asks for more; a server that has proved nothing gets little room. */
const MAX_UNREAD_BYTES = 4 * 1024 * 1024;
const MAX_UNREAD_BYTES_UNAUTHENTICATED = 64 * 1024;
const CLOSE_TIMEOUT_MS = 5000;

/** What both directions of a stream between servers have in common (RFC 6120 4, 8; XEP-0198, XEP-0288). */
export abstract class ServerStream implements ConnectionListener, ScannerSink, Carrier {
  readonly connection: Connection;
  readonly context: FederationContext;
  abstract readonly direction: 'incoming' | 'outgoing';
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
  /** Pairs (`remote>local`) whose stanzas are taken, and those that are sent. */
  readonly #received = new Set<string>();
  readonly #sent = new Map<string, DomainPair>();
  readonly #owners = new Set<ParcelOwner>();
  #wasCongested = false;
  /** Whether the peer's end of the stream will say that everything has arrived. */
  #asksByClosing = false;
  /** The pairs whose stanzas are taken after we have closed our side. */
  #heardOut: ReadonlySet<string> = new Set();

  constructor(connection: Connection, context: FederationContext) {
    this.connection = connection;
    this.context = context;
    const { settings, clock } = context;
    this.since = clock.now();
    this.hasDirectTls = connection.security.encrypted;
    this.#lastHeard = this.#lastStanza = clock.monotonic();
    this.deadline = this.#lastHeard + settings.negotiationTimeoutSeconds * 1000;
    const rate = new RateLimit(settings.bytesPerSecond, settings.burstBytes, this.#lastHeard);
    this.#reader = new StreamReader({
      connection,
      clock,
      owner: this,
      limits: this.limits(),
      rate: settings.bytesPerSecond === 0 ? undefined : rate,
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

  get receivedPairs(): readonly string[] {
    return [...this.#received];
  }

  get sentPairs(): readonly DomainPair[] {
    return [...this.#sent.values()];
  }

  sends({ local, remote }: DomainPair): boolean {
    return this.#sent.has(`${local}>${remote}`);
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
    return this.#wasCongested ? 0 : -1;
  }

  flushed(): void {
    if (!this.#wasCongested || this.isCongested) return;
    this.#wasCongested = false;
    for (const owner of [...this.#owners]) owner.carrierRelieved(this);
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

  streamClosed(): boolean {
    // RFC 6120 4.4
    if (this.#state === 'closing') {
      if (this.#asksByClosing) toOwners(this.flow.takeUnconfirmed(), (owner, own) => owner.confirmed(own));
      this.abort(this.endReason);
    } else this.close('the other server closed the stream');
    return false;
  }

  // Carrier

  get isCongested(): boolean {
    const isCongested = this.connection.bufferedBytes > MAX_BUFFERED_BYTES;
    if (isCongested) this.#wasCongested = true;
    return isCongested;
  }

  send(parcel: Parcel): void {
    const bytes = serverBytes(parcel.stanza);
    this.#lastStanza = this.context.clock.monotonic();
    this.#owners.add(parcel.owner);
    this.acknowledgements.push(parcel);
    this.connection.write(bytes);
    this.context.counters.serverStanzasSent[parcel.stanza.kind]++;
    this.acknowledgements.askIfDue(this.#lastStanza);
  }

  write(bytes: string): void {
    this.connection.write(bytes);
  }

  /** Takes the stanzas of a pair to the other server from now on. */
  protected allowSending(pair: DomainPair): void {
    this.#sent.set(`${pair.local}>${pair.remote}`, pair);
  }

  /** Takes the stanzas of a pair from the other server from now on. */
  protected allowReceiving({ local, remote }: DomainPair): void {
    this.#received.add(`${remote}>${local}`);
    this.#reader.setLimits(this.limits());
  }

  /** Whether anything was proved at all. */
  get isAuthenticated(): boolean {
    return this.#received.size > 0 || this.#sent.size > 0;
  }

  /** Sends an error and closes both ways (RFC 6120 4.9.1.1). */
  closeWithError(error: StreamError): void {
    if (this.isOver) return;
    // RFC 6120 4.9.1.2
    if (!this.hasSentHeader) this.writeHeader();
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
    if (!this.isOver && !this.flow.isCounting) this.#asksByClosing = true;
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
    if (hearsOut && !this.flow.isCounting) this.#heardOut = new Set(this.#received);
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
    const facts = { direction: this.direction, address: this.connection.remoteAddress };
    if (error instanceof StreamError) {
      this.context.log.info(
        { ...facts, pairs: this.receivedPairs, error: error.message },
        'a stream between servers was refused',
      );
      this.closeWithError(error);
      return;
    }
    this.context.log.error(
      { ...facts, error: error instanceof Error ? error.stack : String(error) },
      'a stream between servers failed',
    );
    this.closeWithError(new StreamError('internal-server-error'));
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
        // Everybody answers to the end of a stream (RFC 6120 4.4), and has then read what came before it.
        this.#asksByClosing = true;
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
      this.#handleLate(frame);
      return;
    }
    if (frame.namespace === NS.STREAMS && frame.name === 'error') {
      this.#peerError(frame);
      return;
    }
    if (stanzaKind(frame) !== undefined) {
      // RFC 6120 4.8.3
      if (frame.namespace !== NS.SERVER) throw new StreamError('invalid-namespace', 'Servers speak jabber:server');
      if (!this.isAuthenticated) throw new StreamError('not-authorized', 'Prove your domain first');
      this.#lastStanza = this.#lastHeard;
      acceptStanza(frame, this.context, this.flow.inbound, this.#received);
    } else this.handle(frame);
  }

  /** What comes when we have closed our side already. */
  #handleLate(frame: Frame): void {
    if (frame.namespace === NS.STREAMS && frame.name === 'error') this.#asksByClosing = false;
    if (frame.namespace !== NS.SERVER || stanzaKind(frame) === undefined || this.#heardOut.size === 0) return;
    acceptStanza(frame, this.context, this.flow.inbound, this.#heardOut);
  }

  #peerError(frame: Frame): void {
    const condition = frame.children.find(({ namespace, name }) => namespace === NS.STREAM_ERRORS && name !== 'text');
    this.peerCondition = condition?.name;
    const reason = `the other server ended the stream with ${condition?.name ?? 'an error'}`;
    this.context.log.info(
      { direction: this.direction, address: this.connection.remoteAddress, pairs: this.receivedPairs },
      reason,
    );
    this.close(reason);
  }

  // For the reader

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
    const [pair] = this.#sent.values();
    const peer = pair?.remote ?? this.receivedPairs[0]?.split('>')[0] ?? '';
    if (this.isAuthenticated) tellOver(this, peer);
    const isKept = isBroken && flow.resumptionId !== undefined && this.context.events.keep(flow, peer);
    if (!isKept && !this.#asksByClosing) loseFlow(flow);
    this.#sent.clear();
    this.#received.clear();
    this.ended();
    for (const owner of this.#owners) owner.carrierEnded(this);
    this.#owners.clear();
  }
}
