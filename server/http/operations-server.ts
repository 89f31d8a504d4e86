import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';

import type { Config } from '../../config/options.ts';
import type { Log } from '../log.ts';
import { EXPOSITION_TYPE } from './metrics/exposition.ts';
import { listenAt, stopListening, type ListeningAddress } from '../streams/listening.ts';

/** How the server is, in as many fields as are useful. */
export interface Health {
  readonly status: 'ok' | 'failing';
  readonly [field: string]: unknown;
}

/** What the operations listener needs. */
export interface OperationsOptions {
  readonly config: Pick<Config, 'operations'>;
  readonly log: Log;
  readonly health: () => Health | Promise<Health>;
  /** In the text format of Prometheus; undefined where there are none. */
  readonly metrics?: (() => string) | undefined;
}

/** The operations listener, running. */
export interface RunningOperationsServer {
  /** Empty where `operations.port` is off. */
  readonly listening: readonly ListeningAddress[];
  close(): Promise<void>;
}

/**
 * Starts the listener for the operator: `GET /health`, 200 while the server is well and 503 while it is not, and
 * `GET /metrics`.
 * @throws ListenError
 */
export async function startOperations({
  config,
  log,
  health,
  metrics,
}: OperationsOptions): Promise<RunningOperationsServer> {
  const { port, address } = config.operations;
  if (port === false) return { listening: [], close: () => Promise.resolve() };
  // Plain node:http: one path needs no framework, and is there even where `http.port` is off.
  const server = createServer({ requestTimeout: 10_000 }, (request, response) => void answer(request, response));
  server.maxConnections = 64;

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url?.split('?', 1)[0];
    if (path !== '/health' && (path !== '/metrics' || metrics === undefined)) respond(response, 404);
    else if (request.method !== 'GET' && request.method !== 'HEAD') respond(response, 405);
    else if (path === '/metrics') respondWithMetrics(response);
    else {
      try {
        const found = await health();
        respond(response, found.status === 'ok' ? 200 : 503, found);
      } catch (error) {
        log.error({ err: error }, 'the state of the server could not be found out');
        respond(response, 503, { status: 'failing' });
      }
    }
  }

  function respondWithMetrics(response: ServerResponse): void {
    try {
      const text = metrics?.();
      response.writeHead(200, { ...COMMON_HEADERS, 'Content-Type': EXPOSITION_TYPE }).end(text);
    } catch (error) {
      log.error({ err: error }, 'the metrics could not be collected');
      respond(response, 500);
    }
  }

  const options = { portOption: 'operations.port', addressOption: 'operations.address' };
  const place = await listenAt(server, { name: 'operations', address, port, ...options });
  return {
    listening: place === undefined ? [] : [place],
    close: () =>
      new Promise<void>((resolve) => {
        server.once('close', resolve);
        if (!server.listening) resolve();
        stopListening([server]);
        server.closeAllConnections();
      }),
  };
}

const COMMON_HEADERS = { 'Cache-Control': 'no-store', Connection: 'close' } as const;

function respond(response: ServerResponse, status: number, content?: Health): void {
  const body = content === undefined ? '' : `${JSON.stringify(content)}\n`;
  response.writeHead(status, { ...COMMON_HEADERS, 'Content-Type': 'application/json' });
  response.end(body);
}
