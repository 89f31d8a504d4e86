import type { Socket } from 'node:net';
import { WebSocket, type RawData } from 'ws';

import { StreamError } from '../../stanzas/stream-error.ts';
import type { SecurityLayer } from '../sasl/mechanisms.ts';
import type { Connection, ConnectionListener } from '../streams/connection.ts';
import type { Flusher } from '../streams/flusher.ts';

/** What a WebSocket connection is made of. */
export interface WebSocketConnectionParts {
  /** Open; gives binary data as one Buffer for each message. */
  readonly webSocket: WebSocket;
  /** The socket below it. */
  readonly socket: Socket;
  readonly remoteAddress: string;
  readonly security: SecurityLayer;
  readonly flusher: Flusher;
  /** Bytes that may wait for a client which goes on to ping without reading. */
  readonly maxBufferedBytes: number;
}

// RFC 6455 7.4.1
const NORMAL_CLOSURE = 1000;
const GOING_AWAY = 1001;
const UNSUPPORTED_DATA = 1003;
const NO_STATUS_RECEIVED = 1005;
const INVALID_DATA = 1007;
const POLICY_VIOLATION = 1008;
const MESSAGE_TOO_BIG = 1009;

/** The connection of a WebSocket: one property instead of a closure for each event of each connection. */
const CONNECTION = Symbol('connection');
type OwnedWebSocket = WebSocket & { [CONNECTION]?: WebSocketConnection };

/** A WebSocket that tells its connection when it closes by itself, while something can still be said. */
export class XmppWebSocket extends WebSocket {
  [CONNECTION]?: WebSocketConnection;

  override close(code?: number, data?: string | Buffer): void {
    this[CONNECTION]?.closesWith(code);
    super.close(code, data);
  }
}

/** A client's WebSocket (RFC 7395): a message for each element. */
export class WebSocketConnection implements Connection {
  readonly framing = 'websocket';
  readonly remoteAddress: string;
  readonly security: SecurityLayer;
  /** RFC 7395 3.9: TLS is below the WebSocket, never within. */
  readonly canStartTls = false;
  listener: ConnectionListener | undefined;
  readonly #webSocket: WebSocket;
  readonly #socket: Socket;
  readonly #flusher: Flusher;
  readonly #maxBufferedBytes: number;
  #pending: string[] = [];
  #pendingBytes = 0;
  /** Messages that had been read when reading was paused: what one read from the socket brings, no more. */
  #held: Buffer[] = [];
  #error: Error | undefined;
  #paused = false;
  #ended = false;
  #closed = false;

  constructor({ webSocket, socket, remoteAddress, security, flusher, maxBufferedBytes }: WebSocketConnectionParts) {
    this.remoteAddress = remoteAddress;
    this.security = security;
    this.#webSocket = webSocket;
    this.#socket = socket;
    this.#flusher = flusher;
    this.#maxBufferedBytes = maxBufferedBytes;
    const owned: OwnedWebSocket = webSocket;
    owned[CONNECTION] = this;
    owned.on('message', received).on('ping', pinged).on('error', failed).on('close', closed);
  }

  get bufferedBytes(): number {
    return this.#pendingBytes + this.#webSocket.bufferedAmount;
  }

