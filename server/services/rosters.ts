import { StanzaError } from '../../stanzas/stanza-error.ts';
import type { RosterItem } from '../../storage/rosters.ts';
import type { Storage } from '../../storage/storage.ts';
import type { Account } from '../routing/account.ts';
import { Slot, type SlotNumbers } from '../routing/slot.ts';

export interface RostersOptions {
  readonly storage: Pick<Storage, 'rosters'>;
  readonly accountSlots: SlotNumbers;
}

/** One account's roster in memory, as it will be when everything under way is committed. */
export class Roster {
  readonly #items = new Map<string, RosterItem>();
  #version = 0;
  #listed = 0;
  /** Changes that are not committed yet. */
  readonly #underWay = new Set<Promise<void>>();
  #reloading: Promise<void> | undefined;

  /** Grows with every change a client would see (RFC 6121 2.6). */
  get version(): number {
    return this.#version;
  }

  /** How many contacts the roster shows. */
  get size(): number {
    return this.#listed;
  }

  /** How many requests it remembers of people who are not in the roster (RFC 6121 3.1.3). */
  get strangers(): number {
    return this.#items.size - this.#listed;
  }

  item(bareJid: string): RosterItem | undefined {
    return this.#items.get(bareJid);
  }

  /** All items, among them those that only remember a stranger's request (`isListed` is false). */
  items(): IterableIterator<RosterItem> {
    return this.#items.values();
  }

  /** For Rosters: puts and removes items; returns the version. */
  apply(changed: readonly RosterItem[], removed: readonly string[]): number {
    let isSeen = false;
    for (const jid of removed) {
      const before = this.#items.get(jid);
      if (before?.isListed === true) this.#listed--;
      isSeen ||= before?.isListed === true;
      this.#items.delete(jid);
    }
    for (const item of changed) {
      const before = this.#items.get(item.jid);
      if (before?.isListed === true) this.#listed--;
      if (item.isListed) this.#listed++;
      isSeen ||= item.isListed;
      this.#items.set(item.jid, item);
    }
    // RFC 6121 2.6.3, "roster modification": what no client is told of makes no version
    if (isSeen) this.#version++;
    return this.#version;
  }

  /** For Rosters: becomes what the store has. The version never goes back, since a client may have seen it. */
  replace(items: readonly RosterItem[], version: number): void {
    this.#items.clear();
    this.#listed = 0;
    for (const stored of items) {
      // Who has any subscription is in the roster, whatever a record of an earlier version says.
      const isListed = stored.isListed || stored.subscription !== 'none' || stored.ask || stored.approved;
      this.#items.set(stored.jid, isListed === stored.isListed ? stored : { ...stored, isListed });
      if (isListed) this.#listed++;
    }
    this.#version = Math.max(version, this.#version);
  }

  /** For Rosters: remembers a commit until it has settled. */
  track(commit: Promise<void>): void {
    const settled = commit.then(
      () => undefined,
      () => undefined,
    );
    this.#underWay.add(settled);
    void settled.then(() => this.#underWay.delete(settled));
  }

  /** For Rosters: reads again once nothing is under way that reading could miss; one reading for all who ask. */
  reload(read: () => Promise<void>): Promise<void> {
    return (this.#reloading ??= this.#readWhenQuiet(read).finally(() => (this.#reloading = undefined)));
  }

  async #readWhenQuiet(read: () => Promise<void>): Promise<void> {
    do {
      await Promise.all(this.#underWay);
      await read();
    } while (this.#underWay.size > 0);
  }
}

/** The rosters of the accounts in memory (RFC 6121 2), shared by the modules that read and change them. */
export class Rosters {
  readonly #storage: Pick<Storage, 'rosters'>;
  readonly #rosters: Slot<Roster>;

  constructor({ storage, accountSlots }: RostersOptions) {
    this.#storage = storage;
    this.#rosters = new Slot(accountSlots, () => new Roster());
  }

  /** Reads an account's roster into memory. Rejects with StoreError. */
  async load(account: Account): Promise<void> {
    const { version, items } = await this.#storage.rosters.load(account.jid.bare);
    this.of(account).replace(items, version);
  }

  of(account: Account): Roster {
    return this.#rosters.of(account);
  }

  /** Whether the contact receives the account's presence: a subscription of `from` or `both`. */
  hasSubscriptionFrom(account: Account, bareJid: string): boolean {
    const subscription = this.of(account).item(bareJid)?.subscription;
    return subscription === 'from' || subscription === 'both';
  }

  /** Whether the account lets this bare JID see its presence: a subscriber, or the owner (RFC 6121 4.2.2). */
  sharesPresenceWith(account: Account, bareJid: string): boolean {
    return bareJid === account.jid.bare || this.hasSubscriptionFrom(account, bareJid);
  }

  /**
   * Puts and removes items; `removed` are bare JIDs. Memory changes at once, in the order of the calls. Resolves with the
   * roster version the change made when it is committed; rejects with StanzaError, and memory as the store has it, when
   * it cannot be.
   */
  async change(account: Account, changed: readonly RosterItem[], removed: readonly string[] = []): Promise<number> {
    const roster = this.of(account);
    const version = roster.apply(changed, removed);
    const commit = this.#storage.rosters.save(account.jid.bare, version, changed, removed);
    roster.track(commit);
    try {
      await commit;
    } catch (error) {
      await roster.reload(() => this.load(account)).catch(() => undefined); // a store that fails to read fails to write
      const cause = error instanceof Error ? error.message : String(error);
      throw new StanzaError('resource-constraint', `The roster cannot be stored: ${cause}`, 'wait');
    }
    return version;
  }
}
