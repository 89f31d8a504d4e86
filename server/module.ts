import type { Config } from '../config/options.ts';
import type { Element } from '../stanzas/element.ts';
import type { Stanza } from '../stanzas/stanza.ts';
import type { Storage } from '../storage/storage.ts';
import type { Clock } from './clock.ts';
import type { Log } from './log.ts';
import type { Counters } from './metrics/counters.ts';
import type { Account } from './routing/account.ts';
import type { BindFeature, BindMetadata } from './routing/bind-features.ts';
import type { AccountIqRequest, Delegate, IqHandler, IqRequest, SelfIqRequest } from './routing/iq-table.ts';
import type { ArchiveIds } from './routing/archive-ids.ts';
import type {
  Amendment,
  ArchivedHandler,
  ArchivingPolicy,
  Copier,
  PresenceHandler,
  ReceivedPresence,
  Screen,
  SentPresence,
} from './routing/pipeline.ts';
import type { Session } from './routing/session.ts';
import type { Slot, SlotSaving } from './routing/slot.ts';
import type { DiscoTarget, Identity } from './services/features.ts';

/** What a module implements, for docs/xeps.md and for people. */
export type Implements =
  | { readonly xep: number; readonly version: string; readonly note?: string }
  | { readonly rfc: number; readonly section: string };

/** A service others may need: found by its class. */
export type ServiceClass<Service = object> = abstract new (...parameters: never[]) => Service;

/** The services a module asks for, by the name under which it wants them. */
export type Needs = Readonly<Record<string, ServiceClass>>;

export type Provided<Wanted extends Needs> = { readonly [Name in keyof Wanted]: InstanceType<Wanted[Name]> };

/** Where handlers for one kind of IQ are entered. Returning is answering, throwing StanzaError refuses. */
export interface IqRegistrar<Request> {
  readonly get: (namespace: string, name: string, handler: IqHandler<Request>) => void;
  readonly set: (namespace: string, name: string, handler: IqHandler<Request>) => void;
}

/** Everything a module may do. What is not here a module cannot do. */
export interface ModuleApi {
  readonly config: Config;
  readonly clock: Clock;
  readonly log: Log;
  /** What the operator's metrics are made of. */
  readonly counters: Counters;
  readonly storage: Storage;
  readonly iq: {
    /** Requests to one of our domains. */
    readonly server: IqRegistrar<IqRequest>;
    /** Requests to an account's bare JID, by anybody. */
    readonly account: IqRegistrar<AccountIqRequest>;
    /** Requests to an account's bare JID, or to nobody, by its owner. Strangers never reach these. */
    readonly self: IqRegistrar<SelfIqRequest>;
    /** Gives requests to somebody who answers them in our place (XEP-0355). One module. */
    readonly delegate: (delegate: Delegate) => void;
  };
  /** Announces a feature in service discovery. */
  readonly feature: (namespace: string, targets: readonly DiscoTarget[]) => void;
  readonly identity: (identity: Identity, targets: readonly DiscoTarget[]) => void;
  /** A data form in the server's disco#info (XEP-0128). */
  readonly discoExtension: (form: () => Element | undefined) => void;
  /**
   * Announces a feature on authenticated streams before a resource is bound (RFC 6120 4.3.2); one that may change is asked
   * for each time, and the same element means that it has not.
   */
  readonly streamFeature: (feature: Element | (() => Element)) => void;
  /** Lets a client switch something on while it binds (XEP-0386): `<enable xmlns='urn:xmpp:carbons:2'/>`, for instance. */
  readonly bindFeature: (feature: BindFeature) => void;
  /** Describes what a client that binds finds in its account (XEP-0386), for instance the ends of its archive. */
  readonly bindMetadata: (metadata: BindMetadata) => void;
  readonly screen: {
    readonly sent: (screen: Screen<Session>) => void;
    readonly received: (screen: Screen<Account>) => void;
  };
  readonly amend: {
    readonly sent: (amendment: Amendment<Session>) => void;
    readonly received: (amendment: Amendment<Account>) => void;
  };
  /** Sends copies of messages to further sessions of their account. */
  readonly copy: {
    /** Of what one of its sessions sent. */
    readonly sent: (copier: Copier) => void;
    /** Of what it received. */
    readonly received: (copier: Copier) => void;
  };
  readonly archive: {
    /** May keep what an account exchanges with a contact out of its archive; one refusal suffices. */
    readonly policy: (policy: ArchivingPolicy) => void;
    /** Hears of each message in an account's archive, after the commit. */
    readonly archived: (handler: ArchivedHandler) => void;
    /** Makes and reads the ids of archived messages. */
    readonly ids: ArchiveIds;
  };
  readonly presence: {
    /** Takes presence of this kind that a session sends. One module per kind. */
    readonly sent: (kind: SentPresence, handler: PresenceHandler<Session>) => void;
    /** Takes presence of this kind that reaches an account. One module per kind. */
    readonly received: (kind: ReceivedPresence, handler: PresenceHandler<Account>) => void;
  };
  /** Takes first-level elements of this namespace that are no stanzas. One module per namespace. */
  readonly elementSent: (namespace: string, handler: (session: Session, name: string) => void) => void;
  readonly on: {
    /** A resource was bound; its client has not been told yet. */
    readonly sessionBound: (handler: (session: Session) => void) => void;
    /** A session has a new stream (XEP-0198 5); what it had missed is on its way. */
    readonly sessionResumed: (handler: (session: Session) => void) => void;
    /** A session is over; it is no longer among its account's sessions. */
    readonly sessionEnded: (handler: (session: Session) => void) => void;
    /** An account is read into memory, before any stanza reaches it. */
    readonly accountLoaded: (loader: (account: Account) => Promise<void>) => void;
  };
  /** Routes a stanza with both addresses set, as if its sender had sent it. Order is kept per pair of addresses. */
  readonly route: (stanza: Stanza) => void;
  /** Delivers to one session of a local account, in its place among what the account receives. */
  readonly deliverTo: (session: Session, stanza: Stanza) => void;
  /** Delivers what waits in the account's offline queue to whoever may have it now. */
  readonly flushPending: (account: Account) => void;
  /** Whether a domain is one of ours. */
  readonly isLocalDomain: (domain: string) => boolean;
  /**
   * A place for this module's state on every session, kept as long as the session; over a restart as well where it says
   * how.
   */
  readonly sessionSlot: <Value>(initial: () => Value, saving?: SlotSaving<Value>) => Slot<Value>;
  /** The same on every account in memory. */
  readonly accountSlot: <Value>(initial: () => Value) => Slot<Value>;
}

export interface ModuleDefinition<Wanted extends Needs = Needs> {
  readonly name: string;
  readonly implements: readonly Implements[];
  readonly needs?: Wanted;
  /** Runs once, before the first connection is accepted. */
  setup(api: ModuleApi, services: Provided<Wanted>): void;
}

/** A module as the loader sees it, whatever services it needs. */
export interface Module {
  readonly name: string;
  readonly implements: readonly Implements[];
  readonly needs: Needs;
  setup(api: ModuleApi, services: Readonly<Record<string, object>>): void;
}

/** Declares a module. See server/modules/ping.ts for the smallest one. */
export function defineModule<const Wanted extends Needs>(definition: ModuleDefinition<Wanted>): Module {
  return {
    name: definition.name,
    implements: definition.implements,
    needs: definition.needs ?? {},
    setup: (api, services) => definition.setup(api, services as Provided<Wanted>),
  };
}
