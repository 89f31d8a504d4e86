import { element, type Element } from '../../stanzas/element.ts';
import { Jid } from '../../stanzas/jid.ts';
import { NS } from '../../stanzas/namespaces.ts';
import { scanDocument } from '../../stanzas/scanner.ts';
import { Stanza } from '../../stanzas/stanza.ts';
import { StanzaError } from '../../stanzas/stanza-error.ts';
import type { RosterItem } from '../../storage/rosters.ts';
import type { Storage } from '../../storage/storage.ts';
import type { Account } from '../routing/account.ts';
import type { Session } from '../routing/session.ts';
import { Slot, type SlotNumbers } from '../routing/slot.ts';

/** What was stored is scanned again when it is read. */
const STORED_LIMITS = { maxBytes: 1024 * 1024, maxDepth: 2000, maxAttributes: 2000 };

/** A roster in memory. */
interface Roster {
  version: number;
  readonly items: Map<string, RosterItem>;
}

export interface RostersOptions {
  readonly storage: Pick<Storage, 'rosters'>;
  readonly accountSlots: SlotNumbers;
  readonly sessionSlots: SlotNumbers;
}

/** The rosters of the accounts in memory (RFC 6121 2), shared by the modules that read and change them. */
export class Rosters {
  readonly #storage: Pick<Storage, 'rosters'>;
  readonly #rosters: Slot<Roster>;
  /** Sessions that have asked for the roster and want to hear of changes (RFC 6121 2.2). */
  readonly #interested: Slot<{ isInterested: boolean }>;

  constructor({ storage, accountSlots, sessionSlots }: RostersOptions) {
    this.#storage = storage;
    this.#rosters = new Slot(accountSlots, () => ({ version: 0, items: new Map<string, RosterItem>() }));
    this.#interested = new Slot(sessionSlots, () => ({ isInterested: false }));
  }

  /** Reads an account's roster into memory. */
  async load(account: Account): Promise<void> {
    const { version, items } = await this.#storage.rosters.load(account.jid.bare);
    this.#rosters.set(account, { version, items: new Map(items.map((item) => [item.jid, item])) });
  }

  version(account: Account): number {
    return this.#rosters.of(account).version;
  }

  item(account: Account, jid: string): RosterItem | undefined {
    return this.#rosters.of(account).items.get(jid);
  }

  items(account: Account): IterableIterator<RosterItem> {
    return this.#rosters.of(account).items.values();
  }

  size(account: Account): number {
    return this.#rosters.of(account).items.size;
  }

  /** The contact receives the account's presence. */
  hasSubscriptionFrom(account: Account, contact: string): boolean {
    const subscription = this.item(account, contact)?.subscription;
    return subscription === 'from' || subscription === 'both';
  }

  becomeInterested(session: Session): void {
    this.#interested.of(session).isInterested = true;
  }

  isInterested(session: Session): boolean {
    return this.#interested.peek(session)?.isInterested === true;
  }

  /**
   * Replaces an item, or removes it. Memory changes at once, in the order of the calls; the promise resolves when the
   * change is committed. Rejects with StanzaError, and the roster as it was on disk, when it cannot be.
   */
  async save(account: Account, jid: string, item: RosterItem | undefined): Promise<void> {
    const roster = this.#rosters.of(account);
    roster.version++;
    if (item === undefined) roster.items.delete(jid);
    else roster.items.set(jid, item);
    try {
      const changed = item === undefined ? [] : [item];
      await this.#storage.rosters.save(account.jid.bare, roster.version, changed, item === undefined ? [jid] : []);
    } catch (error) {
      await this.load(account);
      const cause = error instanceof Error ? error.message : String(error);
      throw new StanzaError('resource-constraint', `The roster cannot be stored: ${cause}`, 'wait');
    }
  }

  /** The requests that wait for the user's answer, as they are shown at every login until there is one (RFC 6121 3.1.3). */
  waitingRequests(account: Account): Stanza[] {
    const requests: Stanza[] = [];
    for (const { jid, request } of this.items(account)) {
      if (request === undefined) continue;
      const frame = scanDocument(Buffer.from(request, 'latin1'), STORED_LIMITS);
      const header = { from: Jid.parse(jid), to: account.jid, id: frame.id, type: 'subscribe', lang: frame.lang };
      requests.push(Stanza.fromFrame('presence', frame, header));
    }
    return requests;
  }

  /** RFC 6121 2.1.6: tells every interested session of a change. `removed` is the JID of an item that is gone. */
  push(
    account: Account,
    change: RosterItem | { removed: string },
    deliver: (session: Session, push: Stanza) => void,
  ): void {
    const item = 'removed' in change ? removedElement(change.removed) : itemElement(change);
    const ver = String(this.version(account));
    const query = element('query', NS.ROSTER, { ver }, item);
    for (const session of account.sessions) {
      if (!this.isInterested(session)) continue;
      deliver(session, Stanza.create('iq', { to: session.jid, id: `push-${ver}`, type: 'set' }, [query]));
    }
  }
}

/** RFC 6121 2.1.2: an item as clients see it. */
export function itemElement(item: RosterItem): Element {
  const attributes = {
    jid: item.jid,
    name: item.name === '' ? undefined : item.name,
    subscription: item.subscription,
    ask: item.ask ? 'subscribe' : undefined,
    approved: item.approved ? 'true' : undefined,
  };
  return element('item', NS.ROSTER, attributes, ...item.groups.map((group) => element('group', NS.ROSTER, {}, group)));
}

/** Whether a client is shown the item: not one that only remembers a stranger's request (RFC 6121 3.1.3). */
export function isVisible({ isListed, subscription, ask, approved }: RosterItem): boolean {
  return isListed || subscription !== 'none' || ask || approved;
}

function removedElement(jid: string): Element {
  return element('item', NS.ROSTER, { jid, subscription: 'remove' });
}
