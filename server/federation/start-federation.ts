import { readFileSync } from 'node:fs';
import { getServers } from 'node:dns';
import { rootCertificates } from 'node:tls';

import type { Config } from '../../config/options.ts';
import { JidCache } from '../../stanzas/jid.ts';
import type { Storage } from '../../storage/storage.ts';
import type { Clock } from '../clock.ts';
import type { Log } from '../log.ts';
import type { Counters } from '../metrics/counters.ts';
import type { Router } from '../routing/router.ts';
import { peerCertificateOf } from '../sasl/peer-certificate.ts';
import { Admission } from '../streams/admission.ts';
import type { Flusher } from '../streams/flusher.ts';
import type { ListeningAddress } from '../streams/listening.ts';
import { SocketListener } from '../streams/socket-listener.ts';
import { TcpConnection } from '../streams/tcp-connection.ts';
import type { TlsContexts } from '../streams/tls-context.ts';
import { TlsHandshakes } from '../streams/tls-handshakes.ts';
import { ALPN_SERVER, ClientHandshakes } from './client-handshakes.ts';
import { DialbackKeys } from './dialback-key.ts';
import { Dialing } from './dialing.ts';
import { DnsClient } from './dns-client.ts';
import { Federation } from './federation.ts';
import { NameResolution, parseDnsServer } from './name-resolution.ts';
import { PeerFailure } from './peer-failure.ts';
import { PeerPolicies } from './peer-policy.ts';

const SECRET_BYTES = 32;
const JID_CACHE = 20_000;
const MAX_DNS_RUNNING = 64;
const MAX_DNS_WAITING = 2000;
const MAX_HANDSHAKES = 16;

export interface FederationStart {
  readonly config: Config;
  readonly router: Router;
  readonly storage: Storage;
  readonly contexts: TlsContexts;
  readonly flusher: Flusher;
  readonly clock: Clock;
  readonly log: Log;
  readonly counters: Counters;
  readonly randomId: () => string;
}

export interface RunningFederation {
  readonly federation: Federation;
  readonly admission: Admission;
  readonly handshakes: TlsHandshakes;
  readonly flusher: Flusher;
  readonly listening: readonly ListeningAddress[];
  /** Accepts nobody more; streams stay. */
  close(): void;
}

/** The PEM certificates that vouch for other servers; undefined: those that Node brings. @throws Error that names a file */
export function authoritiesOf({ s2s }: Config): readonly string[] | undefined {
  if (s2s.authorities.length === 0) return undefined;
  const own = s2s.authorities.map((file) => {
    try {
      return readFileSync(file, 'latin1');
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new Error(`s2s.authorities: cannot read ${file} (${reason}): put a PEM file there, or leave it out`, {
        cause: error,
      });
    }
  });
  return s2s.trustPublicAuthorities ? [...rootCertificates, ...own] : own;
}

/** Begins to talk to other servers. Rejects with ListenError or StoreError. */
export async function startFederation(start: FederationStart): Promise<RunningFederation> {
  const { config, router, storage, contexts, flusher, clock, log, counters, randomId } = start;
  const { s2s } = config;
  const timeoutMs = s2s.tlsTimeoutSeconds * 1000;
  const peers = contexts.peers;
  const handshakes = new TlsHandshakes({
    contexts: peers,
    maxHandshakes: MAX_HANDSHAKES,
    timeoutMs,
    clock,
    requestsCertificate: true,
  });
  const clients = new ClientHandshakes({ contextFor: (local) => peers.contextFor(undefined, local), timeoutMs, clock });
  const names = new NameResolution({
    dns: new DnsClient({
      servers: (s2s.resolvers.length > 0 ? s2s.resolvers : getServers()).map(parseDnsServer),
      timeoutMs: s2s.dnsTimeoutSeconds * 1000,
      maxRunning: MAX_DNS_RUNNING,
      maxWaiting: MAX_DNS_WAITING,
      clock,
    }),
    routes: s2s.routes.map(({ domain, host, port, tls }) => ({ domain, host, port, directTls: tls === 'direct' })),
    clock,
    random: Math.random,
  });
  const federation = new Federation({
    settings: s2s,
    router,
    storage,
    clock,
    log,
    counters,
    jids: new JidCache(JID_CACHE),
    policies: new PeerPolicies(s2s.policy, s2s.policies),
    keys: new DialbackKeys(await storage.serverKeys.secret('dialback', SECRET_BYTES)),
    randomId,
    random: Math.random,
    dialing: new Dialing({ names, timeoutMs: s2s.connectTimeoutSeconds * 1000, clock }),
    connect: async ({ socket, target }, { local, remote }) => {
      const secure = {
        secure: (request: { readonly socket: typeof socket }) => clients.secure(request.socket, local, remote),
      };
      const options = { flusher, handshakes: secure, peerOf: peerCertificateOf };
      if (!target.directTls) return new TcpConnection(socket, options);
      try {
        return new TcpConnection(await clients.secure(socket, local, remote, [ALPN_SERVER]), options);
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        throw new PeerFailure('remote-server-timeout', `${remote}: TLS was not established: ${reason}`, {
          mayTryNext: true,
        });
      }
    },
  });
  const admission = new Admission({ limits: s2s, section: 's2s', clock, log });
  const listeners: SocketListener[] = [];
  const listening: ListeningAddress[] = [];
  try {
    // Before anything can be said that would go ahead of it.
    router.setRemote(federation);
    const restored = await federation.restore();
    if (restored > 0) log.info({ stanzas: restored }, 'stanzas for other servers wait from the last run');
    for (const { name, port, portOption, isDirect } of [
      { name: 's2s', port: s2s.port, portOption: 's2s.port', isDirect: false },
      { name: 's2s-tls', port: s2s.tlsPort, portOption: 's2s.tls_port', isDirect: true },
    ]) {
      if (port === false) continue;
      const listener = new SocketListener({
        name,
        port,
        portOption,
        addresses: s2s.addresses,
        addressOption: 's2s.addresses',
        directTls: isDirect ? { handshakes, alpnProtocols: [ALPN_SERVER] } : undefined,
        admission,
        accept: (socket) =>
          federation.accept(new TcpConnection(socket, { flusher, handshakes, peerOf: peerCertificateOf })),
        log,
      });
      listeners.push(listener);
      listening.push(...(await listener.listen()));
    }
  } catch (error) {
    for (const listener of listeners) listener.close();
    federation.shutDown();
    federation.abandon();
    throw error;
  }
  return {
    federation,
    admission,
    handshakes,
    flusher,
    listening,
    close: () => {
      for (const listener of listeners) listener.close();
    },
  };
}