  write(bytes: string): void {
    if (this.#ended || this.#closed || bytes === '') return;
    if (this.#pending.length === 0) this.#flusher.add(this);
    this.#pending.push(bytes);
    this.#pendingBytes += bytes.length;
  }

  flush(): void {
    const messages = this.#pending;
    const last = messages.length - 1;
    if (last < 0) return;
    const bytes = this.#pendingBytes;
    this.#pending = [];
    this.#pendingBytes = 0;
    const webSocket = this.#webSocket;
    if (webSocket.readyState !== webSocket.OPEN) return;
    this.#flusher.bytesWritten += bytes;
    const { listener } = this;
    const socket = this.#socket;
    const mark = listener?.flushMark() ?? -1;
    const written =
      mark < 0
        ? undefined
        : (error?: Error | null): void => {
            // Node calls back without an error as well when the socket is destroyed with bytes not taken
            if (!socket.destroyed && (error === undefined || error === null)) listener?.flushed(mark);
          };
    socket.cork();
    for (const [index, message] of messages.entries()) {
      // RFC 7395 3.2: text, which a byte string becomes by being sent as its bytes
      webSocket.send(Buffer.from(message, 'latin1'), { binary: false }, index === last ? written : undefined);
    }
    socket.uncork();
  }

  pause(): void {
    this.#paused = true;
    this.#webSocket.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#deliverHeld();
    if (this.#held.length === 0) this.#webSocket.resume();
  }

  startTls(): Promise<void> {
    return Promise.reject(new Error('a WebSocket cannot start TLS'));
  }

  end(): void {
    this.#close(NORMAL_CLOSURE, '');
  }

  destroy(): void {
    this.#ended = true;
    this.#pending = [];
    this.#pendingBytes = 0;
    this.#webSocket.terminate();
  }

  /** A message came; called by the WebSocket. */
  received(data: RawData, isBinary: boolean): void {
    if (this.#closed) return;
    if (isBinary || !Buffer.isBuffer(data)) {
      this.#error ??= new Error('the client sent a binary message');
      this.listener?.refused?.(new StreamError('bad-format', 'Messages are text'));
      this.#close(UNSUPPORTED_DATA, 'only text messages'); // RFC 7395 3.2
    } else if (!this.#paused) this.listener?.received(data);
    else if (!this.#ended) this.#held.push(data);
  }

  /** A ping came, which the WebSocket answers (RFC 7395 3.8); called by it. */
  pinged(): void {
    // Nobody else counts these: a client that pings and never reads would have us keep all the answers.
    if (this.bufferedBytes > this.#maxBufferedBytes) this.destroy();
  }

  /** The WebSocket is about to close; called by it. What it refused is an error of the stream as well (RFC 7395 3.5). */
  closesWith(code: number | undefined): void {
    if (this.#ended || code === undefined) return;
    const error = refusalBy(code);
    if (error === undefined) return;
    this.listener?.refused?.(error);
    this.flush();
    this.#ended = true;
  }

  /** Called by the WebSocket, which closes then: too large a message, text that is not UTF-8, a broken frame. */
  failed(error: Error): void {
    this.#error ??= error;
  }

  /** The WebSocket is closed; called by it. */
  closed(code: number): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#ended = true;
    this.#pending = [];
    this.#pendingBytes = 0;
    this.#held = [];
    const inOrder = code === NORMAL_CLOSURE || code === GOING_AWAY || code === NO_STATUS_RECEIVED;
    if (!inOrder) this.#error ??= new Error(`the WebSocket was closed with code ${code}`);
    this.listener?.closed(this.#error);
  }

  #close(code: number, reason: string): void {
    if (this.#ended) return;
    this.flush();
    this.#ended = true;
    this.#webSocket.close(code, reason);
    this.#webSocket.resume(); // else the client's part of the closing handshake would not be read
  }

  #deliverHeld(): void {
    while (!this.#paused && !this.#closed) {
      const message = this.#held.shift();
      if (message === undefined) return;
      this.listener?.received(message);
    }
  }
}

function received(this: OwnedWebSocket, data: RawData, isBinary: boolean): void {
  this[CONNECTION]?.received(data, isBinary);
}

function pinged(this: OwnedWebSocket): void {
  this[CONNECTION]?.pinged();
}

function failed(this: OwnedWebSocket, error: Error): void {
  this[CONNECTION]?.failed(error);
}

function closed(this: OwnedWebSocket, code: number): void {
  this[CONNECTION]?.closed(code);
}

/** What a WebSocket refuses by itself, as the error of the stream. */
function refusalBy(code: number): StreamError | undefined {
  switch (code) {
    case INVALID_DATA:
      return new StreamError('unsupported-encoding', 'A message is not in UTF-8'); // RFC 6120 11.6
    case POLICY_VIOLATION:
      return new StreamError('policy-violation', 'A message comes in too many fragments');
    case MESSAGE_TOO_BIG:
      return new StreamError('policy-violation', 'A message has too many bytes'); // RFC 6120 13.12
    default:
      return undefined;
  }
}
