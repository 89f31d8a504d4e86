import type { Config } from '../config/options.ts';
import { element } from '../stanzas/element.ts';
import { Jid } from '../stanzas/jid.ts';
import { NS } from '../stanzas/namespaces.ts';
import { Stanza } from '../stanzas/stanza.ts';
import { StreamError } from '../stanzas/stream-error.ts';
import type { Storage } from '../storage/storage.ts';
import type {
  AccountChange,
  ComponentSummary,
  DeliveryState,
  OperatorMessage,
  ServerInspection,
  ServerOperations,
  ServerStreams,
  ServerStatus,
  SessionSummary,
} from './admin/operations.ts';
import { CommandError } from './admin/exit-codes.ts';
import type { Core } from './core.ts';
import type { Faults } from './faults.ts';
import type { Federation } from './federation/federation.ts';
import { InboundLedger } from './routing/receipt.ts';
import type { Session } from './routing/session.ts';
import type { ListeningAddress } from './streams/listening.ts';
import type { StreamContext } from './streams/stream-context.ts';
import type { TlsContexts } from './streams/tls-context.ts';
import { posthornVersion } from './version.ts';

/** What a running server is made of. */
export interface RunningParts {
  readonly config: Config;
  readonly storage: Storage;
  readonly core: Core;
  readonly contexts: TlsContexts;
  readonly context: StreamContext;
  readonly listening: readonly ListeningAddress[];
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  readonly faults: Faults;
  /** Undefined where this server does not talk to others. */
  readonly federation: Federation | undefined;
  readonly stop: () => Promise<void>;
}

/** What the command-line tool may ask of the running server. */
export class RunningOperations implements ServerOperations {
  readonly config: Config;
  readonly storage: Storage;
  readonly stop: () => Promise<void>;
  readonly #parts: RunningParts;
  readonly #version = posthornVersion();

  constructor(parts: RunningParts) {
    this.config = parts.config;
    this.storage = parts.storage;
    this.stop = parts.stop;
    this.#parts = parts;
  }

  status(): ServerStatus {
    const { startedAt, listening, core, context, faults } = this.#parts;
    return {
      version: this.#version,
      startedAt,
      domains: this.config.domains,
      listening: listening.map(({ name, address, port }) => `${name} ${address} ${port}`),
      sessions: core.table.sessionCount,
      connections: context.streams.size,
      residentBytes: process.memoryUsage.rss(),
      faults: faults.count,
    };
  }

  inspect(): ServerInspection {
    const { startedAt, listening, contexts, faults, federation } = this.#parts;
    const streamId = this.#parts.context.randomId();
    const keys = this.config.domains.map((domain) => ({ domain, key: federation?.keyForVisitor(domain, streamId) }));
    return {
      version: this.#version,
      startedAt,
      processId: process.pid,
      userId: process.getuid?.(),
      configurationFile: this.config.file,
      listening,
      certificates: contexts.statuses().map(({ certificateFile, notAfterMs }) => ({ certificateFile, notAfterMs })),
      faults: faults.recent,
      visitorKeys: keys.flatMap(({ domain, key }) => (key === undefined ? [] : [{ domain, streamId, key }])),
      storeFailure: this.storage.commit.lastFailure?.message,
    };
  }

