import { element } from '../../stanzas/element.ts';
import type { Jid } from '../../stanzas/jid.ts';
import { NS } from '../../stanzas/namespaces.ts';
import { Stanza } from '../../stanzas/stanza.ts';
import { StanzaError } from '../../stanzas/stanza-error.ts';
import type { RosterItem } from '../../storage/rosters.ts';
import { defineModule } from '../module.ts';
import type { Account } from '../routing/account.ts';
import { Unanswered, type Subscription } from '../routing/pipeline.ts';
import type { Session } from '../routing/session.ts';
import { partFrom } from '../services/parting.ts';
import { RosterPushes } from '../services/roster-pushes.ts';
import { Rosters } from '../services/rosters.ts';
import { keptRequest } from '../services/subscription-requests.ts';
import { inbound, outbound, type SubscriptionState } from '../services/subscription-states.ts';

/** Requests one account keeps from people who are not in its roster (RFC 6121 3.1.3, security warning). */
const MAX_STRANGERS = 250;

/** RFC 6121 3: who may see whose presence. */
export const subscriptions = defineModule({
  name: 'subscriptions',
  implements: [{ rfc: 6121, section: '3' }],
  needs: { rosters: Rosters, pushes: RosterPushes },
  setup({ presence, config, streamFeature, route, deliverTo }, { rosters, pushes }) {
    streamFeature(element('sub', NS.PRE_APPROVAL)); // 3.4

    presence.sent('subscribe', function requestSubscription(stanza, session) {
      return send('subscribe', stanza, session);
    });
    presence.sent('subscribed', function approveSubscription(stanza, session) {
      return send('subscribed', stanza, session);
    });
    presence.sent('unsubscribe', function unsubscribe(stanza, session) {
      return send('unsubscribe', stanza, session);
    });
    presence.sent('unsubscribed', function cancelSubscription(stanza, session) {
      return send('unsubscribed', stanza, session);
    });

    presence.received('subscribe', function receiveRequest(stanza, account) {
      return receive('subscribe', stanza, account);
    });
    presence.received('subscribed', function receiveApproval(stanza, account) {
      return receive('subscribed', stanza, account);
    });
    presence.received('unsubscribe', function receiveUnsubscribe(stanza, account) {
      return receive('unsubscribe', stanza, account);
    });
    presence.received('unsubscribed', function receiveCancellation(stanza, account) {
      return receive('unsubscribed', stanza, account);
    });

    /** 3.1.2, 3.1.5, 3.2.2, 3.3.2, 3.4.2. Committed first, so that nobody is told what could be forgotten. */
    async function send(type: Subscription, stanza: Stanza, { account }: Session): Promise<void> {
      const contact = stanza.to?.toBare(); // 3.1.2, rule 1
      if (contact === undefined || contact.bare === account.jid.bare) {
        throw new StanzaError('bad-request', 'A subscription is to somebody else');
      }
      const { state, isChanged, passes } = outbound(type, rosters.of(account).item(contact.bare));
      const commit = (): ReturnType<typeof change> => change(account, contact.bare, state);
      const isParting = type === 'unsubscribed' && rosters.hasSubscriptionFrom(account, contact.bare);
      let push: (() => void) | undefined;
      if (isParting) push = await partFrom(account, contact, route, commit);
      else if (isChanged) push = await commit();
      if (passes) route(stanza.withHeader({ from: account.jid, to: contact }));
      push?.();
      if (passes && type === 'subscribed') appear(account, contact); // 3.1.5
    }

    /** 3.1.3, 3.1.6, 3.2.3, 3.3.3 */
    async function receive(type: Subscription, stanza: Stanza, account: Account): Promise<void> {
      const to = stanza.to!;
      // 8.5.3.2.2
      if (type !== 'subscribe' && !to.isBare && account.session(to.full) === undefined) return;
      const contact = stanza.from!.toBare();
      if (contact.bare === account.jid.bare) return;
      const item = rosters.of(account).item(contact.bare);
      const request = type === 'subscribe' ? keptRequest(stanza) : '';
      // Who becomes available from now on is shown the request with all that wait (3.1.3, rule 4).
      const available = account.sessions.filter(({ isAvailable }) => isAvailable);
      const { state, isChanged, passes, reply } = inbound(type, request, item);
      const commit = (): ReturnType<typeof change> => change(account, contact.bare, state);
      const isParting = type === 'unsubscribe' && rosters.hasSubscriptionFrom(account, contact.bare); // 3.3.3, rule 3
      let push: (() => void) | undefined;
      if (isParting) push = await partFrom(account, contact, route, commit);
      else if (isChanged) push = await commit();
      if (passes) {
        // 3.1.3 and 2.2, implementation note: requests go to available resources; 3.1.6, 3.2.3, 3.3.3: the rest to
        // interested ones, before the push
        const readers = type === 'subscribe' ? available : pushes.interestedSessions(account);
        const shown = stanza.withHeader({ from: contact, to: account.jid });
        for (const session of readers) deliverTo(session, shown);
      }
      push?.();
      if (reply === undefined) return;
      route(Stanza.create('presence', { to: contact, from: account.jid, id: stanza.id, type: reply }));
      if (reply === 'subscribed') appear(account, contact);
    }

    /**
     * Commits the new state of a subscription. Returns what tells the account's clients of it, to be called in its place;
     * undefined where they have nothing to see.
     */
    async function change(account: Account, jid: string, state: SubscriptionState): Promise<(() => void) | undefined> {
      const roster = rosters.of(account);
      const existing = roster.item(jid);
      // 3.1.3, security warning: a request alone adds nobody to the roster
      const isListed = existing?.isListed === true || state.subscription !== 'none' || state.ask || state.approved;
      if (!isListed && state.request === undefined) {
        await rosters.change(account, [], [jid]);
        return undefined;
      }
      if (isListed && existing?.isListed !== true && roster.size >= config.roster.maxItems) {
        throw new StanzaError('not-allowed', 'The roster is full');
      }
      if (!isListed && existing === undefined && roster.strangers >= MAX_STRANGERS) {
        // An error would tell that the account exists (8.5.1, RFC 6120 13.11).
        throw new Unanswered('too many requests wait for an answer');
      }
      const item: RosterItem = { name: '', groups: [], ...existing, jid, ...state, isListed };
      const isSeen = isListed && !looksTheSame(item, existing);
      const version = await rosters.change(account, [item]);
      return isSeen ? () => pushes.push(account, item, version, deliverTo) : undefined;
    }

    /** The contact sees every available resource. */
    function appear(account: Account, to: Jid): void {
      for (const { presence: last } of account.sessions) if (last !== undefined) route(last.withHeader({ to }));
    }
  },
});

/** Whether a client is shown the same before and after: it does not see that a contact's request waits. */
function looksTheSame(item: RosterItem, existing: RosterItem | undefined): boolean {
  return (
    existing?.isListed === true &&
    item.subscription === existing.subscription &&
    item.ask === existing.ask &&
    item.approved === existing.approved
  );
}
