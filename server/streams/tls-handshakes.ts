import type { Socket } from 'node:net';
import { TLSSocket, type SecureContext } from 'node:tls';

import type { Clock } from '../clock.ts';
import { noteEndPoint, type EndPoint } from '../sasl/channel-bindings.ts';
import { networkOf } from '../sasl/network.ts';
import { readInPieces } from './tls-buffers.ts';
import type { TlsContexts } from './tls-context.ts';

/** Options of TlsHandshakes. */
export interface TlsHandshakesOptions {
  readonly contexts: Pick<TlsContexts, 'contextFor' | 'sniCallback'> &
    Partial<Pick<TlsContexts, 'isChosenByName' | 'endPointOf'>>;
  /** Handshakes at the same time, over all listeners. */
  readonly maxHandshakes: number;
  /** How long one may take, from its turn on. */
  readonly timeoutMs: number;
  readonly clock: Clock;
  /** Whether the other side is asked to show a certificate; who shows none, or a bad one, is let in all the same. */
  readonly requestsCertificate?: boolean;
}

/** One handshake that is wanted. */
export interface HandshakeRequest {
  /** Nobody reads from it any more. */
  readonly socket: Socket;
  /** What the client may ask for by ALPN (RFC 7301); one that asks for other things only is refused. */
  readonly alpnProtocols?: readonly string[] | undefined;
  /** Whose certificate to show to a client that names no domain of ours by SNI. */
  readonly fallbackDomain?: string | undefined;
}

/**
 * TLS handshakes as the server, a bounded number at once: each takes about a millisecond of the loop, and a crowd that
 * logs in must not stall those who are in. The rest wait unread. Networks take turns, and where others wait too, one
 * network holds no more than half of the places, so that it cannot keep the others out by being slow.
 */
export class TlsHandshakes {
  readonly #options: TlsHandshakesOptions;
  /** Who waits, by network; a network whose turn it was goes to the end. */
  readonly #waiting = new Map<string, Set<() => void>>();
  readonly #runningOf = new Map<string, number>();
  #running = 0;
  #resumed = 0;
  #full = 0;
  #failed = 0;

  constructor(options: TlsHandshakesOptions) {
    this.#options = options;
  }

  /** Handshakes under way. */
  get running(): number {
    return this.#running;
  }

  /** How handshakes have ended: with a whole one, a resumed session, or not at all. */
  get outcomes(): { readonly full: number; readonly resumed: number; readonly failed: number } {
    return { full: this.#full, resumed: this.#resumed, failed: this.#failed };
  }

  /** Connections that wait for their turn. */
  get waiting(): number {
    let waiting = 0;
    for (const { size } of this.#waiting.values()) waiting += size;
    return waiting;
  }

  /**
   * Does the handshake when its turn comes; a client may begin before that. When it fails the connection is destroyed.
   * @throws Error when it fails, takes too long, is refused or the connection closes meanwhile
   */
  async secure(request: HandshakeRequest): Promise<TLSSocket> {
    const { socket } = request;
    // RFC 6120 5.4.3.3: what came in clear is not carried over; nobody may send between <starttls/> and <proceed/>. Only here:
    // what comes while it waits for its turn is the beginning of its handshake, and nothing else gets through that.
    if (socket.readableLength > 0) {
      this.#failed += 1;
      socket.destroy();
      throw new Error('the client sent something in clear after it had asked for TLS');
    }
    const network = networkOf(socket.remoteAddress ?? '');
    await this.#turn(socket, network);
    try {
      const secured = await this.#handshake(request);
      if (secured.isSessionReused()) this.#resumed += 1;
      else this.#full += 1;
      return secured;
    } catch (error) {
      this.#failed += 1;
      throw error;
    } finally {
      this.#leave(network);
    }
  }

  #turn(socket: Socket, network: string): Promise<void> {
    return new Promise((resolve, reject) => {
      if (socket.destroyed) {
        reject(new Error('the connection was closed before the TLS handshake'));
        return;
      }
      const set = this.#waiting.get(network) ?? new Set();
      this.#waiting.set(network, set);
      const begin = (): void => {
        socket.removeListener('close', giveUp);
        this.#running += 1;
        this.#runningOf.set(network, (this.#runningOf.get(network) ?? 0) + 1);
        resolve();
      };
      const giveUp = (): void => {
        this.#remove(network, begin);
        reject(new Error('the connection was closed before the TLS handshake'));
      };
      socket.once('close', giveUp);
      set.add(begin);
      this.#next();
    });
  }

  #remove(network: string, begin: () => void): void {
    const set = this.#waiting.get(network);
    set?.delete(begin);
    if (set?.size === 0) this.#waiting.delete(network);
  }

  #leave(network: string): void {
    this.#running -= 1;
    const left = (this.#runningOf.get(network) ?? 1) - 1;
    if (left > 0) this.#runningOf.set(network, left);
    else this.#runningOf.delete(network);
    this.#next();
  }

