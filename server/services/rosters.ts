import { StanzaError } from '../../stanzas/stanza-error.ts';
import type { RosterItem } from '../../storage/rosters.ts';
import type { Storage } from '../../storage/storage.ts';
import type { Clock } from '../clock.ts';
import type { Account } from '../routing/account.ts';
import { Slot, type SlotNumbers } from '../routing/slot.ts';
import { Roster, type RosterChange } from './roster.ts';

export interface RostersOptions {
  readonly storage: Pick<Storage, 'rosters'>;
  readonly accountSlots: SlotNumbers;
  readonly clock: Pick<Clock, 'now'>;
}

/** The rosters of the accounts in memory (RFC 6121 2), shared by the modules that read and change them. */
export class Rosters {
  readonly #options: RostersOptions;
  readonly #rosters: Slot<Roster>;

  constructor(options: RostersOptions) {
    this.#options = options;
    this.#rosters = new Slot(options.accountSlots, () => new Roster());
  }

  /** Reads the roster of an account that is being loaded. Rejects with StoreError. */
  async load(account: Account): Promise<void> {
    this.of(account).load(await this.#options.storage.rosters.load(account.jid.bare));
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
   * roster version the change made when it is committed; rejects with StanzaError, and the change is taken back, when it
   * cannot be.
   */
  async change(account: Account, changed: readonly RosterItem[], removed: readonly string[] = []): Promise<number> {
    const { storage, clock } = this.#options;
    const roster = this.of(account);
    const change = roster.apply(changed, removed, clock.now());
    const saving = storage.rosters.save(account.jid.bare, change.version, changed, removed);
    const settled = settle(roster, change, saving);
    change.settled = settled.catch(() => undefined);
    await settled;
    return change.version;
  }
}

async function settle(roster: Roster, change: RosterChange, saving: Promise<void>): Promise<void> {
  try {
    await saving;
  } catch (error) {
    roster.takeBack(change);
    const cause = error instanceof Error ? error.message : String(error);
    throw new StanzaError('resource-constraint', `The roster cannot be stored: ${cause}`, 'wait');
  }
  roster.landed(change);
}
