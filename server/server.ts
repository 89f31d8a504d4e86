import { randomBytes } from 'node:crypto';
import { ensureCertificates } from '../certs/make-certs.ts';
import type { Config } from '../config/options.ts';
import { element } from '../stanzas/element.ts';
import { Jid, JidCache } from '../stanzas/jid.ts';
import { NS } from '../stanzas/namespaces.ts';
import { Stanza } from '../stanzas/stanza.ts';
import { StreamError } from '../stanzas/stream-error.ts';
import { openStorage, type Storage } from '../storage/storage.ts';
import type { AccountChange, OperatorMessage, ServerOperations, SessionSummary } from './admin/operations.ts';
import { systemClock, type Clock } from './clock.ts';
import { createCore, type Core } from './core.ts';
import { startOperations } from './http/operations-server.ts';
import type { Log } from './log.ts';
import { MODULES } from './module-list.ts';
import { InboundLedger } from './routing/receipt.ts';
import type { Session } from './routing/session.ts';
import { FailureThrottle } from './sasl/failure-throttle.ts';
import { PasswordWork } from './sasl/password-work.ts';
import { Admission } from './streams/admission.ts';
import { ClientStream } from './streams/client-stream.ts';
import type { Connection } from './streams/connection.ts';
import { Flusher } from './streams/flusher.ts';
import { Listener } from './streams/listener.ts';
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
}

export interface ListeningSocket {
  readonly name: string;
  readonly address: string;
  readonly port: number;
}

export interface RunningServer {
  readonly operations: ServerOperations;
  readonly listening: readonly ListeningSocket[];
  /** The authority of the certificates that were made; undefined where certificates are configured. */
  readonly caFile: string | undefined;
  /** Ends every stream with `system-shutdown`, commits what waits and closes everything. */
  stop(): Promise<void>;
}

/** 144 bits: nobody guesses the id of somebody else's session. */
const RANDOM_ID_BYTES = 18;
const CHECK_INTERVAL_MS = 1000;
/** How long the last bytes of streams may take when the server stops. */
const STOP_GRACE_MS = 1000;

/** Starts a server. Rejects with an Error that says what to do, and leaves nothing open then. */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const { config, log, clock = systemClock } = options;
  const startedAt = clock.now();
  const certificates = await certificatesOf(config, clock, log);
  const storage = options.storage ?? (await openConfiguredStorage(config));
  const opened: { close(): unknown }[] = [];
  try {
    const contexts = new TlsContexts({
      entries: certificates.entries,
      minVersion: config.tls.minVersion,
      ciphers: config.tls.ciphers,
      clock,
      log,
    });
    contexts.watch();
    opened.push(contexts);
    const core = createCore({ config, storage, clock, log, modules: MODULES, randomId });
    const restored = await core.restoreSessions();
    if (restored > 0) log.info({ sessions: restored }, 'saved sessions wait for their clients');
    const streams = new Set<ClientStream>();
    const context = await streamContext(config, storage, clock, log, core, streams, randomId);
    const listening = await listen(config, clock, log, contexts, context, opened);
    let isChecking = true;
    const check = (): void => {
      if (!isChecking) return;
      const now = clock.monotonic();
      for (const stream of streams) stream.check(now);
      core.resumable.expire();
      clock.schedule(CHECK_INTERVAL_MS, check);
    };
    clock.schedule(CHECK_INTERVAL_MS, check);

    let stopping: Promise<void> | undefined;
    const stop = async (): Promise<void> => {
      for (const resource of opened) await resource.close();
      for (const stream of [...streams]) stream.shutDown();
      for (const { connection } of streams) connection.flush();
      await allGone(streams, clock);
      isChecking = false;
      await storage.commit.flush();
      const saved = await core.saveSessions();
      if (saved > 0) log.info({ sessions: saved }, 'sessions saved for their clients to resume');
      await core.table.saveCursors();
      if (options.storage === undefined) await storage.close();
      log.info({}, 'stopped');
    };
    const operations = new RunningOperations(
      config,
      storage,
      core,
      contexts,
      context,
      listening,
      startedAt,
      () => (stopping ??= stop()),
    );
    log.info({ domains: config.domains, listening: listening.length }, 'started');
    return { operations, listening, caFile: certificates.caFile, stop: () => (stopping ??= stop()) };
  } catch (error) {
    for (const resource of opened) await resource.close();
    if (options.storage === undefined) await storage.close();
    throw error;
  }
}

