import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';

import type { Config } from '../../config/options.ts';
import type { Log } from '../log.ts';
import { HostMeta, toJrd, toXrd } from './host-meta.ts';

/** What plain requests need. */
export interface PlainRequestsOptions {
  readonly config: Pick<Config, 'http' | 'domains'>;
  readonly log: Log;
  /** The server whose requests these are. */
  readonly server: Server;
  /** The port it listens on. */
  readonly port: () => number;
}

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

/**
 * Answers the requests that are no WebSocket. Their framework comes with the first of them: it is a third of a start's time
 * and a quarter of an idle server's memory, and many servers never see such a request.
 */
export class PlainRequests {
  readonly #options: PlainRequestsOptions;
  #loading: Promise<{ readonly app: FastifyInstance; readonly handler: Handler }> | undefined;

  constructor(options: PlainRequestsOptions) {
    this.#options = options;
  }

  /** Answers one; for `request` of node:http. Never throws. */
  readonly handle = (request: IncomingMessage, response: ServerResponse): void => {
    this.#loading ??= load(this.#options);
    this.#loading.then(
      ({ handler }) => handler(request, response),
      (error: unknown) => {
        this.#options.log.error({ err: error }, 'an HTTP request could not be answered');
        response.writeHead(500).end();
      },
    );
  };

  /** Ends answering. */
  async close(): Promise<void> {
    const loaded = await this.#loading?.catch(() => undefined);
    await loaded?.app.close();
  }
}

async function load({ config, log, server, port }: PlainRequestsOptions) {
  const { fastify } = await import('fastify');
  let handler: Handler = (_request, response) => void response.writeHead(503).end();
  const app = fastify({
    serverFactory: (answer) => {
      handler = answer;
      return server;
    },
    bodyLimit: 1024,
  });
  app.setNotFoundHandler((_request, reply) => reply.code(404).send());
  app.setErrorHandler((error, _request, reply) => {
    log.error({ err: error }, 'an HTTP request failed');
    return reply.code(500).send();
  });
  const hostMeta = new HostMeta(config);
  const answer = (type: string, format: (url: string) => string) => (request: FastifyRequest, reply: FastifyReply) => {
    const url = hostMeta.webSocketUrl(request.headers.host ?? '', port());
    void reply.header('Access-Control-Allow-Origin', '*'); // XEP-0156, implementation notes: for these files only
    return url === undefined ? reply.code(404).send() : reply.type(type).send(format(url));
  };
  app.get('/.well-known/host-meta', answer('application/xrd+xml', toXrd));
  app.get('/.well-known/host-meta.json', answer('application/json', toJrd));
  await app.ready();
  return { app, handler };
}
