import { Jid } from '../../stanzas/jid.ts';
import { shardOf } from '../../storage/keys.ts';
import type { Storage } from '../../storage/storage.ts';
import type { Clock } from '../clock.ts';
import type { Placement } from '../cluster/placement.ts';
import type { Log } from '../log.ts';
import { Account, type AccountEvents, type AccountStore } from './account.ts';
import type { Session } from './session.ts';

export interface SessionTableOptions {
  readonly storage: Storage;
  readonly placement: Placement;
  readonly clock: Clock;
  readonly log: Log;
  /** Accounts without sessions kept in memory. */
  readonly capacity?: number;
}

/** Prepares an account that is being loaded; rejecting makes the account unusable until it is asked for again. */
export type AccountLoader = (account: Account) => Promise<void>;

const SAVE_CURSORS_MS = 2000;
const FORGET_ABSENT_MS = 100;
const FORGET_UNUSED_MS = 1000;

/**
 * Resolves JIDs: bare ones to accounts, full ones to sessions. Accounts are loaded when they are first needed and
 * forgotten, least recently used first, when nobody needs them.
 */
export class SessionTable {
  readonly #accounts = new Map<string, Account>();
  readonly #options: SessionTableOptions;
  readonly #capacity: number;
  readonly #loaders: AccountLoader[] = [];
  readonly #endHandlers: ((session: Session) => void)[] = [];
  readonly #moved = new Set<Account>();
  #events: AccountEvents | undefined;
  /** One for all accounts. */
  readonly #accountStore: AccountStore = {
    load: (account) => this.#load(account),
    page: ({ jid }, after, limit) => this.#options.storage.log.page(jid.bare, { after, limit }),
    cursorMoved: (account) => this.#cursorMoved(account),
  };
  #sessionCount = 0;
  #isSaveScheduled = false;
  #nextForgetting = -Infinity;
  #uses = 0;

  constructor(options: SessionTableOptions) {
    this.#options = options;
    this.#capacity = options.capacity ?? 10_000;
  }

  /** The routing core is built on the table and then tied to it. */
  setEvents(events: AccountEvents): void {
    this.#events = events;
  }

  /** Runs for every account that is loaded and exists, before anything reaches it. */
  onLoad(loader: AccountLoader): void {
    this.#loaders.push(loader);
  }

  get sessionCount(): number {
    return this.#sessionCount;
  }

  *sessions(): IterableIterator<Session> {
    for (const account of this.#accounts.values()) yield* account.sessions;
  }

  /** The account of a bare JID, perhaps still loading, perhaps absent. */
  account(bare: Jid): Account {
    const existing = this.#accounts.get(bare.bare);
    if (existing !== undefined) {
      existing.lastUsed = ++this.#uses;
      return existing;
    }
    return this.#admit(bare.bare);
  }

  /** The account if it is in memory. */
  peek(bare: string): Account | undefined {
    return this.#accounts.get(bare);
  }

  session(full: Jid): Session | undefined {
    return this.#accounts.get(full.bare)?.session(full.full);
  }

  add(session: Session): void {
    session.account.addSession(session);
    this.#sessionCount++;
  }

  /** Ends a session, once: it leaves its account, then whoever cares is told, in order. */
  end(session: Session): void {
    if (!session.account.removeSession(session)) return;
    session.isOver = true;
    this.#sessionCount--;
    for (const handler of this.#endHandlers) {
      try {
        handler(session);
      } catch (error) {
        // The others must hear of it all the same: one of them gives back what the session was not able to deliver.
        const stack = error instanceof Error ? error.stack : String(error);
        this.#options.log.error({ session: session.jid.full, error: stack }, 'ending a session failed in part');
      }
    }
  }

  onEnd(handler: (session: Session) => void): void {
    this.#endHandlers.push(handler);
  }

  /**
   * The account is disabled or removed: from now on it is answered for as if it did not exist. It is forgotten once
   * nothing of it is on its way to the store; until then a second object for it could use a log position twice.
   * @param endSession ends one of its sessions, among them any that was bound while this waited
   */
  async retire(bare: string, endSession: (session: Session) => void): Promise<void> {
    const account = this.#accounts.get(bare);
    if (account === undefined) return;
    await account.loaded;
    account.state = 'disabled'; // what becomes of it is read again by whoever asks next
    for (const session of account.sessions) endSession(session);
    await this.#options.storage.commit.flush();
    await this.saveCursors();
    this.#forgetAbsent(account);
  }

  /** Saves every cursor that has moved. */
  async saveCursors(): Promise<void> {
    const { storage } = this.#options;
    const moved = [...this.#moved];
    this.#moved.clear();
    const saved = moved.map(async (account) => {
      const { cursor, archivedCursor, done } = account.pending;
      const owner = account.jid.bare;
      // What is archived stays for XEP-0313; the rest has no reader any more.
      await storage.commit.write([
        ...storage.log.cursorWrites(owner, cursor, archivedCursor),
        ...storage.log.deleteWrites(owner, done),
      ]);
      account.pending.cursorSaved({ cursor, archivedCursor }, done);
    });
    for (const [index, result] of (await Promise.allSettled(saved)).entries()) {
      if (result.status === 'fulfilled') continue;
      const error = String(result.reason);
      this.#options.log.warn({ error }, 'delivered messages are not yet removed from the store');
      this.#cursorMoved(moved[index]!); // tried again
    }
  }

  #admit(bare: string): Account {
    const events = this.#events;
    if (events === undefined) throw new Error('the session table is used before the routing core exists');
    if (!this.#options.placement.ownsShard(shardOf(bare))) throw new Error('an account of another process');
    if (this.#accounts.size >= this.#capacity) this.#forgetUnused();
    // A bare JID cut from a full one would keep the resourcepart, which a stranger may choose, for as long as itself.
    const account = new Account(Jid.parse(bare), events, this.#accountStore);
    account.lastUsed = ++this.#uses;
    this.#accounts.set(account.jid.bare, account);
    return account;
  }

  async #load(account: Account): Promise<void> {
    // A microtask later, so that the constructor has returned.
    await Promise.resolve();
    const { storage, log } = this.#options;
    const bare = account.jid.bare;
    try {
      const record = await storage.accounts.get(bare);
      if (record === undefined) {
        account.state = 'absent';
      } else {
        const cursors = await storage.log.cursors(bare);
        const usage = await storage.log.pendingUsage(bare, cursors);
        account.pending.load({ ...usage, ...cursors });
        await Promise.all(this.#loaders.map((load) => load(account)));
        account.state = record.disabled ? 'disabled' : 'present';
      }
    } catch (error) {
      log.error({ account: bare, error: String(error) }, 'an account cannot be read from the store');
      account.state = 'unreadable';
    }
    // Who does not exist is not remembered: strangers may ask for any number of names.
    if (account.state !== 'present') setImmediate(() => this.#forgetAbsent(account));
  }

  #forgetAbsent(account: Account): void {
    if (this.#accounts.get(account.jid.bare) !== account) return;
    if (account.isForgettable) this.#accounts.delete(account.jid.bare);
    else this.#options.clock.schedule(FORGET_ABSENT_MS, () => this.#forgetAbsent(account));
  }

  #cursorMoved(account: Account): void {
    this.#moved.add(account);
    if (this.#isSaveScheduled) return;
    this.#isSaveScheduled = true;
    this.#options.clock.schedule(SAVE_CURSORS_MS, () => {
      this.#isSaveScheduled = false;
      void this.saveCursors();
    });
  }

  /** Makes room by a tenth. Accounts in use stay, however many they are: connections are limited elsewhere. */
  #forgetUnused(): void {
    const now = this.#options.clock.monotonic();
    if (now < this.#nextForgetting) return;
    // Where everybody is in use, looking again at once would find nothing either.
    this.#nextForgetting = now + FORGET_UNUSED_MS;
    const unused = [...this.#accounts.values()].filter((account) => account.isForgettable);
    unused.sort((one, other) => one.lastUsed - other.lastUsed);
    for (const account of unused.slice(0, Math.ceil(this.#capacity / 10))) this.#accounts.delete(account.jid.bare);
  }
}
