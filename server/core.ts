import type { Config } from '../config/options.ts';
import type { Element } from '../stanzas/element.ts';
import type { Stanza } from '../stanzas/stanza.ts';
import { StreamError } from '../stanzas/stream-error.ts';
import type { Storage } from '../storage/storage.ts';
import type { Clock } from './clock.ts';
import { oneProcess } from './cluster/placement.ts';
import type { Log } from './log.ts';
import { Counters } from './metrics/counters.ts';
import type { Module, ServiceClass } from './module.ts';
import { loadModules } from './module-loader.ts';
import { Acceptance } from './routing/acceptance.ts';
import { BindFeatures } from './routing/bind-features.ts';
import { Components } from './routing/components.ts';
import { OnBehalf } from './routing/on-behalf.ts';
import { PendingRequests } from './routing/pending-requests.ts';
import { ArchiveIds } from './routing/archive-ids.ts';
import { IqTable } from './routing/iq-table.ts';
import { MessageDelivery } from './routing/message-delivery.ts';
import { Pipeline } from './routing/pipeline.ts';
import { Recorder } from './routing/recorder.ts';
import { Repeats } from './routing/repeats.ts';
import { ReturnedErrors } from './routing/returned-errors.ts';
import { ResumableSessions } from './routing/resumable-sessions.ts';
import { Router } from './routing/router.ts';
import { Sequencer } from './routing/sequencer.ts';
import { restoreSessions, saveSessions } from './routing/session-saving.ts';
import { SessionTable } from './routing/session-table.ts';
import { Slot, SlotNumbers } from './routing/slot.ts';
import { Absences } from './services/absences.ts';
import { Features } from './services/features.ts';
import { PresenceWatch } from './services/presence-watch.ts';
import { Privileges } from './services/privileges.ts';
import { RosterPushes } from './services/roster-pushes.ts';
import { Rosters } from './services/rosters.ts';

export interface CoreOptions {
  readonly config: Config;
  readonly storage: Storage;
  readonly clock: Clock;
  readonly log: Log;
  readonly modules: readonly Module[];
  /** An id nobody can guess. */
  readonly randomId: () => string;
  /** A secret of the server, of ARCHIVE_ID_KEY_BYTES. */
  readonly archiveIdKey: Uint8Array;
}

/** The server without its sockets: routing, services and modules, tied together. */
export interface Core {
  readonly table: SessionTable;
  readonly router: Router;
  readonly pipeline: Pipeline;
  readonly iq: IqTable;
  readonly acceptance: Acceptance;
  readonly components: Components;
  readonly resumable: ResumableSessions;
  readonly streamFeatures: readonly (() => Element)[];
  readonly bindFeatures: BindFeatures;
  /** Up to which position a session's client takes from the archive what is in it (XEP-0386). */
  readonly archiveMark: Slot<number>;
  readonly counters: Counters;
  /** The client installation that bound a session, where it said which. */
  readonly sessionClient: Slot<string>;
  /** Keeps the resumable sessions for the next run; resolves with how many. Nothing may reach them any more. */
  saveSessions(): Promise<number>;
  /** Makes the saved sessions again, before the first connection is accepted; resolves with how many. */
  restoreSessions(): Promise<number>;
}

