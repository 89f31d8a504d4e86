import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { WebSocketServer } from 'ws';

import type { Config } from '../../config/options.ts';
import { securityOf } from '../sasl/channel-bindings.ts';
import { NO_SECURITY, type SecurityLayer } from '../sasl/mechanisms.ts';
import type { Admission } from '../streams/admission.ts';
import { comeBackSeconds } from '../streams/come-back.ts';
import type { Connection } from '../streams/connection.ts';
import type { Flusher } from '../streams/flusher.ts';
import { forwardedAddress, forwardedSecurely, isLoopback } from './reverse-proxy.ts';
import { WebSocketConnection, XmppWebSocket } from './websocket-connection.ts';

/** RFC 7395 3.1 */
const SUBPROTOCOL = 'xmpp';
/** The fragments one message may come in: enough for any client, too few to make bytes cost a hundred times their size. */
const MAX_FRAGMENTS = 1024;

/** Options of WebSocketUpgrade. */
export interface WebSocketUpgradeOptions {
  readonly config: Pick<Config, 'c2s' | 'http' | 'limits'>;
  readonly admission: Pick<Admission, 'admit' | 'release' | 'comeBackSeconds'>;
  /** From 0 to 1, for jitter. */
  readonly random?: () => number;
  readonly flusher: Flusher;
  /** Called with each connection; to be given a listener before this returns. */
  readonly accept: (connection: Connection) => void;
}

/** Turns HTTP connections that ask for it into WebSocket connections of XMPP (RFC 7395 3.1). */
export class WebSocketUpgrade {
  readonly #options: WebSocketUpgradeOptions;
  readonly #webSockets: WebSocketServer;

  constructor(options: WebSocketUpgradeOptions) {
    const { c2s } = options.config;
    this.#options = options;
    const settings = {
      noServer: true,
      WebSocket: XmppWebSocket,
      clientTracking: false,
      maxPayload: c2s.maxStanzaBytes,
      maxFragments: MAX_FRAGMENTS,
      perMessageDeflate: false, // costs 300 kB a connection
      closeTimeout: c2s.closeTimeoutSeconds * 1000,
      handleProtocols: () => SUBPROTOCOL,
    };
    this.#webSockets = new WebSocketServer(settings);
  }

  /**
   * Answers a request for an upgrade.
   * @param upgraded called when the connection has become a WebSocket
   */
  handle(request: IncomingMessage, socket: Socket, head: Buffer, upgraded: () => void): void {
    const { config, accept, flusher, admission, random = Math.random } = this.#options;
    socket.on('error', ignore);
    const refusal = this.#refusal(request);
    if (refusal !== undefined) {
      refuse(socket, refusal);
      return;
    }
    const remoteAddress = this.#addressOf(request, socket);
    if (!this.#isAdmitted(remoteAddress, socket)) {
      // RFC 9110 10.2.3
      const after = comeBackSeconds(admission.comeBackSeconds(remoteAddress), random());
      refuse(socket, '503 Service Unavailable', `Retry-After: ${after}\r\n`);
      return;
    }
    const security = securityLayer(request, socket, config.http.tls);
    this.#webSockets.handleUpgrade(request, socket, head, (webSocket) => {
      upgraded();
      const { maxQueueBytes: maxBufferedBytes } = config.limits;
      accept(new WebSocketConnection({ webSocket, socket, remoteAddress, security, flusher, maxBufferedBytes }));
    });
  }

  #refusal({ url, headers }: IncomingMessage): string | undefined {
    const { http } = this.#options.config;
    if (url?.split('?', 1)[0] !== http.websocketPath) return '404 Not Found';
    const { origin } = headers;
    // A browser names the origin of the page, always and truly; who sends none is no web page.
    if (
      origin !== undefined &&
      !http.allowedOrigins.some((allowed) => allowed === '*' || sameOrigin(allowed, origin))
    ) {
      return '403 Forbidden';
    }
    const offered = headers['sec-websocket-protocol']?.split(',').map((name) => name.trim()) ?? [];
    if (!offered.includes(SUBPROTOCOL)) return '400 Bad Request'; // RFC 7395 3.1
    return undefined;
  }

  /** Whom the connection is from. */
  #addressOf({ headers }: IncomingMessage, socket: Socket): string {
    const peer = socket.remoteAddress ?? '';
    return this.#isOfProxy(peer) ? (forwardedAddress(headers) ?? peer) : peer;
  }

  /** Counts a connection that a proxy made for another; the others are counted where they are accepted. */
  #isAdmitted(address: string, socket: Socket): boolean {
    const { admission } = this.#options;
    if (!this.#isOfProxy(socket.remoteAddress ?? '')) return true;
    if (!admission.admit(address)) return false;
    socket.once('close', () => admission.release(address));
    return true;
  }

  #isOfProxy(peer: string): boolean {
    return !this.#options.config.http.tls && isLoopback(peer);
  }
}

function securityLayer({ headers }: IncomingMessage, socket: Socket, tls: boolean): SecurityLayer {
  if (socket instanceof TLSSocket) return securityOf(socket);
  const proxied = !tls && isLoopback(socket.remoteAddress ?? '') && forwardedSecurely(headers);
  return proxied ? { ...NO_SECURITY, encrypted: true } : NO_SECURITY;
}

function sameOrigin(allowed: string, origin: string): boolean {
  return URL.canParse(allowed) && URL.canParse(origin) && new URL(allowed).origin === new URL(origin).origin;
}

/** @param fields further header fields, each with the end of its line */
function refuse(socket: Socket, status: string, fields = ''): void {
  socket.end(`HTTP/1.1 ${status}\r\n${fields}Connection: close\r\nContent-Length: 0\r\n\r\n`);
  socket.resume();
}

/** Errors end in `close`. */
function ignore(): void {
  // nothing
}