function openConfiguredStorage(config: Config): Promise<Storage> {
  const { backend, durability } = config.storage;
  return openStorage({ backend, directory: `${config.dataDirectory}/store`, durability });
}

async function certificatesOf(config: Config, clock: Clock, log: Log) {
  if (config.tls.certificates.length > 0) {
    const entries = config.tls.certificates.map(({ domains, certificate, key }) => ({
      domains,
      certificateFile: certificate,
      keyFile: key,
    }));
    return { entries, caFile: undefined };
  }
  const directory = config.tls.certificatesDirectory;
  const made = await ensureCertificates({ directory, domains: config.domains, now: () => clock.now(), log });
  const entries = made.certificates.map((certificate) => ({ ...certificate, domains: [certificate.domain] }));
  return { entries, caFile: made.caFile };
}

/** An id that nobody can guess (RFC 6120 4.7.3, 7.6), for the streams, sessions and stanzas of a server. */
export function randomId(): string {
  return randomBytes(RANDOM_ID_BYTES).toString('base64url');
}

/** What the streams of a server share. */
export async function streamContext(
  config: Config,
  storage: Storage,
  clock: Clock,
  log: Log,
  core: Core,
  streams: Set<ClientStream>,
  randomId: () => string,
): Promise<StreamContext> {
  const { sasl } = config;
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
    router: core.router,
    table: core.table,
    pipeline: core.pipeline,
    resumable: core.resumable,
    commit: storage.commit,
    clock,
    log,
    jids: new JidCache(20_000),
    streamFeatures: core.streamFeatures,
    sasl: {
      accounts: { credentials: (bare) => storage.accounts.get(bare) },
      throttle,
      work: new PasswordWork({ maxRunning: sasl.passwordWorkRunning, maxWaiting: sasl.passwordWorkWaiting }),
      secret: await storage.serverKeys.secret('unknown-user-salt', 32),
      iterations: sasl.scramIterations,
      allowPlaintext: config.c2s.allowPlaintextAuthentication,
      mechanisms: sasl.mechanisms,
      random: (length) => randomBytes(length),
      retries: sasl.maxRetries,
    },
    randomId,
    streams,
  };
}

async function listen(
  config: Config,
  clock: Clock,
  log: Log,
  contexts: TlsContexts,
  context: StreamContext,
  opened: { close(): unknown }[],
): Promise<readonly ListeningSocket[]> {
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
  const shared = { addresses: c2s.addresses, admission, handshakes, flusher: new Flusher({ log }), accept, log };
  const listening: ListeningSocket[] = [];
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
    // Only where it is wanted: fastify and ws take a good part of the start-up time.
    const { startHttp } = await import('./http/http-server.ts');
    const http = await startHttp({ config, clock, log, handshakes, admission, flusher: shared.flusher, accept });
    opened.push(http);
    listening.push(...http.listening);
  }
  if (config.operations.port !== false) {
    const operations = await startOperations({ config, log, health: () => ({ status: 'ok' as const }) });
    opened.push(operations);
    listening.push(...operations.listening);
  }
  return listening;
}

async function allGone(streams: ReadonlySet<ClientStream>, clock: Clock): Promise<void> {
  const until = clock.monotonic() + STOP_GRACE_MS;
  while (streams.size > 0 && clock.monotonic() < until) {
    await new Promise<void>((resolve) => void clock.schedule(20, resolve));
  }
  for (const { connection } of streams) connection.destroy();
}