  #next(): void {
    const { maxHandshakes } = this.#options;
    while (this.#running < maxHandshakes) {
      const network = this.#nextNetwork(Math.max(1, Math.floor(maxHandshakes / 2)));
      if (network === undefined) return;
      const set = this.#waiting.get(network) ?? new Set();
      const [begin] = set;
      this.#waiting.delete(network);
      if (begin === undefined) continue;
      set.delete(begin);
      if (set.size > 0) this.#waiting.set(network, set); // to the end
      begin();
    }
  }

  /** The network whose turn it is. One that is alone may have every place but the last, which is kept for others. */
  #nextNetwork(share: number): string | undefined {
    const { maxHandshakes } = this.#options;
    let crowded: string | undefined;
    for (const network of this.#waiting.keys()) {
      if ((this.#runningOf.get(network) ?? 0) < share) return network;
      crowded ??= network;
    }
    return this.#running < maxHandshakes - 1 ? crowded : undefined;
  }

  #handshake({ socket, alpnProtocols, fallbackDomain }: HandshakeRequest): Promise<TLSSocket> {
    const { contexts, clock, timeoutMs } = this.#options;
    return new Promise((resolve, reject) => {
      if (socket.destroyed) {
        reject(new Error('the connection was closed before the TLS handshake'));
        return;
      }
      let shown = contexts.contextFor(undefined, fallbackDomain);
      const chooseByName = (name: string, answer: (error: Error | null, context?: SecureContext) => void): void =>
        contexts.sniCallback(name, (error, context) => {
          shown = context ?? shown;
          answer(error, context);
        });
      let secured: TLSSocket | undefined;
      let reason: Error | undefined;
      const failed = (error: Error): void => void (reason ??= error);
      const fail = (): void => {
        cancelTimeout();
        reject(reason ?? new Error('the client closed the connection during the TLS handshake'));
      };
      const leave = (): void => void (secured ?? socket).destroy();
      const cancelTimeout = clock.schedule(timeoutMs, () => {
        reason = new Error(`the TLS handshake took longer than ${timeoutMs} ms`);
        leave();
      });
      const begin = (): void => {
        socket.removeListener('readable', begin);
        if (socket.readableLength === 0) {
          leave(); // the client has closed its side
          return;
        }
        socket.removeListener('close', fail);
        readInPieces(socket);
        const upper = new TLSSocket(socket, {
          isServer: true,
          requestCert: this.#options.requestsCertificate === true,
          rejectUnauthorized: false,
          secureContext: shown,
          ...(contexts.isChosenByName === false ? {} : { SNICallback: chooseByName }),
          // Of a list Node would make a buffer for each connection and keep it, and a pool of 8 kB with it.
          ...(alpnProtocols === undefined ? {} : { ALPNCallback: chooserOf(alpnProtocols) }),
        });
        secured = upper;
        const succeed = (): void => {
          cancelTimeout();
          socket.removeListener('end', leave);
          noteEndPoint(upper, endPointOf(contexts, upper, shown, fallbackDomain));
          upper.removeListener('close', fail).removeListener('end', leave);
          upper.removeListener('error', failed).removeListener('_tlsError', failed);
          upper.on('error', ignore).on('_tlsError', breakOff);
          resolve(upper);
        };
        // Node emits `secure` and `_tlsError` where there is no tls.Server to emit `secureConnection` and `tlsClientError`.
        upper.once('secure', succeed).once('close', fail).once('end', leave);
        upper.on('error', failed).on('_tlsError', failed);
      };
      // It may have closed its side while it waited, behind the first bytes of its handshake or without any.
      socket.on('readable', begin).on('close', fail).once('end', leave);
    });
  }
}

/** What a client is answered by ALPN; undefined refuses it (RFC 7301 3.2). */
function chooserOf(ours: readonly string[]): (offer: { protocols: readonly string[] }) => string | undefined {
  return ({ protocols }) => ours.find((protocol) => protocols.includes(protocol));
}

/** RFC 5929 4.1: of a resumed session the certificate is that of its first handshake, and nobody is asked for a context. */
function endPointOf(
  contexts: TlsHandshakesOptions['contexts'],
  socket: TLSSocket,
  shown: SecureContext,
  fallbackDomain: string | undefined,
): EndPoint | undefined {
  if (!socket.isSessionReused() || contexts.isChosenByName === false) return contexts.endPointOf?.(shown);
  // With TLS 1.2 OpenSSL no longer tells what the client named. Better no binding than one that makes a login fail.
  if (socket.getProtocol() !== 'TLSv1.3' && fallbackDomain === undefined) return { binding: undefined };
  return contexts.endPointOf?.(contexts.contextFor(socket.servername, fallbackDomain));
}

/** Errors end in `close`, where they are told. */
function ignore(): void {
  // nothing
}

/** An error of TLS after the handshake: without a tls.Server nobody else closes the connection. */
function breakOff(this: TLSSocket, error: Error): void {
  this.destroy(error);
}
