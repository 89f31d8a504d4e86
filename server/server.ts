import { CertificateRenewal } from '../certs/certificate-renewal.ts';
import { ensureCertificates } from '../certs/make-certs.ts';
import { federates } from '../config/listeners.ts';
import type { Config } from '../config/options.ts';
import { JidCache } from '../stanzas/jid.ts';
import { openConfiguredStorage } from '../storage/configured-storage.ts';
import type { Storage } from '../storage/storage.ts';
import type { ServerOperations } from './admin/operations.ts';
import { systemClock, type Clock } from './clock.ts';
import { createCore, type Core } from './core.ts';
import { Faults } from './faults.ts';
import { authoritiesOf, startFederation, type RunningFederation } from './federation/start-federation.ts';
import { metricList } from './http/metrics/metric-list.ts';
import { expose } from './http/metrics/exposition.ts';
import type { MetricSource, PeerSource } from './http/metrics/metric-source.ts';
import { startOperations, type Health } from './http/operations-server.ts';
import type { Log } from './log.ts';
import { CommitMeter } from './metrics/commit-meter.ts';
import { ProcessMeter } from './metrics/process-meter.ts';
import { MODULES } from './module-list.ts';
import { RandomSource } from './random-source.ts';
import { RunningOperations } from './running-operations.ts';
import { ARCHIVE_ID_KEY_BYTES } from './routing/archive-ids.ts';
import { ArchiveSweep } from './services/archive-sweep.ts';
import { FailureThrottle } from './sasl/failure-throttle.ts';
import { isSameLogin } from './sasl/login.ts';
import { PasswordWork } from './sasl/password-work.ts';
import { Tokens } from './sasl/tokens.ts';
import { endFederation, endStreams } from './shutdown.ts';
import { Admission } from './streams/admission.ts';
import { ClientStream } from './streams/client-stream.ts';
import { ComponentListener } from './streams/component-listener.ts';
import { readComponentSecrets } from './streams/component-secrets.ts';
import type { Connection } from './streams/connection.ts';
import { Flusher } from './streams/flusher.ts';
import { Listener } from './streams/listener.ts';
import { LoginQueue } from './streams/login-queue.ts';
import type { ListeningAddress } from './streams/listening.ts';
import type { StreamContext } from './streams/stream-context.ts';
import { TlsContexts } from './streams/tls-context.ts';
import { TlsHandshakes } from './streams/tls-handshakes.ts';
import { posthornVersion } from './version.ts';

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
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

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
    const restored = await core.restoreSessions();
    if (restored > 0) log.info({ sessions: restored }, 'saved sessions wait for their clients');
    const sweep = new ArchiveSweep({ config, storage, clock, log });
    sweep.start();
    opened.push(sweep);
    const streams = new Set<ClientStream>();
    const context = await streamContext(config, storage, clock, log, core, streams, random);
    // First, so that what waits for other servers since the last run goes ahead of what is said now.
    const federation = await federate(config, storage, clock, log, core, contexts, random);
    if (federation !== undefined) opened.push(federation);
    const { listening, clients } = await listen(config, clock, log, contexts, random, context, opened);
    if (federation !== undefined) listening.push(...federation.listening);
    const components = new ComponentListener({ ...context, components: core.components, secrets });
    opened.push(components);
    listening.push(...(await components.listen()));
    const shared = { startedAt, faults: () => faults.count, streams, clients, servers: federation };
    listening.push(...(await operate(config, clock, log, storage, core, context, opened, shared)));
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
    const parts = {
      config,
      storage,
      core,
      contexts,
      context,
      listening,
      startedAt,
      faults,
      federation: federation?.federation,
      stop,
    };
    const operations = new RunningOperations(parts);
    log.info({ domains: config.domains, listening: listening.length }, 'started');
    return { operations, listening, caFile: certificates.caFile, stop };
  } catch (error) {
    for (const resource of opened) await resource.close();
    if (options.storage === undefined) await storage.close();
    throw error;
  }
}

