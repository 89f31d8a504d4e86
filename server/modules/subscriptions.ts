import { element } from '../../stanzas/element.ts';
import { NS } from '../../stanzas/namespaces.ts';
import { Stanza } from '../../stanzas/stanza.ts';
import { StanzaError } from '../../stanzas/stanza-error.ts';
import type { RosterItem } from '../../storage/rosters.ts';
import { defineModule } from '../module.ts';
import type { Account } from '../routing/account.ts';
import type { Subscription } from '../routing/pipeline.ts';
import type { Session } from '../routing/session.ts';
import { isVisible, Rosters } from '../services/rosters.ts';
import { inbound, outbound, type SubscriptionState } from '../services/subscription-states.ts';

const TYPES: readonly Subscription[] = ['subscribe', 'subscribed', 'unsubscribe', 'unsubscribed'];
/** A request is kept until it is answered; one that is larger is kept without its content. */
const MAX_REQUEST_BYTES = 4096;

/** RFC 6121 3: who may see whose presence. */
export const subscriptions = defineModule({
  name: 'subscriptions',
  implements: [{ rfc: 6121, section: '3' }],
  needs: { rosters: Rosters },
  setup({ presence, config, streamFeature, route, deliverTo }, { rosters }) {
    streamFeature(() => element('sub', NS.PRE_APPROVAL));
    for (const type of TYPES) {
      presence.sent(type, { [type]: (stanza: Stanza, session: Session) => send(type, stanza, session) }[type]!);
      presence.received(type, { [type]: (stanza: Stanza, account: Account) => receive(type, stanza, account) }[type]!);
    }

    /** 3.1.2, 3.2.2, 3.3.2, 3.4.1 */
    async function send(type: Subscription, stanza: Stanza, { account }: Session): Promise<void> {
      const contact = stanza.to?.toBare();
      if (contact === undefined || contact.bare === account.jid.bare) {
        throw new StanzaError('bad-request', 'A subscription is to somebody else');
      }
      const { state, isChanged, passes } = outbound(type, rosters.item(account, contact.bare));
      if (isChanged) await change(account, contact.bare, state);
      if (!passes) return;
      // 3.3.2, A.2.4: who loses the subscription sees the user go, before being told
      if (type === 'unsubscribed') announce(account, (session) => unavailable(session).withHeader({ to: contact }));
      route(stanza.withHeader({ from: account.jid, to: contact }));
      // 3.1.5: who gains it sees the user at once
      if (type === 'subscribed') announce(account, (session) => session.presence!.withHeader({ to: contact }));
    }

    /** 3.1.3, 3.1.6, 3.2.3, 3.3.3 */
    async function receive(type: Subscription, stanza: Stanza, account: Account): Promise<void> {
      const contact = stanza.from!.toBare();
      const { state, isChanged, passes, reply } = inbound(type, keptBytes(stanza), rosters.item(account, contact.bare));
      if (isChanged) await change(account, contact.bare, state);
      if (reply !== undefined) {
        if (reply === 'unsubscribed') announce(account, (session) => unavailable(session).withHeader({ to: contact }));
        route(Stanza.create('presence', { to: contact, from: account.jid, type: reply }));
        if (reply === 'subscribed') announce(account, (session) => session.presence!.withHeader({ to: contact }));
      }
      if (!passes) return;
      const shown = stanza.withHeader({ from: contact, to: account.jid });
      for (const session of account.sessions) if (session.isAvailable) deliverTo(session, shown);
    }

    async function change(account: Account, jid: string, state: SubscriptionState): Promise<void> {
      const existing = rosters.item(account, jid);
      if (existing === undefined && rosters.size(account) >= config.roster.maxItems) {
        throw new StanzaError('not-allowed', 'The roster is full');
      }
      const item: RosterItem = { name: '', groups: [], isListed: false, ...existing, jid, ...state };
      // A stranger's request that is over leaves nothing behind.
      const isEmpty = item.request === undefined && !isVisible(item);
      await rosters.save(account, jid, isEmpty ? undefined : item);
      if (!isEmpty && isVisible(item)) rosters.push(account, item, deliverTo);
    }

    function announce(account: Account, presenceOf: (session: Session) => Stanza): void {
      for (const session of account.sessions) if (session.presence !== undefined) route(presenceOf(session));
    }
  },
});

function unavailable({ jid }: Session): Stanza {
  return Stanza.create('presence', { from: jid, type: 'unavailable' });
}

function keptBytes(stanza: Stanza): string {
  const bytes = stanza.toDocument();
  if (bytes.length <= MAX_REQUEST_BYTES) return bytes;
  return Stanza.create('presence', { from: stanza.from, to: stanza.to, type: 'subscribe' }).toDocument();
}
