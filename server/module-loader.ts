import type { Config } from '../config/options.ts';
import type { Element } from '../stanzas/element.ts';
import type { Storage } from '../storage/storage.ts';
import type { Clock } from './clock.ts';
import type { Log } from './log.ts';
import type { Counters } from './metrics/counters.ts';
import type { IqRegistrar, Module, ModuleApi, ServiceClass } from './module.ts';
import type { Acceptance } from './routing/acceptance.ts';
import type { BindFeatures } from './routing/bind-features.ts';
import type { ArchiveIds } from './routing/archive-ids.ts';
import type { IqRequests, IqTable, IqTarget } from './routing/iq-table.ts';
import type { Pipeline } from './routing/pipeline.ts';
import type { Router } from './routing/router.ts';
import type { SessionTable } from './routing/session-table.ts';
import type { SlotNumbers } from './routing/slot.ts';
import { Slot } from './routing/slot.ts';
import type { Features } from './services/features.ts';

/** What modules are loaded into. */
export interface ModuleHost {
  readonly config: Config;
  readonly clock: Clock;
  readonly log: Log;
  readonly counters: Counters;
  readonly storage: Storage;
  readonly iq: IqTable;
  readonly pipeline: Pipeline;
  readonly router: Router;
  readonly acceptance: Acceptance;
  readonly archiveIds: ArchiveIds;
  readonly table: SessionTable;
  readonly features: Features;
  /** Features of authenticated streams, in the order of the modules. */
  readonly streamFeatures: (() => Element)[];
  readonly bindFeatures: BindFeatures;
  readonly services: ReadonlyMap<ServiceClass, object>;
  readonly sessionSlots: SlotNumbers;
  readonly accountSlots: SlotNumbers;
}

/**
 * Sets the modules up in the order of the list.
 * @throws Error that names the module, for a service nobody provides, a name used twice or a handler entered twice
 */
export function loadModules(modules: readonly Module[], host: ModuleHost): void {
  const names = new Set<string>();
  for (const module of modules) {
    if (names.has(module.name)) throw new Error(`two modules are called ${module.name}`);
    names.add(module.name);
    const services: Record<string, object> = {};
    for (const [name, wanted] of Object.entries(module.needs)) {
      const service = host.services.get(wanted);
      if (service === undefined) throw new Error(`module ${module.name} needs ${wanted.name}, which nobody provides`);
      services[name] = service;
    }
    try {
      module.setup(apiFor(host), services);
    } catch (error) {
      throw new Error(`module ${module.name} cannot be set up: ${String(error)}`, { cause: error });
    }
  }
}

function apiFor(host: ModuleHost): ModuleApi {
  const { pipeline, router, features } = host;
  return {
    config: host.config,
    clock: host.clock,
    log: host.log,
    counters: host.counters,
    storage: host.storage,
    iq: {
      server: registrar(host.iq, 'server'),
      account: registrar(host.iq, 'account'),
      self: registrar(host.iq, 'self'),
      delegate: (delegate) => host.iq.delegate(delegate),
    },
    feature: (namespace, targets) => features.addFeature(namespace, targets),
    identity: (identity, targets) => features.addIdentity(identity, targets),
    discoExtension: (form) => features.addExtension(form),
    streamFeature: (feature) => void host.streamFeatures.push(typeof feature === 'function' ? feature : () => feature),
    bindFeature: (feature) => host.bindFeatures.add(feature),
    bindMetadata: (metadata) => host.bindFeatures.addMetadata(metadata),
    screen: {
      sent: (screen) => void pipeline.screenSent.push(screen),
      received: (screen) => void pipeline.screenReceived.push(screen),
    },
    amend: {
      sent: (amendment) => void pipeline.amendSent.push(amendment),
      received: (amendment) => void pipeline.amendReceived.push(amendment),
    },
    copy: {
      sent: (copier) => void pipeline.copySent.push(copier),
      received: (copier) => void pipeline.copyReceived.push(copier),
    },
    archive: {
      policy: (policy) => void pipeline.archiving.push(policy),
      archived: (handler) => void pipeline.archived.push(handler),
      ids: host.archiveIds,
    },
    presence: {
      sent: (kind, handler) => addOnce(pipeline.presenceSent, kind, handler),
      received: (kind, handler) => addOnce(pipeline.presenceReceived, kind, handler),
    },
    elementSent: (namespace, handler) => addOnce(pipeline.elementsSent, namespace, handler),
    on: {
      sessionBound: (handler) => void pipeline.sessionBound.push(handler),
      sessionResumed: (handler) => void pipeline.sessionResumed.push(handler),
      sessionEnded: (handler) => void pipeline.sessionEnded.push(handler),
      accountLoaded: (loader) => host.table.onLoad(loader),
    },
    route: (stanza) => router.route(stanza),
    deliverTo: (session, stanza) => router.deliverTo(session, stanza),
    flushPending: (account) => host.acceptance.flush(account),
    isLocalDomain: (domain) => router.isLocalDomain(domain),
    sessionSlot: (initial, saving) => new Slot(host.sessionSlots, initial, saving),
    accountSlot: (initial) => new Slot(host.accountSlots, initial),
  };
}

function registrar<Target extends IqTarget>(table: IqTable, target: Target): IqRegistrar<IqRequests[Target]> {
  return {
    get: (namespace, name, handler) => table.add(target, 'get', namespace, name, handler),
    set: (namespace, name, handler) => table.add(target, 'set', namespace, name, handler),
  };
}

function addOnce<Kind, Handler>(handlers: Map<Kind, Handler>, kind: Kind, handler: Handler): void {
  if (handlers.has(kind)) throw new Error(`two handlers for ${String(kind)}`);
  handlers.set(kind, handler);
}
