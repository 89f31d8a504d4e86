import type { Frame, StreamHeader } from '../../stanzas/frame.ts';
import { NS } from '../../stanzas/namespaces.ts';
import { Scanner, type ScannerLimits, type ScannerSink } from '../../stanzas/scanner.ts';
import type { Stanza } from '../../stanzas/stanza.ts';
import { StreamError } from '../../stanzas/stream-error.ts';
import type { Component, ComponentCounts, ComponentLink } from '../routing/component.ts';
import { InboundLedger, type Receipt } from '../routing/receipt.ts';
import { checkHandshake, componentHeader, componentOf } from './component-handshake.ts';
import { ComponentOutbox } from './component-outbox.ts';
import { acceptComponentStanza } from './component-stanza.ts';
import type { ComponentStreamContext } from './component-stream-context.ts';
import type { Connection, ConnectionListener } from './connection.ts';
import { StreamIntake, type IntakeOwner } from './stream-intake.ts';
import { langOf } from './stream-opening.ts';
import { StreamTimeouts } from './stream-timeouts.ts';

type State =
  | 'opening' // the stream header comes next
  | 'handshaking' // the header was answered; the handshake comes next, or is judged
  | 'bound' // stanzas flow
  | 'closing' // we have closed our side and wait for the component's
  | 'closed';

/** The largest handshake is far below: who has not shown its secret may not fill our memory. */
const MAX_HANDSHAKE_BYTES = 4096;
const MAX_DEPTH = 64;
const MAX_ATTRIBUTES = 64;

/** A component's stream from the first byte to the last (XEP-0114). Knows one connection and at most one component. */
export class ComponentStream implements ConnectionListener, IntakeOwner, ScannerSink, ComponentLink {
  readonly connection: Connection;
  readonly inbound: InboundLedger;
  readonly #context: ComponentStreamContext;
  readonly #scanner: Scanner;
  readonly #timeouts: StreamTimeouts;
  readonly #intake: StreamIntake;
  readonly #outbox: ComponentOutbox;
  readonly #id: string;
  #state: State = 'opening';
  /** What the header was addressed to. */
  #component: Component | undefined;
  #lang: string | undefined;
  #hasSentHeader = false;
  #receivedStanzas = 0;

  constructor(connection: Connection, context: ComponentStreamContext) {
    const { components, limits } = context.config;
    this.connection = connection;
    this.#context = context;
    this.#id = context.randomId();
    this.inbound = new InboundLedger(limits.maxUnprocessedStanzas);
    this.#scanner = new Scanner(scannerLimits(MAX_HANDSHAKE_BYTES));
    this.#timeouts = new StreamTimeouts(components, context.clock.monotonic());
    this.#intake = new StreamIntake(this, context, components);
    this.#outbox = new ComponentOutbox({ ...context, connection, limits: components });
    context.streams.add(this);
    connection.listener = this;
  }

  get remoteAddress(): string {
    return this.connection.remoteAddress;
  }