/** What the command-line tool may ask of the running server. */
class RunningOperations implements ServerOperations {
  readonly config: Config;
  readonly storage: Storage;
  readonly stop: () => Promise<void>;
  readonly #core: Core;
  readonly #contexts: TlsContexts;
  readonly #context: StreamContext;
  readonly #listening: readonly ListeningSocket[];
  readonly #startedAt: number;
  readonly #version = posthornVersion();

  constructor(
    config: Config,
    storage: Storage,
    core: Core,
    contexts: TlsContexts,
    context: StreamContext,
    listening: readonly ListeningSocket[],
    startedAt: number,
    stop: () => Promise<void>,
  ) {
    this.config = config;
    this.storage = storage;
    this.stop = stop;
    this.#core = core;
    this.#contexts = contexts;
    this.#context = context;
    this.#listening = listening;
    this.#startedAt = startedAt;
  }

  status() {
    return {
      version: this.#version,
      startedAt: this.#startedAt,
      domains: this.config.domains,
      listening: this.#listening.map(({ name, address, port }) => `${name} ${address} ${port}`),
      sessions: this.#core.table.sessionCount,
      connections: this.#context.streams.size,
      residentBytes: process.memoryUsage.rss(),
    };
  }

  sessions(): SessionSummary[] {
    return [...this.#core.table.sessions()].map((session) => ({
      jid: session.jid.full,
      address: session.stream?.remoteAddress ?? '',
      transport: session.stream?.transport ?? '',
      since: session.since,
      priority: session.priority,
      secure: session.stream?.isSecure ?? false,
      queuedStanzas: session.unconfirmedCount,
    }));
  }

  kick(jid: string, reason: string): number {
    const wanted = Jid.parse(jid);
    const sessions = this.#sessionsOf(wanted.bare).filter((session) => wanted.isBare || session.jid.equals(wanted));
    for (const session of sessions) this.#endSession(session, new StreamError('policy-violation', reason));
    return sessions.length;
  }

  async accountChanged(bareJid: string, change: AccountChange): Promise<void> {
    const bare = Jid.parse(bareJid).bare;
    const end = (session: Session): void => {
      this.#endSession(session, new StreamError('not-authorized', `The account was changed (${change})`));
    };
    for (const session of this.#sessionsOf(bare)) end(session);
    // Credentials are read anew at each login; what must be unlearnt is that the account is there.
    if (change !== 'password') await this.#core.table.retire(bare, end);
  }

  async send({ from, to, body }: OperatorMessage): Promise<void> {
    const recipient = Jid.parse(to);
    if (recipient.local !== '' && this.#core.router.isLocalDomain(recipient.domain)) {
      const account = this.#core.table.account(recipient.toBare());
      await account.loaded;
      if (account.state === 'absent') throw new Error(`there is no account ${recipient.bare}, or it is disabled`);
    }
    const sender = Jid.parse(from ?? this.config.domains[0] ?? 'localhost');
    const header = { to: recipient, from: sender, id: this.#context.randomId(), type: 'normal' };
    const message = Stanza.create('message', header, [element('body', NS.CLIENT, {}, body)]);
    // Resolves when the message is stored, delivered or refused, as a client's acknowledgement would come.
    const ledger = new InboundLedger(1);
    this.#core.router.route(message, ledger.begin());
    await new Promise<void>((resolve) => ledger.whenReached(resolve));
  }

  pipeline(): string[] {
    return [...this.#core.pipeline.describe(), ...this.#core.iq.describe()];
  }

  reload(): Promise<string[]> {
    const results = this.#contexts.reload();
    return Promise.resolve(
      results.map(({ certificateFile, outcome, problem }) =>
        problem === undefined ? `${certificateFile}: ${outcome}` : `${certificateFile}: ${outcome}: ${problem}`,
      ),
    );
  }

  #sessionsOf(bare: string): readonly Session[] {
    return this.#core.table.peek(bare)?.sessions ?? [];
  }

  #endSession(session: Session, error: StreamError): void {
    session.stream?.closeWithError(error);
    this.#core.table.end(session);
  }
}
