import { CertificateRenewal } from '../certs/certificate-renewal.ts';
import { ensureCertificates } from '../certs/make-certs.ts';
import { federates } from '../config/listeners.ts';
import type { Config } from '../config/options.ts';
import { openConfiguredStorage } from '../storage/configured-storage.ts';
import type { Storage } from '../storage/storage.ts';
import type { ServerOperations } from './admin/operations.ts';
import { systemClock, type Clock } from './clock.ts';
import { listenForClients } from './client-listeners.ts';
import { createCore } from './core.ts';
import { Faults } from './faults.ts';
import { authoritiesOf, startFederation, type RunningFederation } from './federation/start-federation.ts';
import type { Log } from './log.ts';
import { MODULES } from './module-list.ts';
import { listenForOperator } from './operator-listener.ts';
import { RandomSource } from './random-source.ts';
import { RunningOperations } from './running-operations.ts';
import { ARCHIVE_ID_KEY_BYTES } from './routing/archive-ids.ts';
import { ArchiveSweep } from './services/archive-sweep.ts';
import { streamContext, type ServerParts } from './server-parts.ts';
import { endFederation, endStreams } from './shutdown.ts';
import type { ClientStream } from './streams/client-stream.ts';
import { ComponentListener } from './streams/component-listener.ts';
import { readComponentSecrets } from './streams/component-secrets.ts';
import { Flusher } from './streams/flusher.ts';
import type { ListeningAddress } from './streams/listening.ts';
import { TlsContexts } from './streams/tls-context.ts';

export interface ServerOptions {
  readonly config: Config;
  readonly log: Log;
  readonly clock?: Clock;
  /** An open store; the configured backend is opened, and closed with the server, unless given. */
  readonly storage?: Storage;
  /** Errors that nothing caught, counted by who owns the process. */
  readonly faults?: Faults;
  /** Where secrets of components may stand; that of the process unless given. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
}

export interface RunningServer {
  readonly operations: ServerOperations;
  readonly listening: readonly ListeningAddress[];
  /** The authority of the certificates that were made; undefined where certificates are configured. */
  readonly caFile: string | undefined;
  /** Ends every stream with `system-shutdown`, commits what waits and closes everything. */
  stop(): Promise<void>;
}

const CHECK_INTERVAL_MS = 1000;

/** Starts a server. Rejects with an Error that says what to do, and leaves nothing open then. */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const { config, log, clock = systemClock, faults = new Faults(clock) } = options;
  const secrets = readComponentSecrets(config.components.external, options.environment ?? process.env);
  const startedAt = clock.now();
  const random = new RandomSource();
  const certificates = await certificatesOf(config, clock, log);
  const reportError = (error: unknown): void => log.error({ err: error }, 'a listener of a commit failed');
  const storage = options.storage ?? (await openConfiguredStorage(config, { reportError }));
  const opened: { close(): unknown }[] = [];
  try {
    const contexts = new TlsContexts({
      entries: certificates.entries,
      minVersion: config.tls.minVersion,
      ciphers: config.tls.ciphers,
      peerAuthorities: authoritiesOf(config),
      clock,
      log,
    });
    contexts.watch();
    opened.push(contexts);
    const archiveIdKey = await storage.serverKeys.secret('archive-ids', ARCHIVE_ID_KEY_BYTES);
    const core = createCore({ config, storage, clock, log, modules: MODULES, randomId: random.id, archiveIdKey });
    const parts: ServerParts = { config, storage, clock, log, core, random };
    const restored = await core.restoreSessions();
    if (restored > 0) log.info({ sessions: restored }, 'saved sessions wait for their clients');
    const sweep = new ArchiveSweep({ config, storage, clock, log });
    sweep.start();
    opened.push(sweep);
    const streams = new Set<ClientStream>();
    const context = await streamContext(parts, streams);
    // First, so that what waits for other servers since the last run goes ahead of what is said now.
    const federation = await federate(parts, contexts);
    if (federation !== undefined) opened.push(federation);
    const { listening, clients } = await listenForClients(parts, contexts, context, opened);
    if (federation !== undefined) listening.push(...federation.listening);
    const components = new ComponentListener({ ...context, components: core.components, secrets });
    opened.push(components);
    listening.push(...(await components.listen()));
    const shared = { startedAt, faults: () => faults.count, streams, clients, servers: federation };
    listening.push(...(await listenForOperator(parts, context, shared, opened)));
    if (certificates.request !== undefined) {
      const renewal = new CertificateRenewal({ ...certificates.request, clock, renewed: () => void contexts.reload() });
      renewal.start();
      opened.push(renewal);
    }
    let isChecking = true;
    const check = (): void => {
      if (!isChecking) return;
      const now = clock.monotonic();
      for (const stream of streams) stream.check(now);
      components.check(now);
      core.resumable.expire();
      context.logins.expire();
      federation?.federation.check(now);
      clock.schedule(CHECK_INTERVAL_MS, check);
    };
    clock.schedule(CHECK_INTERVAL_MS, check);

    let stopping: Promise<void> | undefined;
    const shutDown = async (): Promise<void> => {
      // In one turn, so that nothing comes in between: nobody more is accepted, and nothing more is read.
      const closed = Promise.all(opened.map((resource) => resource.close()));
      // While clients are still there to hear what comes back.
      await components.endStreams();
      await endStreams(streams, core.table.sessions(), storage.commit, clock);
      if (federation !== undefined) await endFederation(federation.federation, clock);
      await closed;
      isChecking = false;
      await storage.commit.flush();
      const saved = await core.saveSessions();
      if (saved > 0) log.info({ sessions: saved }, 'sessions saved for their clients to resume');
      await core.table.saveCursors();
      if (options.storage === undefined) await storage.close();
      log.info({}, 'stopped');
    };
    const stop = (): Promise<void> => (stopping ??= shutDown());
    const running = { contexts, context, listening, startedAt, faults, federation: federation?.federation, stop };
    const operations = new RunningOperations({ ...parts, ...running });
    log.info({ domains: config.domains, listening: listening.length }, 'started');
    return { operations, listening, caFile: certificates.caFile, stop };
  } catch (error) {
    for (const resource of opened) await resource.close();
    if (options.storage === undefined) await storage.close();
    throw error;
  }
}

/** Begins to talk to other servers, where that is wanted. */
async function federate(parts: ServerParts, contexts: TlsContexts): Promise<RunningFederation | undefined> {
  const { config, storage, clock, log, random } = parts;
  const { router, counters } = parts.core;
  if (!federates(config)) return undefined;
  const flusher = new Flusher({ log });
  return startFederation({ config, router, storage, contexts, flusher, clock, log, counters, randomId: random.id });
}

async function certificatesOf(config: Config, clock: Clock, log: Log) {
  if (config.tls.certificates.length > 0) {
    const entries = config.tls.certificates.map(({ domains, certificate, key }) => ({
      domains,
      certificateFile: certificate,
      keyFile: key,
    }));
    return { entries, caFile: undefined, request: undefined };
  }
  const directory = config.tls.certificatesDirectory;
  const request = { directory, domains: config.domains, now: () => clock.now(), log };
  const made = await ensureCertificates(request);
  const entries = made.certificates.map((certificate) => ({ ...certificate, domains: [certificate.domain] }));
  return { entries, caFile: made.caFile, request };
}
