import type { Jid } from '../../stanzas/jid.ts';
import type { Stanza } from '../../stanzas/stanza.ts';
import type { LogEntry } from '../../storage/message-log.ts';
import { Deliveries, type Delivery } from './deliveries.ts';
import { Mailbox, type Work } from './mailbox.ts';
import { PendingMessages, type PendingStore } from './pending-messages.ts';
import type { Receipt } from './receipt.ts';
import type { Returned } from './returned-errors.ts';
import type { Session } from './session.ts';

/** A stanza on its way to an account, and where to say what became of it. */
export interface Inbound {
  readonly stanza: Stanza;
  /** Undefined where nobody waits for an answer: the server's own stanzas. */
  readonly receipt: Receipt | undefined;
  /** Where it comes from a session of ours: how it left there. */
  readonly sent?: SentStanza | undefined;
  /** Where it is the account's own, which was accepted and comes back (returned-errors.ts). */
  readonly returned?: Returned | undefined;
}

/** A stanza as a session sent it, before the recipient's side amended it. */
export interface SentStanza {
  readonly session: Session;
  readonly stanza: Stanza;
}

/** A stanza on its way out of one of the account's sessions. */
export interface Outbound extends Inbound {
  readonly session: Session;
}

/** Stanzas of one account that wait in memory behind a flush or the disk. */
const MAX_HELD = 500;
/** Senders whose messages wait that are known by name; with more, everybody is taken for one. */
const MAX_LATE = 200;

/** What an account calls for; implemented by the routing core. */
export interface AccountEvents {
  readonly sent: Work<Outbound>;
  receive(account: Account, item: Inbound): void | Promise<void>;
  overflowed(session: Session): void;
}

/** What accounts need of the store. One for all: a closure for each would cost an idle account 200 bytes. */
export interface AccountStore {
  /** Finds out whether the account exists, and all it needs to be used. Never rejects: see `state`. */
  load(account: Account): Promise<void>;
  /** Entries of the account's log behind `after`, in order. */
  page(account: Account, after: number, limit: number): Promise<readonly LogEntry[]>;
  /** The account's cursor has moved; it should be saved some time. */
  cursorMoved(account: Account): void;
}

export type AccountState =
  | 'loading' // whether it exists is still being read
  | 'absent' // no such user
  | 'disabled' // answered for as if absent; only who sees its presence is told that it is away
  | 'unreadable' // the store does not tell at the moment
  | 'present';

/**
 * An account: owner of sessions, roster, log and offline queue. Exists in memory while somebody needs it. Its mailboxes
 * keep the order of RFC 6120 10.1: *sent* hands over and never waits for a delivery, so that two accounts that write to
 * each other cannot wait for each other.
 */
export class Account implements PendingStore {
  readonly jid: Jid;
  state: AccountState = 'loading';
  /** Resolves when `state` is known. */
  loaded: Promise<void>;
  sessions: readonly Session[] = [];
  readonly sent: Mailbox<Outbound>;
  readonly received: Mailbox<Inbound, Account>;
  readonly pending: PendingMessages;
  slots: unknown[] | undefined;
  /** Whether the offline queue is being flushed: live messages wait behind it. */
  isFlushing = false;
  /** Messages it has sent whose record is not committed. */
  recordsUnderWay = 0;
  /** With whom it wrote last, and the key of that chat. */
  lastChat: { readonly contact: string; readonly key: string } | undefined;
  /** When it was last needed, counted in uses of all accounts: cheaper than the clock for each message. */
  lastUsed = 0;
  /** How many of the deliveries ahead are errors for messages of its own (returned-errors.ts). */
  returnsAhead = 0;
  readonly #deliveries = new Deliveries();
  #lateSenders: Set<string> | undefined;
  /** What its sessions send elsewhere, behind what of it waits for the disk; undefined until something had to wait. */
  departures: Deliveries | undefined;
  readonly #events: AccountEvents;
  readonly #store: AccountStore;

  constructor(jid: Jid, events: AccountEvents, store: AccountStore) {
    this.jid = jid;
    this.#events = events;
    this.#store = store;
    this.sent = new Mailbox(events.sent, undefined);
    this.received = new Mailbox<Inbound, Account>(receive, this);
    this.pending = new PendingMessages(this);
    this.loaded = store.load(this);
    void this.loaded.then(() => (this.loaded = LOADED));
  }

  // PendingStore

  page(after: number, limit: number): Promise<readonly LogEntry[]> {
    return this.#store.page(this, after, limit);
  }

  cursorMoved(): void {
    this.#store.cursorMoved(this);
  }

  /** A session of this account by its full JID. */
  session(full: string): Session | undefined {
    return this.sessions.find(({ jid }) => jid.full === full);
  }

  addSession(session: Session): void {
    // Not by spreading, which makes room for 17: a hundred bytes for each account with one session.
    this.sessions = this.sessions.concat(session);
  }

  /** Returns false if it was no session of this account (any more). */
  removeSession(session: Session): boolean {
    const rest = this.sessions.filter((other) => other !== session);
    const wasHere = rest.length < this.sessions.length;
    this.sessions = rest;
    return wasHere;
  }

  overflowed(session: Session): void {
    this.#events.overflowed(session);
  }

  /** Delivers in order: at once if nothing is ahead and the delivery is ready, otherwise when its turn comes. */
  enqueue(delivery: Delivery): void {
    this.#deliveries.put(delivery);
  }

  /** Whether no more can be held: strangers decide how much comes. */
  get isHoldingEnough(): boolean {
    return this.#deliveries.ahead >= MAX_HELD;
  }

  /** A message of this sender waits in the log, so that what the same sender sends later must not overtake it. */
  rememberLate(sender: string): void {
    const late = (this.#lateSenders ??= new Set());
    if (late.size < MAX_LATE) late.add(sender);
  }

  /** Whether a stanza of this sender must keep its place behind a flush (RFC 6120 10.1). */
  isLate(sender: string): boolean {
    const late = this.#lateSenders;
    return this.isFlushing && late !== undefined && (late.has(sender) || late.size >= MAX_LATE);
  }

  /** The flush is over: what was held behind it goes on. */
  endFlush(): void {
    this.isFlushing = false;
    if (this.pending.waitingCount === 0) this.#lateSenders = undefined;
    this.deliverReady();
  }

  /** How many stanzas one put now would have to wait for. */
  get deliveriesAhead(): number {
    return this.#deliveries.ahead;
  }

  /** Something has become ready. */
  deliverReady(): void {
    this.#deliveries.deliverReady();
  }

  /** Whether nothing would be lost if this object were forgotten and loaded again. */
  get isForgettable(): boolean {
    return (
      this.state !== 'loading' &&
      this.sessions.length === 0 &&
      this.received.isIdle &&
      this.sent.isIdle &&
      this.#deliveries.ahead === 0 &&
      (this.departures?.ahead ?? 0) === 0 &&
      this.recordsUnderWay === 0 &&
      !this.isFlushing &&
      this.pending.isSaved
    );
  }

  /** What comes to the account, in its turn; called by its mailbox. */
  receive(item: Inbound): void | Promise<void> {
    if (this.state !== 'loading') return this.#events.receive(this, item);
    return this.loaded.then(() => this.#events.receive(this, item));
  }
}

/** One for all that are loaded. */
const LOADED = Promise.resolve();

function receive(item: Inbound, account: Account): void | Promise<void> {
  return account.receive(item);
}