/** Builds the routing core over a store and sets the modules up in it. */
export function createCore({ config, storage, clock, log, modules, randomId, archiveIdKey }: CoreOptions): Core {
  const counters = new Counters(clock);
  const table = new SessionTable({ storage, placement: oneProcess, clock, log });
  const pipeline = new Pipeline();
  const iq = new IqTable();
  const domains = new Set(config.domains);
  const isLocalDomain = (domain: string): boolean => domains.has(domain);
  const refuse = (stanza: Stanza, error: unknown): void => router.answer(stanza, error);
  const history = config.messages.history === 'on';
  const archiveIds = new ArchiveIds(archiveIdKey);
  const recorder = new Recorder({
    commit: storage.commit,
    messageLog: storage.log,
    sequencer: new Sequencer(storage.sequences, storage.commit),
    pipeline,
    archiveIds,
    clock,
    counters,
    history,
    isLocalDomain,
  });
  const { sendKeys, commit } = storage;
  const repeats = new Repeats({ sendKeys, commit, clock, keepMs: config.messages.repeatHours * 3_600_000 });
  const accountSlots = new SlotNumbers();
  const sessionSlots = new SlotNumbers();
  const asNumber = { name: 'archive-mark', save: String, restore: Number };
  const archiveMark = new Slot<number>(sessionSlots, () => 0, asNumber);
  const delivery = new MessageDelivery({ pipeline, archiveIds, archiveMark, clock, log, counters, refuse });
  const { accounts } = storage;
  const returned = new ReturnedErrors({
    recorder,
    repeats,
    delivery,
    table,
    accounts,
    commit,
    counters,
    isLocalDomain,
    answer: refuse,
  });
  const acceptance = new Acceptance({
    recorder,
    repeats,
    delivery,
    log,
    counters,
    history,
    maxOfflineMessages: config.offline.maxMessages,
    maxOfflineBytes: config.offline.maxBytes,
    maxReturnedMessages: config.s2s.maxQueueStanzas,
    maxReturnedBytes: config.s2s.maxQueueBytes,
    currentAccount: (account) => (table.peek(account.jid.bare) === account ? account : table.account(account.jid)),
    isLocalDomain,
    refuse,
  });
  const pending = new PendingRequests({ clock, randomId });
  const router: Router = new Router({
    domains,
    table,
    pipeline,
    iq,
    acceptance,
    returned,
    pending,
    log,
    counters,
    overflowError: () => {
      counters.limits.add('limits.max_queue');
      return new StreamError('resource-constraint', 'Too much waits for this client');
    },
  });
  const components = new Components({
    external: config.components.external,
    domains: config.domains,
    router,
    clock,
  });
  const features = new Features();
  const streamFeatures: (() => Element)[] = [];
  const bindFeatures = new BindFeatures();
  const asText = { name: 'client', save: (client: string) => client, restore: (text: string) => text };
  const sessionClient = new Slot<string>(sessionSlots, () => '', asText);
  const services = new Map<ServiceClass, object>([
    [Features, features],
    [Components, components],
    [PendingRequests, pending],
    [OnBehalf, new OnBehalf({ table, router, pending, limits: config.limits, clock })],
    [PresenceWatch, new PresenceWatch(table)],
    [Privileges, new Privileges(components)],
    [Absences, new Absences({ storage, accountSlots, clock, log })],
    [Rosters, new Rosters({ storage, accountSlots, clock })],
    [RosterPushes, new RosterPushes(sessionSlots)],
  ]);
  loadModules(modules, {
    config,
    clock,
    log,
    counters,
    storage,
    iq,
    pipeline,
    router,
    acceptance,
    archiveIds,
    table,
    features,
    streamFeatures,
    bindFeatures,
    services,
    sessionSlots,
    accountSlots,
  });
  const resumable = new ResumableSessions({
    table,
    store: storage.resumptions,
    commit: storage.commit,
    clock,
    log,
    maxMs: config.c2s.resumptionSeconds * 1000,
    randomId,
  });
  // First everybody hears that the session is over, then its messages go to whoever is left.
  table.onEnd((session) => {
    if (session.isClosedInOrder) {
      // Where it fails a count that begins anew is at worst taken for a repeated message, which has the same content.
      repeats.closedInOrder(session).catch((error: unknown) => {
        log.warn({ session: session.jid.full, error: String(error) }, 'the end of a stream is not recorded');
      });
    }
    for (const handler of pipeline.sessionEnded) handler(session);
    acceptance.takeBack(session);
  });
  pipeline.sessionResumed.push(function deliverWaiting(session) {
    acceptance.flush(session.account);
  });
  const saving = { storage, table, resumable, sessionSlots, limits: config.limits, clock, log };
  return {
    table,
    router,
    pipeline,
    iq,
    acceptance,
    components,
    resumable,
    streamFeatures,
    bindFeatures,
    archiveMark,
    counters,
    sessionClient,
    saveSessions: () => saveSessions(saving),
    restoreSessions: () => restoreSessions(saving),
  };
}