  get counts(): ComponentCounts {
    const { waiting: queued, delivered } = this.#outbox;
    return { queued, received: this.#receivedStanzas, delivered };
  }

  get isClosed(): boolean {
    return this.#state === 'closed';
  }

  // ConnectionListener

  received(chunk: Buffer): void {
    const now = this.#context.clock.monotonic();
    this.#timeouts.heard(now);
    this.#intake.receive(chunk);
    this.#intake.charge(chunk.length, now);
  }

  closed(error?: Error): void {
    if (error !== undefined) this.#context.log.debug({ ...this.#facts(), error: error.message }, 'connection lost');
    this.#finish();
  }

  flushMark(): number {
    return this.#outbox.flushMark;
  }

  flushed(mark: number): void {
    this.#outbox.flushed(mark);
  }

  // IntakeOwner

  take(chunk: Buffer): number {
    return this.#scanner.scan(chunk, this);
  }

  fail(error: unknown): void {
    if (this.#state === 'closing' || this.#state === 'closed') return;
    if (error instanceof StreamError) {
      this.#context.log.warn({ ...this.#facts(), error: error.message }, 'the stream of a component was refused');
      this.closeWithError(error);
      return;
    }
    this.#context.log.error({ ...this.#facts(), err: error }, 'the stream of a component failed');
    this.closeWithError(new StreamError('internal-server-error'));
  }

  // ScannerSink

  streamOpened(header: StreamHeader): boolean {
    if (this.#state === 'opening') this.#open(header);
    return !this.#intake.isStopped;
  }

  elementScanned(frame: Frame): boolean {
    this.#handle(frame);
    return !this.#intake.isStopped;
  }

  streamClosed(): boolean {
    if (this.#state === 'closing') this.connection.end();
    else this.close();
    return false;
  }

  // ComponentLink

  deliver(stanza: Stanza, receipt: Receipt | undefined): void {
    this.#outbox.deliver(stanza, receipt);
  }

  show(stanza: Stanza): void {
    this.#outbox.deliver(stanza, undefined, true);
  }

  /** Sends an error and closes both ways (RFC 6120 4.9.1.1). */
  closeWithError(error: StreamError): void {
    if (this.#state === 'closing' || this.#state === 'closed') return;
    if (!this.#hasSentHeader) this.#writeHeader(); // XEP-0114 3, RFC 6120 4.9.1.2
    this.connection.write(error.toBytes());
    this.close();
  }

  /** Closes our side and waits for the component's, but not for ever (RFC 6120 4.4). */
  close(): void {
    if (this.#state === 'closing' || this.#state === 'closed') return;
    this.connection.write('</stream:stream>');
    this.#state = 'closing';
    this.#timeouts.closes(this.#context.clock.monotonic());
    this.#leave();
    this.connection.end();
    this.#intake.awaitEnd();
  }

  /** Gives the connection up without a word. */
  abort(): void {
    this.connection.destroy();
    this.#finish();
  }

  /** Looks at the clock, about once a second. */
  check(now: number): void {
    if (this.#state === 'closing') {
      if (this.#timeouts.isOverdue(now)) this.abort();
    } else if (this.#state === 'bound') {
      if (this.#outbox.check(now, this.#timeouts.silence(now) === 'worth a ping')) return;
      this.#context.log.warn(this.#facts(), 'a component does not read, or does not answer, and is disconnected');
      // Nobody reads a farewell; and what still waits must not be read once it has come back to its senders.
      this.abort();
    } else if (this.#state !== 'closed' && this.#timeouts.isOverdue(now)) {
      this.closeWithError(new StreamError('connection-timeout', 'The handshake took too long'));
    }
  }

  #open(header: StreamHeader): void {
    const { components } = this.#context;
    this.#lang = langOf(header);
    this.#component = componentOf(header, components);
    components.checkConflict(this.#component);
    this.#writeHeader();
    this.#state = 'handshaking';
  }

  #writeHeader(): void {
    this.#hasSentHeader = true;
    const from = this.#component?.settings.domain ?? this.#context.config.domains[0] ?? '';
    this.connection.write(componentHeader(from, this.#id));
  }

  #handle(frame: Frame): void {
    if (this.#state === 'closing' || this.#state === 'closed') return;
    if (frame.namespace === NS.STREAMS && frame.name === 'error') {
      this.#context.log.warn(this.#facts(), 'the component reports a stream error');
      this.close();
      return;
    }
    if (this.#component === undefined) throw new StreamError('not-authorized', 'A stream begins with its header');
    if (this.#state === 'bound') {
      if (isAnswer(frame) && this.#outbox.answered(frame.id)) return;
      this.#receivedStanzas++;
      acceptComponentStanza(this.#component, frame, this.#lang, this.inbound, this.#context);
      return;
    }
    if (frame.namespace !== NS.COMPONENT || frame.name !== 'handshake') {
      throw new StreamError('not-authorized', 'A handshake comes first');
    }
    this.#intake.waitFor(this.#authenticate(this.#component, frame.content.trim()));
  }

  async #authenticate(component: Component, shown: string): Promise<void> {
    await checkHandshake(shown, this.#id, component, this.remoteAddress, this.#context);
    if (this.#state === 'handshaking') this.#bind(component);
  }

  #bind(component: Component): void {
    const { components, config, log } = this.#context;
    components.checkConflict(component);
    this.#state = 'bound';
    this.#scanner.setLimits(scannerLimits(config.components.maxStanzaBytes));
    // XEP-0114 3: before anything else, such as what an earlier stream of it gives back
    this.connection.write('<handshake/>');
    components.attach(component, this);
    log.info(this.#facts(), 'a component is connected');
    components.welcome(component);
    this.#outbox.open(component);
  }

  #finish(): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#leave();
    this.#intake.forget();
    this.#context.streams.delete(this);
  }

  /** Serves the component no more: what is not known to have reached it goes back. */
  #leave(): void {
    const component = this.#component;
    if (component?.link === this) {
      this.#context.components.detach(component, this);
      this.#context.log.info(this.#facts(), 'a component is not connected any more');
    }
    this.#outbox.giveBack();
  }

  #facts(): Readonly<Record<string, unknown>> {
    return { component: this.#component?.settings.domain, address: this.remoteAddress };
  }
}

function scannerLimits(maxBytes: number): ScannerLimits {
  return { maxBytes, maxDepth: MAX_DEPTH, maxAttributes: MAX_ATTRIBUTES };
}

function isAnswer({ name, type }: Frame): boolean {
  return name === 'iq' && (type === 'result' || type === 'error');
}
