import { NO_SECURITY, type SecurityLayer } from '../../server/sasl/mechanisms.ts';
import type { Connection, ConnectionListener, Framing } from '../../server/streams/connection.ts';

/** What a MemoryConnection starts as: a TCP connection in clear from a documentation address unless said otherwise. */
export interface MemoryConnectionOptions {
  readonly framing?: Framing;
  readonly security?: SecurityLayer;
  readonly address?: string;
  readonly canStartTls?: boolean;
  /** False: what is written waits for `flush`, as on a socket; true, the default: each write is on the wire at once. */
  readonly flushAtOnce?: boolean;
}

/** What `startTls` leaves unless the test chose otherwise: TLS without channel binding. */
const ENCRYPTED: SecurityLayer = { encrypted: true, tlsExporter: undefined, tlsServerEndPoint: undefined };

/** A connection whose other end is the test: what the server writes is in `sent`, what `send` is given the server hears. */
export class MemoryConnection implements Connection {
  readonly framing: Framing;
  readonly remoteAddress: string;
  security: SecurityLayer;
  canStartTls: boolean;
  listener: ConnectionListener | undefined;
  /** Everything that went out and was not taken, as a byte string. */
  sent = '';
  /** The same as one item for each flush under `stream` framing, for each message under `websocket`. */
  messages: string[] = [];
  /** Whether the server closed its side. */
  ended = false;
  destroyed = false;
  paused = false;
  /** What the security becomes with `startTls`; set an Error to have the handshake fail. */
  tlsOutcome: SecurityLayer | Error = ENCRYPTED;
  /** Bytes to report as not taken by the system, on top of what waits for a flush: a peer that reads slowly. */
  stalledBytes = 0;
  readonly #flushAtOnce: boolean;
  #pending: string[] = [];
  #pendingBytes = 0;
  #incoming: Buffer[] = [];
  #closed = false;

  constructor(options: MemoryConnectionOptions = {}) {
    this.framing = options.framing ?? 'stream';
    this.security = options.security ?? NO_SECURITY;
    this.remoteAddress = options.address ?? '192.0.2.1';
    this.canStartTls = options.canStartTls ?? (this.framing === 'stream' && !this.security.encrypted);
    this.#flushAtOnce = options.flushAtOnce ?? true;
  }

  get bufferedBytes(): number {
    return this.#pendingBytes + this.stalledBytes;
  }

  write(bytes: string): void {
    if (this.ended || this.destroyed) return;
    this.#pending.push(bytes);
    this.#pendingBytes += bytes.length;
    if (this.#flushAtOnce) this.flush();
  }

  flush(): void {
    if (this.#pending.length === 0 || this.destroyed) return;
    const mark = this.listener?.flushMark() ?? -1;
    const gathered = this.#pending.join('');
    this.sent += gathered;
    this.messages.push(...(this.framing === 'websocket' ? this.#pending : [gathered]));
    this.#pending = [];
    this.#pendingBytes = 0;
    if (mark >= 0) this.listener?.flushed(mark);
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
    this.#deliver();
  }

  startTls(): Promise<void> {
    this.flush();
    this.#incoming = [];
    this.canStartTls = false;
    if (this.tlsOutcome instanceof Error) {
      const error = this.tlsOutcome;
      this.#close(error);
      return Promise.reject(error);
    }
    this.security = this.tlsOutcome;
    return Promise.resolve();
  }

  end(): void {
    this.flush();
    this.ended = true;
  }

  destroy(): void {
    this.destroyed = true;
    this.#close();
  }

  /** The peer sends bytes (a byte string); under `websocket` framing one message. They wait while the server pauses. */
  send(bytes: string): void {
    this.#incoming.push(Buffer.from(bytes, 'latin1'));
    this.#deliver();
  }

  /** Everything that went out since the last call. */
  take(): string {
    const { sent } = this;
    this.sent = '';
    this.messages = [];
    return sent;
  }

  /** The peer closes in order, or its connection breaks where there is an error. */
  close(error?: Error): void {
    this.#close(error);
  }

  #deliver(): void {
    while (!this.paused && !this.#closed) {
      const chunk = this.#incoming.shift();
      if (chunk === undefined) return;
      this.listener?.received(chunk);
      chunk.fill(0); // it was lent: a listener that kept the buffer sees nonsense, as with a socket
    }
  }

  #close(error?: Error): void {
    if (this.#closed) return;
    this.#closed = true;
    this.destroyed = true;
    this.listener?.closed(error);
  }
}