  sessions(): SessionSummary[] {
    return [...this.#parts.core.table.sessions()].map((session) => ({
      jid: session.jid.full,
      address: session.stream?.remoteAddress ?? '',
      transport: session.stream?.transport ?? '',
      since: session.since,
      priority: session.priority,
      secure: session.stream?.isSecure ?? false,
      queuedStanzas: session.unconfirmedCount,
    }));
  }

  messageDelivery(
    bareJid: string,
    { position, isArchived }: { position: number; isArchived: boolean },
  ): DeliveryState | undefined {
    const account = this.#parts.core.table.peek(bareJid);
    if (account?.state !== 'present') return undefined;
    const { cursor, archivedCursor } = account.pending;
    const holders = account.sessions.filter(({ queue }) =>
      queue.unconfirmed.some((stanza) => stanza.position === position),
    );
    return {
      isDelivered: position <= (isArchived ? Math.max(cursor, archivedCursor) : cursor),
      unacknowledgedBy: holders.map(({ jid, stream }) => ({ jid: jid.full, isConnected: stream !== undefined })),
    };
  }

  components(): ComponentSummary[] {
    return [...this.#parts.core.components.all()].map(({ settings, link, since }) => ({
      domain: settings.domain,
      address: link?.remoteAddress,
      since,
      counts: link?.counts ?? { queued: 0, received: 0, delivered: 0 },
    }));
  }

  kick(jid: string, reason: string): number {
    const wanted = Jid.parse(jid);
    const sessions = this.#sessionsOf(wanted.bare).filter((session) => wanted.isBare || session.jid.equals(wanted));
    for (const session of sessions) this.#endSession(session, new StreamError('policy-violation', reason));
    return sessions.length;
  }

  endClients(bareJid: string, clients: readonly string[]): number {
    const { sessionClient } = this.#parts.core;
    const { bare } = Jid.parse(bareJid);
    const sessions = this.#sessionsOf(bare).filter((session) => clients.includes(sessionClient.peek(session) ?? ''));
    const error = new StreamError('not-authorized', 'The access of this client was revoked');
    for (const session of sessions) this.#endSession(session, error);
    for (const stream of [...this.#parts.context.streams]) {
      if (stream.negotiation.authenticated === bare && clients.includes(stream.negotiation.client ?? ''))
        stream.closeWithError(error);
    }
    return sessions.length;
  }

  async accountChanged(bareJid: string, change: AccountChange): Promise<void> {
    const bare = Jid.parse(bareJid).bare;
    const error = new StreamError('not-authorized', `The account was changed (${change})`);
    const end = (session: Session): void => this.#endSession(session, error);
    for (const session of this.#sessionsOf(bare)) end(session);
    // Who has logged in and not bound a resource could have one by what it showed before.
    for (const stream of [...this.#parts.context.streams]) {
      if (stream.negotiation.authenticated === bare) stream.closeWithError(error);
    }
    // Credentials are read anew at each login; what must be unlearnt is that the account is there.
    if (change !== 'password') await this.#parts.core.table.retire(bare, end);
  }

  async send({ from, to, body }: OperatorMessage): Promise<void> {
    const recipient = Jid.parse(to);
    if (recipient.local !== '' && this.#parts.core.router.isLocalDomain(recipient.domain)) {
      const account = this.#parts.core.table.account(recipient.toBare());
      await account.loaded;
      if (account.state === 'absent' || account.state === 'disabled') {
        throw new CommandError('not-found', `there is no account ${recipient.bare}, or it is disabled`);
      }
    }
    const sender = Jid.parse(from ?? this.config.domains[0] ?? 'localhost');
    const header = { to: recipient, from: sender, id: this.#parts.context.randomId(), type: 'normal' };
    const message = Stanza.create('message', header, [element('body', NS.CLIENT, {}, body)]);
    // Settled when the message is stored, delivered or refused, as a client's acknowledgement would come.
    const receipt = new InboundLedger(1).begin();
    const refusal = await new Promise<Error | undefined>((resolve) => {
      receipt.onSettled = resolve;
      this.#parts.core.router.route(message, receipt);
    });
    if (refusal !== undefined) throw new CommandError('failed', `the message was refused: ${refusal.message}`);
  }

  serverStreams(): ServerStreams {
    const { federation } = this.#parts;
    return { streams: federation?.summaries() ?? [], waiting: federation?.waiting() ?? [] };
  }

  async connectServer(remote: string, local: string | undefined): Promise<void> {
    const { federation } = this.#parts;
    if (federation === undefined) throw new Error('this server does not talk to others: see s2s.enabled and domains');
    const pair = { local: local ?? this.config.domains[0] ?? '', remote };
    if (!this.#parts.core.router.isLocalDomain(pair.local)) throw new Error(`${pair.local} is not served here`);
    if (this.#parts.core.router.isLocalDomain(remote)) throw new Error(`${remote} is served here itself`);
    await federation.open(pair);
  }

  closeServerStreams(remote: string): number {
    return this.#parts.federation?.closeStreams(remote) ?? 0;
  }

  pipeline(): string[] {
    return [...this.#parts.core.pipeline.describe(), ...this.#parts.core.iq.describe()];
  }

  reload(): Promise<string[]> {
    const results = this.#parts.contexts.reload();
    return Promise.resolve(
      results.map(({ certificateFile, outcome, problem }) =>
        problem === undefined ? `${certificateFile}: ${outcome}` : `${certificateFile}: ${outcome}: ${problem}`,
      ),
    );
  }

  #sessionsOf(bare: string): readonly Session[] {
    return this.#parts.core.table.peek(bare)?.sessions ?? [];
  }

  #endSession(session: Session, error: StreamError): void {
    session.stream?.closeWithError(error);
    this.#parts.core.table.end(session);
  }
}
