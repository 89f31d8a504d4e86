import { includesRequest } from '../../config/external-components.ts';
import { element, type Element } from '../../stanzas/element.ts';
import { tryParseJid, type Jid } from '../../stanzas/jid.ts';
import { NS } from '../../stanzas/namespaces.ts';
import { Stanza } from '../../stanzas/stanza.ts';
import { StanzaError } from '../../stanzas/stanza-error.ts';
import type { RosterItem } from '../../storage/rosters.ts';
import { defineModule } from '../module.ts';
import type { Account } from '../routing/account.ts';
import type { AccountIqRequest, SelfIqRequest } from '../routing/iq-table.ts';
import { partFrom } from '../services/parting.ts';
import { itemElement, RosterPushes } from '../services/roster-pushes.ts';
import { Privileges } from '../services/privileges.ts';
import { Rosters } from '../services/rosters.ts';

const NO_SUBSCRIPTION = { subscription: 'none', ask: false, approved: false, request: undefined } as const;

/** RFC 6121 2: the roster and its versions. */
export const roster = defineModule({
  name: 'roster',
  implements: [
    { rfc: 6121, section: '2' },
    { xep: 237, version: '1.3' },
  ],
  needs: { rosters: Rosters, pushes: RosterPushes, privileges: Privileges },
  setup({ iq, on, config, streamFeature, route, deliverTo }, { rosters, pushes, privileges }) {
    const limits = config.roster;
    streamFeature(element('ver', NS.ROSTER_VERSIONING));
    on.accountLoaded((account) => rosters.load(account));

    // RFC 6121 2.2
    iq.self.get(NS.ROSTER, 'query', function sendRoster(request: SelfIqRequest) {
      // RFC 6120 10.1: who asks behind a change sees it
      const underWay = rosters.of(request.account).whenSettled();
      return underWay === undefined ? show(request) : underWay.then(() => show(request));
    });

    // 2.6.3: an unchanged roster is an empty result
    function show({ payload, account, session }: SelfIqRequest): Element | undefined {
      const { version, items } = rosters.of(account).committed();
      pushes.becomeInterested(session, version);
      const ver = String(version);
      if (payload.attribute('ver') === ver) return undefined;
      return element('query', NS.ROSTER, { ver }, ...items.filter(({ isListed }) => isListed).map(itemElement));
    }

    // RFC 6121 2.1.5
    iq.self.set(NS.ROSTER, 'query', function changeRoster({ payload, account }: SelfIqRequest) {
      return change(payload, account);
    });

    /** @param servedDomain of which the subscription is set as well; undefined: of none */
    async function change(payload: Element, account: Account, servedDomain?: string): Promise<void> {
      const [item, ...more] = payload.children;
      // 2.3.3
      if (item?.name !== 'item' || item.namespace !== NS.ROSTER || more.length > 0) {
        throw new StanzaError('bad-request', 'One item is changed at a time');
      }
      const contact = contactOf(item);
      // 2.1.2.5: no other value of 'subscription' means anything in a set, nor do 'ask' and 'approved'
      if (item.attribute('subscription') === 'remove') await remove(account, contact);
      else await update(account, contact, item, contact.domain === servedDomain);
    }

    // XEP-0356, "Accessing Roster"
    iq.account.get(NS.ROSTER, 'query', function showPrivileged({ account, from }: AccountIqRequest) {
      const component = privileges.componentOver(account, from);
      if (component === undefined) throw new StanzaError('service-unavailable');
      if (!includesRequest(component.settings.roster, 'get')) throw new StanzaError('forbidden');
      const shown = (): Element => {
        const { version, items } = rosters.of(account).committed();
        const listed = items.filter(({ isListed }) => isListed);
        return element('query', NS.ROSTER, { ver: String(version) }, ...listed.map(itemElement));
      };
      return rosters.of(account).whenSettled()?.then(shown) ?? shown();
    });

    // 2.3.3: the roster is its owner's. Deviation: who must not learn that the account exists is told what 8.5.1 wants
    // where there is none.
    iq.account.set(NS.ROSTER, 'query', function refuseOthers({ account, from, payload }: AccountIqRequest) {
      const component = privileges.componentOver(account, from);
      if (component !== undefined && includesRequest(component.settings.roster, 'set')) {
        return change(payload, account, component.settings.domain);
      }
      if (component !== undefined) throw new StanzaError('forbidden');
      throw new StanzaError(rosters.sharesPresenceWith(account, from.bare) ? 'forbidden' : 'service-unavailable');
    });

    // 2.3, 2.4
    async function update(account: Account, contact: Jid, asked: Element, mayLink: boolean): Promise<void> {
      const jid = contact.bare;
      // 2.3.3, interoperability note
      if (jid === account.jid.bare) throw new StanzaError('not-allowed', 'You cannot be a contact of your own');
      const { name, groups } = handleOf(asked);
      const own = rosters.of(account);
      const existing = own.item(jid);
      if (existing?.isListed !== true && own.size >= limits.maxItems) {
        throw new StanzaError('not-allowed', `A roster holds at most ${limits.maxItems} contacts`);
      }
      const linked = mayLink ? linkOf(asked) : undefined;
      const item: RosterItem = { ...(existing ?? NO_SUBSCRIPTION), ...linked, jid, name, groups, isListed: true };
      const wasSubscriber = rosters.hasSubscriptionFrom(account, jid);
      pushes.push(account, item, await rosters.change(account, [item]), deliverTo);
      if (wasSubscriber || !rosters.hasSubscriptionFrom(account, jid)) return;
      for (const { presence } of account.sessions)
        if (presence !== undefined) route(presence.withHeader({ to: contact }));
    }

    // 2.5: removing a contact ends the subscriptions in both directions
    async function remove(account: Account, contact: Jid): Promise<void> {
      const jid = contact.bare;
      const item = rosters.of(account).item(jid);
      if (item?.isListed !== true) throw new StanzaError('item-not-found'); // 2.5.3
      const isSubscriber = rosters.hasSubscriptionFrom(account, jid);
      const change = (): Promise<number> => rosters.change(account, [], [jid]);
      // 3.2.2: who loses the subscription sees the user go first
      const version = await (isSubscriber ? partFrom(account, contact, route, change) : change());
      pushes.pushRemoval(account, jid, version, deliverTo);
      const tell = (type: string): void => route(Stanza.create('presence', { to: contact, from: account.jid, type }));
      // 2.5.2
      if (item.subscription === 'to' || item.subscription === 'both' || item.ask) tell('unsubscribe');
      if (isSubscriber || item.request !== undefined) tell('unsubscribed');
    }

    function handleOf(item: Element): { name: string; groups: readonly string[] } {
      const name = item.attribute('name') ?? '';
      const groups = item.childrenNamed('group').map(({ text }) => text);
      // 2.3.3
      if (new Set(groups).size < groups.length) throw new StanzaError('bad-request', 'A group is named twice');
      if (groups.includes('')) throw new StanzaError('not-acceptable', 'A group has a name');
      if (groups.length > limits.maxGroupsPerItem) throw new StanzaError('not-acceptable', 'Too many groups');
      const isTooLong = [name, ...groups].some((text) => Buffer.byteLength(text) > limits.maxNameBytes);
      if (isTooLong) throw new StanzaError('not-acceptable', `Names have at most ${limits.maxNameBytes} bytes`);
      return { name, groups };
    }
  },
});

/**
 * Interop: slidge sets the subscription between a person and a user of its own, so that nobody is asked for approval. One
 * side of it is the component's to give, the other what its privilege is for.
 */
function linkOf(item: Element): Pick<RosterItem, 'subscription' | 'ask' | 'request'> | undefined {
  const subscription = item.attribute('subscription');
  switch (subscription) {
    case 'none':
    case 'to':
    case 'from':
    case 'both':
      return { subscription, ask: false, request: undefined };
    default:
      return undefined;
  }
}

/** RFC 6121 2.1.2.3; a subscription is to a bare JID, so that is what the roster holds. */
function contactOf(item: Element): Jid {
  const jid = tryParseJid(item.attribute('jid') ?? '');
  if (jid === undefined) throw new StanzaError('bad-request', 'An item has the JID of a contact');
  return jid.toBare();
}
