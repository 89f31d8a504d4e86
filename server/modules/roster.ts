import { element, type Element } from '../../stanzas/element.ts';
import { tryParseJid, type Jid } from '../../stanzas/jid.ts';
import { NS } from '../../stanzas/namespaces.ts';
import { Stanza } from '../../stanzas/stanza.ts';
import { StanzaError } from '../../stanzas/stanza-error.ts';
import type { RosterItem } from '../../storage/rosters.ts';
import { defineModule } from '../module.ts';
import type { Account } from '../routing/account.ts';
import type { SelfIqRequest } from '../routing/iq-table.ts';
import { isVisible, itemElement, Rosters } from '../services/rosters.ts';

/** RFC 6121 2: the roster and its versions. */
export const roster = defineModule({
  name: 'roster',
  implements: [
    { rfc: 6121, section: '2' },
    { xep: 237, version: '1.3' },
  ],
  needs: { rosters: Rosters },
  setup({ iq, on, config, streamFeature, route, deliverTo }, { rosters }) {
    const limits = config.roster;
    streamFeature(() => element('ver', NS.ROSTER_VERSIONING));
    on.accountLoaded((account) => rosters.load(account));

    // RFC 6121 2.2, 2.6.3: an unchanged roster is an empty result
    iq.self.get(NS.ROSTER, 'query', function sendRoster({ payload, account, session }: SelfIqRequest) {
      rosters.becomeInterested(session);
      const ver = String(rosters.version(account));
      if (payload.attribute('ver') === ver) return undefined;
      const items = [...rosters.items(account)].filter(isVisible).map(itemElement);
      return element('query', NS.ROSTER, { ver }, ...items);
    });

    iq.self.set(NS.ROSTER, 'query', async function changeRoster({ payload, account }: SelfIqRequest) {
      const [item, ...more] = payload.children;
      // 2.3.3
      if (item?.name !== 'item' || more.length > 0)
        throw new StanzaError('bad-request', 'One item is changed at a time');
      const contact = contactOf(item);
      if (item.attribute('subscription') === 'remove') await remove(account, contact);
      else await update(account, contact, item);
    });

    // 2.3.3: the roster is its owner's
    iq.account.set(NS.ROSTER, 'query', function refuseStranger() {
      throw new StanzaError('forbidden');
    });

    async function update(account: Account, contact: Jid, asked: Element): Promise<void> {
      const jid = contact.bare;
      const { name, groups } = handleOf(asked);
      const existing = rosters.item(account, jid);
      if (existing === undefined && rosters.size(account) >= limits.maxItems) {
        throw new StanzaError('not-allowed', `A roster holds at most ${limits.maxItems} contacts`);
      }
      const state = { subscription: 'none', ask: false, approved: false, request: undefined } as const;
      const item: RosterItem = { ...(existing ?? state), jid, name, groups, isListed: true };
      await rosters.save(account, jid, item);
      rosters.push(account, item, deliverTo);
    }

    // 2.5.1: removing a contact ends the subscriptions in both directions
    async function remove(account: Account, contact: Jid): Promise<void> {
      const jid = contact.bare;
      const item = rosters.item(account, jid);
      if (item === undefined || !isVisible(item)) throw new StanzaError('item-not-found');
      await rosters.save(account, jid, undefined);
      rosters.push(account, { removed: jid }, deliverTo);
      const tell = (type: string): void => route(Stanza.create('presence', { to: contact, from: account.jid, type }));
      if (item.subscription === 'to' || item.subscription === 'both' || item.ask) tell('unsubscribe');
      if (item.subscription === 'from' || item.subscription === 'both' || item.request !== undefined) {
        for (const session of account.sessions) {
          if (!session.isAvailable) continue;
          route(Stanza.create('presence', { to: contact, from: session.jid, type: 'unavailable' }));
        }
        tell('unsubscribed');
      }
    }

    function handleOf(item: Element): { name: string; groups: readonly string[] } {
      const name = item.attribute('name') ?? '';
      const groups = item.childrenNamed('group').map(({ text }) => text);
      // 2.3.3
      if (new Set(groups).size < groups.length) throw new StanzaError('bad-request', 'A group is named twice');
      if (groups.includes('')) throw new StanzaError('not-acceptable', 'A group has a name');
      if (groups.length > limits.maxGroupsPerItem) throw new StanzaError('not-acceptable', 'Too many groups');
      const tooLong = [name, ...groups].some((text) => Buffer.byteLength(text) > limits.maxNameBytes);
      if (tooLong) throw new StanzaError('not-acceptable', `Names have at most ${limits.maxNameBytes} bytes`);
      return { name, groups };
    }
  },
});

function contactOf(item: Element): Jid {
  const jid = tryParseJid(item.attribute('jid') ?? '');
  if (jid === undefined) throw new StanzaError('bad-request', 'An item has the JID of a contact');
  return jid.toBare();
}
