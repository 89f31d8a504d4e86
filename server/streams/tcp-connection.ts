import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';

import { securityOf } from '../sasl/channel-bindings.ts';
import { NO_SECURITY, type SecurityLayer } from '../sasl/mechanisms.ts';
import type { PeerCertificate } from '../sasl/peer-certificate.ts';
import type { Connection, ConnectionListener } from './connection.ts';
import type { Flusher } from './flusher.ts';
import { TLS_PIECE_BYTES } from './tls-buffers.ts';
import type { TlsHandshakes } from './tls-handshakes.ts';

/** What a TCP connection shares with the others. */
export interface TcpConnectionOptions {
  readonly flusher: Flusher;
  /** For `startTls`; without it that is impossible. */
  readonly handshakes?: Pick<TlsHandshakes, 'secure'> | undefined;
  /** Reads what the other side showed of itself, where it was asked. */
  readonly peerOf?: ((socket: TLSSocket) => PeerCertificate | undefined) | undefined;
}

/** The connection of a socket: one property instead of a closure for each event of each connection. */
const CONNECTION = Symbol('connection');
type OwnedSocket = Socket & { [CONNECTION]?: TcpConnection | undefined };

/**
 * What goes out over TLS goes in pieces, each when the system has the one before, until a connection has shown by their number
 * that it is not idle: the buffer that would take more at once is a third of an idle connection's memory.
 */
const MAX_PIECES = 64;

/** A TCP connection, in clear or under TLS. */
export class TcpConnection implements Connection {
  readonly framing = 'stream';
  readonly remoteAddress: string;
  security: SecurityLayer = NO_SECURITY;
  listener: ConnectionListener | undefined;
  readonly #flusher: Flusher;
  readonly #handshakes: Pick<TlsHandshakes, 'secure'> | undefined;
  readonly #peerOf: TcpConnectionOptions['peerOf'];
  #socket: OwnedSocket;
  #pending = '';
  #error: Error | undefined;
  #paused = false;
  #ended = false;
  #closed = false;
  /** While TLS is negotiated: what is written waits, and nothing is read. */
  #negotiating = false;
  /** Pieces that may still be written under TLS before all is written as it comes. */
  #piecesLeft = MAX_PIECES;
  #isPieceUnderWay = false;

  /** @param socket connected, with `allowHalfOpen`; under TLS its handshake is complete */
  constructor(socket: Socket, { flusher, handshakes, peerOf }: TcpConnectionOptions) {
    this.remoteAddress = socket.remoteAddress ?? '';
    this.#flusher = flusher;
    this.#handshakes = handshakes;
    this.#peerOf = peerOf;
    this.#socket = socket;
    if (socket instanceof TLSSocket) this.security = this.#securityOf(socket);
    socket.setNoDelay(true); // what is written here is whole already; waiting for more would cost 40 ms
    this.#own(socket);
    if (socket instanceof TLSSocket) {
      // What the handshake leaves to be written, session tickets, goes first: see TLS_PIECE_BYTES.
      this.#negotiating = true;
      setImmediate(goOn, this);
    } else this.#read();
  }

  get bufferedBytes(): number {
    return this.#pending.length + this.#socket.writableLength;
  }

  get canStartTls(): boolean {
    return this.#handshakes !== undefined && !this.#negotiating && !(this.#socket instanceof TLSSocket);
  }

