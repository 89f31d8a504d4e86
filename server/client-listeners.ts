import type { PeerSource } from './http/metrics/metric-source.ts';
import type { ServerParts } from './server-parts.ts';
import { Admission } from './streams/admission.ts';
import { ClientStream } from './streams/client-stream.ts';
import type { Connection } from './streams/connection.ts';
import { Flusher } from './streams/flusher.ts';
import { Listener } from './streams/listener.ts';
import type { ListeningAddress } from './streams/listening.ts';
import type { StreamContext } from './streams/stream-context.ts';
import type { TlsContexts } from './streams/tls-context.ts';
import { TlsHandshakes } from './streams/tls-handshakes.ts';

/** What listens for clients. */
export interface ClientListeners {
  readonly listening: ListeningAddress[];
  readonly clients: PeerSource;
}

/** Listens for clients: STARTTLS, direct TLS (XEP-0368) and HTTP (RFC 7395). @param opened takes what must be closed */
export async function listenForClients(
  { config, clock, log, random }: Pick<ServerParts, 'config' | 'clock' | 'log' | 'random'>,
  contexts: TlsContexts,
  context: StreamContext,
  opened: { close(): unknown }[],
): Promise<ClientListeners> {
  const { c2s } = config;
  const admission = new Admission({ limits: c2s, clock, log });
  const handshakes = new TlsHandshakes({
    contexts,
    maxHandshakes: config.tls.maxHandshakes,
    timeoutMs: c2s.tlsTimeoutSeconds * 1000,
    clock,
  });
  const accept = (connection: Connection): void => {
    new ClientStream(connection, context);
  };
  const shared = {
    addresses: c2s.addresses,
    admission,
    handshakes,
    flusher: new Flusher({ log, flushed: () => context.counters.stages.flushed() }),
    accept,
    log,
    random: random.fraction,
  };
  const listening: ListeningAddress[] = [];
  for (const { name, port, directTls } of [
    { name: 'c2s', port: c2s.port, directTls: false },
    { name: 'c2s-tls', port: c2s.tlsPort, directTls: true },
  ] as const) {
    if (port === false) continue;
    const listener = new Listener({ ...shared, name, port, directTls });
    opened.push(listener);
    for (const at of await listener.listen()) listening.push({ ...at, name });
  }
  if (config.http.port !== false) {
    // Only where it is wanted: ws takes a part of the start-up time.
    const { startHttp } = await import('./http/http-server.ts');
    const http = await startHttp({ ...shared, config, clock });
    opened.push(http);
    listening.push(...http.listening);
  }
  return { listening, clients: shared };
}
