import type { Socket } from 'node:net';
import type { RawData, WebSocket } from 'ws';

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
}

// RFC 6455 7.4.1
const NORMAL_CLOSURE = 1000;
const GOING_AWAY = 1001;
const UNSUPPORTED_DATA = 1003;
const NO_STATUS_RECEIVED = 1005;

/** The connection of a WebSocket: one property instead of a closure for each event of each connection. */
const CONNECTION = Symbol('connection');
type OwnedWebSocket = WebSocket & { [CONNECTION]?: WebSocketConnection };

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
  #pending: string[] = [];
  #pendingBytes = 0;
  /** Messages that had been read when reading was paused: what one read from the socket brings, no more. */
  #held: Buffer[] = [];
  #error: Error | undefined;
  #paused = false;
  #ended = false;
  #closed = false;

  constructor({ webSocket, socket, remoteAddress, security, flusher }: WebSocketConnectionParts) {
    this.remoteAddress = remoteAddress;
    this.security = security;
    this.#webSocket = webSocket;
    this.#socket = socket;
    this.#flusher = flusher;
    const owned: OwnedWebSocket = webSocket;
    owned[CONNECTION] = this;
    owned.on('message', received).on('error', failed).on('close', closed);
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
    this.#pending = [];
    this.#pendingBytes = 0;
    const webSocket = this.#webSocket;
    if (webSocket.readyState !== webSocket.OPEN) return;
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
      this.#close(UNSUPPORTED_DATA, 'only text messages'); // RFC 7395 3.2
    } else if (!this.#paused) this.listener?.received(data);
    else if (!this.#ended) this.#held.push(data);
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

function failed(this: OwnedWebSocket, error: Error): void {
  this[CONNECTION]?.failed(error);
}

function closed(this: OwnedWebSocket, code: number): void {
  this[CONNECTION]?.closed(code);
}