  write(bytes: string): void {
    if (this.#ended || this.#closed || bytes === '') return;
    if (this.#pending === '') this.#flusher.add(this);
    this.#pending += bytes;
  }

  flush(): void {
    if (this.#pending === '' || this.#negotiating || this.#isPieceUnderWay) return;
    const bytes = this.#pending;
    const socket = this.#socket;
    if (!socket.writable) {
      this.#pending = '';
      return;
    }
    if (bytes.length > TLS_PIECE_BYTES && this.#piecesLeft > 0 && socket instanceof TLSSocket) {
      this.#writePiece(socket);
      return;
    }
    const { listener } = this;
    const mark = listener?.flushMark() ?? -1;
    this.#pending = '';
    this.#flusher.bytesWritten += bytes.length;
    const written =
      mark < 0
        ? undefined
        : (error?: Error | null): void => {
            // Node calls back without an error as well when the socket is destroyed with bytes not taken
            if (!socket.destroyed && (error === undefined || error === null)) listener?.flushed(mark);
          };
    if (socket instanceof TLSSocket) socket.write(Buffer.from(bytes, 'latin1'), written);
    else socket.write(bytes, 'latin1', written);
  }

  pause(): void {
    this.#paused = true;
    if (!this.#negotiating) this.#socket.pause();
  }

  resume(): void {
    this.#paused = false;
    if (!this.#negotiating) this.#socket.resume();
  }

  /**
   * Negotiates TLS, on the side its handshakes are for, after everything written has gone. Reading goes on after those who wait for the promise.
   * @param fallbackDomain whose certificate to show where the client names no domain of ours by SNI: the stream's `to`
   * @throws Error when it is impossible or fails; then the connection is closed as well
   */
  async startTls(fallbackDomain?: string): Promise<void> {
    const handshakes = this.#handshakes;
    const plain = this.#socket;
    if (handshakes === undefined || !this.canStartTls) throw new Error('this connection cannot start TLS');
    plain.pause();
    plain.removeListener('data', received); // RFC 6120 5.4.3.3: from here on nothing that comes in clear is heard
    this.flush();
    this.#negotiating = true;
    try {
      if (plain.writableLength > 0) await drained(plain);
      const secured = await handshakes.secure({ socket: plain, fallbackDomain });
      disown(plain);
      this.#socket = secured;
      this.#own(secured);
      if (this.#closed) throw new Error('the connection was closed during the TLS handshake');
      this.security = this.#securityOf(secured);
    } catch (error) {
      this.#negotiating = false;
      this.#error ??= error instanceof Error ? error : new Error(String(error));
      this.destroy();
      throw error;
    }
    setImmediate(goOn, this);
  }

  end(): void {
    if (this.#ended || this.#closed) return;
    this.#flushWhole();
    this.#ended = true;
    this.#pending = '';
    this.#socket.end();
    this.#socket.resume(); // else the end of the other side would not be noticed
  }

  destroy(): void {
    this.#ended = true;
    this.#pending = '';
    this.#socket.destroy();
  }

  /** Reading begins again after TLS was negotiated. */
  continueAfterTls(): void {
    this.#negotiating = false;
    this.#read();
    if (this.#pending !== '') this.#flusher.add(this);
  }

  #writePiece(socket: TLSSocket): void {
    const piece = Buffer.from(this.#pending.slice(0, TLS_PIECE_BYTES), 'latin1');
    this.#pending = this.#pending.slice(TLS_PIECE_BYTES);
    this.#piecesLeft -= 1;
    this.#isPieceUnderWay = true;
    this.#flusher.bytesWritten += piece.length;
    socket.write(piece, () => {
      this.#isPieceUnderWay = false;
      this.flush();
    });
  }

  /** Nothing is written after it. */
  #flushWhole(): void {
    if (this.#socket instanceof TLSSocket) this.#negotiating = false; // the handshake is over, if only just
    this.#piecesLeft = 0;
    this.#isPieceUnderWay = false;
    this.flush();
  }

  #securityOf(socket: TLSSocket): SecurityLayer {
    return securityOf(socket, this.#peerOf?.(socket));
  }

  #own(socket: OwnedSocket): void {
    socket[CONNECTION] = this;
    socket.on('end', peerEnded).on('error', failed).on('close', closed);
    if (socket.destroyed) this.closed();
  }

  #read(): void {
    if (this.#closed) return;
    this.#socket.on('data', received);
    if (this.#paused && !this.#ended) this.#socket.pause();
    else this.#socket.resume();
  }

  /** Bytes came; called by the socket. */
  received(chunk: Buffer): void {
    if (this.#closed || this.#paused) return; // paused and still flowing: after `end`, see there
    this.listener?.received(chunk);
    this.#flusher.relieve();
  }

  /** The peer sends nothing more; called by the socket. What we have for it still goes out. */
  peerEnded(): void {
    this.#flushWhole();
    this.#ended = true;
    // A second `end` would have Node make an error, stack trace and all, for nobody: 10 µs of each logout.
    if (!this.#socket.writableEnded) this.#socket.end();
  }

  /** Called by the socket; `close` follows. */
  failed(error: Error): void {
    this.#error ??= error;
  }

  /** The socket is gone; called by the socket. */
  closed(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#ended = true;
    this.#pending = '';
    this.listener?.closed(this.#error);
  }
}

function goOn(connection: TcpConnection): void {
  connection.continueAfterTls();
}

function received(this: OwnedSocket, chunk: Buffer): void {
  this[CONNECTION]?.received(chunk);
}

function peerEnded(this: OwnedSocket): void {
  this[CONNECTION]?.peerEnded();
}

function failed(this: OwnedSocket, error: Error): void {
  this[CONNECTION]?.failed(error);
}

function closed(this: OwnedSocket): void {
  this[CONNECTION]?.closed();
}

/** The plain socket below TLS tells nobody anything more; `failed` stays, so that an error of it is not thrown. */
function disown(socket: OwnedSocket): void {
  socket[CONNECTION] = undefined;
  socket.removeListener('end', peerEnded).removeListener('close', closed);
}

/** Resolves when everything written has been taken by the system, or the socket is gone. */
function drained(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      socket.removeListener('close', done);
      resolve();
    };
    socket.once('close', done);
    socket.write('', done);
  });
}
