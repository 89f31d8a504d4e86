import { createServer, type Server } from 'node:http';
import type { Socket } from 'node:net';

import type { Config } from '../../config/options.ts';
import type { Clock } from '../clock.ts';
import type { Log } from '../log.ts';
import type { Admission } from '../streams/admission.ts';
import type { Connection } from '../streams/connection.ts';
import type { Flusher } from '../streams/flusher.ts';
import type { ListeningAddress } from '../streams/listening.ts';
import { SocketListener } from '../streams/socket-listener.ts';
import type { TlsHandshakes } from '../streams/tls-handshakes.ts';
import { PlainRequests } from './plain-requests.ts';
import { isLoopback } from './reverse-proxy.ts';
import { WebSocketUpgrade } from './websocket-upgrade.ts';

/** How long a connection may live that does not become a WebSocket: one request and its answer. */
const REQUEST_TIMEOUT_MS = 30_000;

/** What the HTTP listener needs. */
export interface HttpOptions {
  readonly config: Pick<Config, 'http' | 'c2s' | 'limits' | 'domains'>;
  readonly clock: Clock;
  readonly log: Log;
  /** One for all listeners, as are the next two. */
  readonly handshakes: TlsHandshakes;
  readonly admission: Admission;
  readonly flusher: Flusher;
  /** Called with each WebSocket connection; to be given a listener before this returns. */
  readonly accept: (connection: Connection) => void;
  /** From 0 to 1, for jitter. */
  readonly random?: () => number;
}

/** The HTTP listener, running. */
export interface RunningHttp {
  /** Empty where `http.port` is off. */
  readonly listening: readonly ListeningAddress[];
  /** Accepts nobody more and ends plain HTTP connections; WebSockets stay, as connections of their streams. */
  close(): Promise<void>;
}

/**
 * Starts the HTTP listener: WebSocket (RFC 7395) and host-meta (XEP-0156).
 * @throws ListenError
 */
export async function startHttp(options: HttpOptions): Promise<RunningHttp> {
  const { config, clock, log, handshakes, admission } = options;
  const { http } = config;
  if (http.port === false) return { listening: [], close: () => Promise.resolve() };

  const server = createServer();
  const connections = new PlainConnections(clock);
  let port = http.port;
  const requests = new PlainRequests({ config, log, server, port: () => port });
  server.on('request', requests.handle);
  server.maxRequestsPerSocket = 1; // whoever looks for host-meta asks once
  const webSockets = new WebSocketUpgrade(options);
  server.on('upgrade', (request, socket: Socket, head) => {
    webSockets.handle(request, socket, head, () => connections.release(socket));
  });
  const listener = new SocketListener({
    ...http,
    name: 'http',
    port: http.port,
    portOption: 'http.port',
    addressOption: 'http.addresses',
    directTls: http.tls ? { handshakes, alpnProtocols: ['http/1.1'] } : undefined,
    admission,
    // A proxy on this machine is not counted, but those for whom it opens a WebSocket are.
    uncounted: http.tls ? () => false : isLoopback,
    accept: (socket) => connections.serve(server, socket),
    log,
  });
  const listening = await listener.listen();
  port = listening[0]?.port ?? port;
  return {
    listening,
    async close() {
      listener.close();
      connections.close();
      await requests.close();
    },
  };
}

/** The connections that are plain HTTP so far. */
class PlainConnections {
  readonly #clock: Clock;
  /** What cancels the timeout of each. */
  readonly #open = new Map<Socket, () => void>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Has the server answer the request that comes by this socket. */
  serve(server: Server, socket: Socket): void {
    this.#open.set(
      socket,
      this.#clock.schedule(REQUEST_TIMEOUT_MS, () => socket.destroy()),
    );
    socket.once('close', () => this.release(socket));
    server.emit('connection', socket); // as node:http describes it, for sockets from elsewhere
  }

  /** It is closed, or a WebSocket. */
  release(socket: Socket): void {
    this.#open.get(socket)?.();
    this.#open.delete(socket);
  }

  /** Ends all of them. */
  close(): void {
    for (const socket of this.#open.keys()) socket.destroy();
  }
}