/** Begins to talk to other servers, where that is wanted. */
async function federate(
  config: Config,
  storage: Storage,
  clock: Clock,
  log: Log,
  { router, counters }: Core,
  contexts: TlsContexts,
  random: RandomSource,
): Promise<RunningFederation | undefined> {
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

/** What the streams of a server share. */
export async function streamContext(
  config: Config,
  storage: Storage,
  clock: Clock,
  log: Log,
  core: Core,
  streams: Set<ClientStream>,
  random: RandomSource,
): Promise<StreamContext> {
  const { sasl } = config;
  const { maxDepth, maxAttributes } = config.c2s;
  const throttle = new FailureThrottle(clock, {
    freeFailures: {
      pair: sasl.freeFailures,
      address: sasl.freeFailuresPerAddress,
      account: sasl.freeFailuresPerAccount,
    },
    maxDelayMs: sasl.maxFailureDelaySeconds * 1000,
    forgetAfterMs: sasl.forgetFailuresSeconds * 1000,
  });
  return {
    config,
    domains: new Set(config.domains),
    scannerLimits: {
      unauthenticated: { maxBytes: config.c2s.maxStanzaBytesUnauthenticated, maxDepth, maxAttributes },
      authenticated: { maxBytes: config.c2s.maxStanzaBytes, maxDepth, maxAttributes },
    },
    router: core.router,
    acceptance: core.acceptance,
    archiveMark: core.archiveMark,
    table: core.table,
    pipeline: core.pipeline,
    resumable: core.resumable,
    commit: storage.commit,
    clock,
    log,
    counters: core.counters,
    jids: new JidCache(20_000),
    streamFeatures: core.streamFeatures,
    bindFeatures: core.bindFeatures,
    sessionClient: core.sessionClient,
    resourceSecret: await storage.serverKeys.secret('resources', 32),
    logins: new LoginQueue({ limits: config.c2s, clock, log, random: random.fraction }),
    sasl: {
      accounts: { credentials: (bare) => storage.accounts.get(bare) },
      throttle,
      work: new PasswordWork({ maxRunning: sasl.passwordWorkRunning, maxWaiting: sasl.passwordWorkWaiting }),
      secret: await storage.serverKeys.secret('unknown-user-salt', 32),
      iterations: sasl.scramIterations,
      allowPlaintext: config.c2s.allowPlaintextAuthentication,
      mechanisms: sasl.mechanisms,
      random: (length) => random.bytes(length),
      retries: sasl.maxRetries,
      tokens: await tokensOf(config, storage, clock, random),
      keyStore: {
        add: (bare, earlier, hash, keys) =>
          storage.accounts.addKeys(bare, hash, keys, (now) => isSameLogin(earlier, now)),
      },
    },
    randomId: random.id,
    streams,
  };
}

/** Undefined where tokens are not wanted. */
async function tokensOf(
  { sasl }: Config,
  storage: Storage,
  clock: Clock,
  random: RandomSource,
): Promise<Tokens | undefined> {
  if (sasl.tokenDays === 0) return undefined;
  return new Tokens({
    store: storage.clientTokens,
    secret: await storage.serverKeys.secret('tokens', 32),
    now: () => clock.now(),
    random: (length) => random.bytes(length),
    lifetimeMs: sasl.tokenDays * DAY_MS,
    rotationMs: sasl.tokenRotationHours * HOUR_MS,
    maxClients: sasl.maxTokenClients,
  });
}

async function listen(
  config: Config,
  clock: Clock,
  log: Log,
  contexts: TlsContexts,
  random: RandomSource,
  context: StreamContext,
  opened: { close(): unknown }[],
): Promise<{ readonly listening: ListeningAddress[]; readonly clients: PeerSource }> {
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

/** Health and metrics for the operator, where they are wanted. */
async function operate(
  config: Config,
  clock: Clock,
  log: Log,
  storage: Storage,
  core: Core,
  { logins, sasl }: StreamContext,
  opened: { close(): unknown }[],
  shared: Pick<MetricSource, 'startedAt' | 'faults' | 'streams' | 'clients' | 'servers'>,
): Promise<readonly ListeningAddress[]> {
  const { port, metrics: wantsMetrics } = config.operations;
  if (port === false) return [];
  let metrics: (() => string) | undefined;
  if (wantsMetrics) {
    const { table, resumable, counters } = core;
    const { commit } = storage;
    const commits = new CommitMeter(clock);
    commit.observeWith(commits);
    const process = new ProcessMeter(clock);
    opened.push(process);
    const own = { version: posthornVersion(), counters, commit, commits, process, table, resumable, logins };
    const list = metricList({ ...shared, ...own, passwordWork: sasl.work });
    metrics = () => expose(list);
  }
  const operations = await startOperations({ config, log, health: () => healthOf(storage, shared.faults()), metrics });
  opened.push(operations);
  return operations.listening;
}

/** For /health: whether the store takes what is written; the rest is for who looks. */
function healthOf(storage: Storage, faults: number): Health {
  const { lastFailure } = storage.commit;
  if (lastFailure === undefined) return { status: 'ok', faults };
  return { status: 'failing', faults, store: lastFailure.code };
}
