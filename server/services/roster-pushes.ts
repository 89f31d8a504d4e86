import { element, type Element } from '../../stanzas/element.ts';
import { NS } from '../../stanzas/namespaces.ts';
import { Stanza } from '../../stanzas/stanza.ts';
import type { RosterItem } from '../../storage/rosters.ts';
import type { Account } from '../routing/account.ts';
import type { Session } from '../routing/session.ts';
import { Slot, type SlotNumbers } from '../routing/slot.ts';

/** Which sessions have asked for the roster, and how they hear of its changes (RFC 6121 2.1.6, 2.2). */
export class RosterPushes {
  readonly #interested: Slot<{ seen: number | undefined }>;
  readonly #watchers: ((account: Account, query: Element) => void)[] = [];

  constructor(sessionSlots: SlotNumbers) {
    this.#interested = new Slot<{ seen: number | undefined }>(sessionSlots, () => ({ seen: undefined }), {
      name: 'roster-interest',
      save: ({ seen }) => (seen === undefined ? undefined : 'interested'),
      restore: () => ({ seen: 0 }),
    });
  }

  /**
   * RFC 6121 2.2: a resource that has requested the roster is an interested resource.
   * @param version of the roster it is shown: it hears of later changes
   */
  becomeInterested(session: Session, version: number): void {
    this.#interested.of(session).seen = version;
  }

  /** Hears of every change that sessions are told of (XEP-0356). */
  onChange(watcher: (account: Account, query: Element) => void): void {
    this.#watchers.push(watcher);
  }

  interestedSessions({ sessions }: Account): readonly Session[] {
    return sessions.filter((session) => this.#interested.peek(session)?.seen !== undefined);
  }

  /** Tells every interested session of the item as it is now; `version` is the one this change made. */
  push(account: Account, item: RosterItem, version: number, deliver: Deliver): void {
    this.#push(account, itemElement(item), version, deliver);
  }

  /** Tells every interested session that the item is gone. */
  pushRemoval(account: Account, jid: string, version: number, deliver: Deliver): void {
    this.#push(account, element('item', NS.ROSTER, { jid, subscription: 'remove' }), version, deliver);
  }

  #push(account: Account, item: Element, version: number, deliver: Deliver): void {
    const ver = String(version);
    const query = element('query', NS.ROSTER, { ver }, item);
    for (const watcher of this.#watchers) watcher(account, query);
    for (const session of this.interestedSessions(account)) {
      if (this.#interested.of(session).seen! >= version) continue; // it was in the roster the client has been sent
      deliver(session, Stanza.create('iq', { to: session.jid, id: `push-${ver}`, type: 'set' }, [query]));
    }
  }
}

type Deliver = (session: Session, push: Stanza) => void;

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
