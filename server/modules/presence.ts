import { withDelay } from '../../stanzas/delay.ts';
import { Jid } from '../../stanzas/jid.ts';
import { NS } from '../../stanzas/namespaces.ts';
import { Stanza } from '../../stanzas/stanza.ts';
import { StanzaError } from '../../stanzas/stanza-error.ts';
import { defineModule } from '../module.ts';
import type { Account } from '../routing/account.ts';
import { isRefusedToStrangers } from '../routing/delivery.ts';
import { Unanswered } from '../routing/pipeline.ts';
import type { Session } from '../routing/session.ts';
import { Absences } from '../services/absences.ts';
import { PresenceWatch } from '../services/presence-watch.ts';
import { Rosters } from '../services/rosters.ts';
import { waitingRequests } from '../services/subscription-requests.ts';

/** RFC 6121 4: who is available, and who is told. */
export const presence = defineModule({
  name: 'presence',
  implements: [{ rfc: 6121, section: '4' }],
  needs: { rosters: Rosters, absences: Absences, watch: PresenceWatch },
  setup(
    { presence: table, on, screen, amend, config, route, deliverTo, flushPending, isLocalDomain, sessionSlot },
    { rosters, absences, watch },
  ) {
    /** Whom a session has sent directed presence, by full JID, and who must hear of its end (4.6.1). */
    const directed = sessionSlot(() => new Map<string, Jid>(), {
      name: 'directed-presence',
      save: (known) => (known.size === 0 ? undefined : JSON.stringify([...known.keys()])),
      restore: (text) => new Map((JSON.parse(text) as string[]).map((full) => [full, Jid.parse(full)])),
    });

    table.sent('broadcast', function broadcastPresence(stanza, session) {
      if (stanza.type === 'unavailable') becomeUnavailable(session, stanza);
      else becomeAvailable(session, stanza);
    });

    // 4.6.3
    table.sent('directed', function directPresence(stanza, session) {
      const to = stanza.to!;
      if (stanza.type === 'unavailable') directed.peek(session)?.delete(to.full);
      else if (!isToldAnyway(session, to)) remember(session, to);
      route(stanza);
    });

    // 4.3: no reason to answer a client with an error, whatever becomes of it
    table.sent('probe', function routeProbe(stanza) {
      if (stanza.to !== undefined) route(stanza);
    });

    // 4.3.2, 4.6.6
    table.received('probe', function answerProbe(stanza, account) {
      const from = stanza.from!;
      const to = stanza.to!;
      if (rosters.sharesPresenceWith(account, from.bare)) return answerSubscriber(account, from, to, stanza.id);
      if (!answerCompanion(account, from, to)) answerStranger(account, from, stanza.id);
    });

    // 4.5.2: a session that ends has become unavailable, whichever way it ends
    on.sessionEnded(function endPresence(session) {
      becomeUnavailable(session, unavailable(session));
    });

    // 8.1: what is sent to a resource is a way to find out whether it is there
    screen.received(function hideResources(stanza, account) {
      const to = stanza.to!;
      if (to.isBare || stanza.kind === 'presence') return;
      if (stanza.kind === 'iq' && stanza.type !== 'get' && stanza.type !== 'set') return;
      const session = account.session(to.full);
      const { kind, type } = stanza;
      // 8.5.3.1, 8.5.3.2.1: an error is not answered either way
      if (kind === 'message' && (session !== undefined || type === 'chat' || type === 'error')) return;
      const from = stanza.from!;
      if (from.local === '' && isLocalDomain(from.domain)) return; // the server itself
      if (rosters.sharesPresenceWith(account, from.bare)) return;
      if (stanza.kind === 'message') {
        // 8.5.3.2.1 (a) and (b)
        if (!isRefusedToStrangers(stanza)) throw new Unanswered('a stranger asks for a resource');
      } else if (session === undefined || !hasDirected(session, from)) throw new StanzaError('service-unavailable');
    });

    // 4.6.1: who says goodbye is no longer told; an amendment that changes nothing sees only what passed the screens
    amend.received(function forgetWhoLeft(stanza, account) {
      if (stanza.kind !== 'presence' || stanza.type !== 'unavailable') return undefined;
      for (const session of account.sessions) {
        const { full } = stanza.to!;
        if (full === session.jid.full || full === account.jid.bare) directed.peek(session)?.delete(stanza.from!.full);
      }
      return undefined;
    });

    function becomeAvailable(session: Session, stanza: Stanza): void {
      const { account } = session;
      const priority = priorityOf(stanza);
      const wasAvailable = session.isAvailable;
      const couldReceive = session.priority !== undefined && session.priority >= 0;
      session.presence = stanza;
      session.priority = priority;
      broadcast(session, stanza); // 4.2.2, 4.4.2
      if (!wasAvailable) {
        watch.changed(account, stanza);
        learnPresence(session);
        for (const request of waitingRequests(account, rosters.of(account))) deliverTo(session, request); // 3.1.3
      }
      if (priority >= 0 && !couldReceive) flushPending(account); // XEP-0160 2
    }

    function becomeUnavailable(session: Session, stanza: Stanza): void {
      const wasAvailable = session.isAvailable;
      if (wasAvailable) {
        session.presence = undefined;
        session.priority = undefined;
        broadcast(session, stanza); // 4.5.2
        watch.changed(session.account, stanza);
        if (!session.account.sessions.some(({ isAvailable }) => isAvailable)) absences.begin(session.account);
        // 4.5.2: also to the resource itself; nothing is delivered to one that has ended
        if (session.account.sessions.includes(session)) deliverTo(session, stanza.withHeader({ to: session.jid }));
      }
      // 4.6.3: rules 2 and 3, so also from a resource that never was available
      const known = directed.peek(session);
      if (known === undefined) return;
      const others = [...known.values()].filter((to) => !wasAvailable || !isSubscriber(session, to));
      known.clear();
      for (const to of others) route(stanza.withHeader({ to }));
    }

    /** To the subscribers and to the account's own available resources, among them the one it comes from. */
    function broadcast({ account }: Session, stanza: Stanza): void {
      for (const { jid, subscription } of rosters.of(account).items()) {
        if (subscription === 'from' || subscription === 'both') route(stanza.withHeader({ to: Jid.parse(jid) }));
      }
      for (const own of account.sessions) if (own.isAvailable) deliverTo(own, stanza.withHeader({ to: own.jid }));
    }

    /** 4.2.2, 4.3.1: shows a newly available resource who else is there. */
    function learnPresence(session: Session): void {
      const { account } = session;
      for (const { jid, presence: last } of account.sessions) {
        if (jid !== session.jid && last !== undefined) deliverTo(session, last.withHeader({ to: session.jid }));
      }
      for (const { jid, subscription, ask } of rosters.of(account).items()) {
        const to = Jid.parse(jid);
        // 3.1.2: again, should the first request have been lost on its way to the other server
        if (ask && !isLocalDomain(to.domain)) {
          route(Stanza.create('presence', { from: account.jid, to, id: RESENT_ID, type: 'subscribe' }));
        }
        if (subscription !== 'to' && subscription !== 'both') continue;
        // 4.3: from the bare JID. A probe that stays here names the resource, so that the others are not told again.
        const from = isLocalDomain(to.domain) ? session.jid : account.jid;
        route(Stanza.create('presence', { from, to, type: 'probe' }));
      }
    }

    // 4.3.2, rules 3 and 4, and the paragraph on full JIDs
    function answerSubscriber(account: Account, from: Jid, to: Jid, id: string | undefined): void | Promise<void> {
      if (!to.isBare) {
        const isThere = account.session(to.full)?.isAvailable === true;
        const answer = isThere ? { from: to, to: from } : { from: to, to: from, id, type: 'unavailable' };
        route(Stanza.create('presence', answer));
        return;
      }
      if (!showAvailable(account, from)) return answerAbsence(account, from, id);
    }

    /** Returns false where there is nothing to show. */
    function showAvailable(account: Account, to: Jid): boolean {
      let isShown = false;
      for (const { presence: last } of account.sessions) {
        if (last === undefined) continue;
        isShown = true;
        route(last.withHeader({ to })); // with its own 'id': 4.3.2.1
      }
      return isShown;
    }

    /** 4.3.2, rule 3, with the time since when */
    async function answerAbsence(account: Account, to: Jid, id: string | undefined): Promise<void> {
      const sinceMs = await absences.since(account);
      // Whoever has come meanwhile must not be contradicted: this would apply to every resource (4.5.4).
      if (showAvailable(account, to)) return;
      const answer = Stanza.create('presence', { from: account.jid, to, id, type: 'unavailable' });
      route(sinceMs === undefined ? answer : withDelay(answer, account.jid.domain, sinceMs * 1000));
    }

    // 4.6.6: mere presence, of the one resource it was shown; returns whether it was shown
    function answerCompanion(account: Account, from: Jid, to: Jid): boolean {
      const session = to.isBare ? undefined : account.session(to.full);
      if (session === undefined || !hasDirected(session, from)) return false;
      route(Stanza.create('presence', { from: session.jid, to: from }));
      return true;
    }

    // 4.3.2, rule 1; also to whose request waits for an answer, or a request and a probe would tell who exists (8.5.1)
    function answerStranger(account: Account, from: Jid, id: string | undefined): void {
      route(Stanza.create('presence', { from: account.jid, to: from.toBare(), id, type: 'unsubscribed' }));
    }

    function remember(session: Session, to: Jid): void {
      const known = directed.of(session);
      if (known.size >= config.limits.maxDirectedPresences && !known.has(to.full)) {
        throw new StanzaError('policy-violation', 'Too many addresses were sent directed presence');
      }
      known.set(to.full, to);
    }

    /** Whether the session has sent directed presence there; a room's occupants share the room's bare JID. */
    function hasDirected(session: Session, { bare }: Jid): boolean {
      const known = directed.peek(session);
      if (known === undefined) return false;
      for (const to of known.values()) if (to.bare === bare) return true;
      return false;
    }

    /** 4.6.3, rule 1: the broadcast of unavailability reaches a subscriber without our remembering it. */
    function isToldAnyway(session: Session, to: Jid): boolean {
      return session.isAvailable && isSubscriber(session, to);
    }

    function isSubscriber({ account }: Session, { bare }: Jid): boolean {
      return rosters.hasSubscriptionFrom(account, bare);
    }
  },
});

function unavailable({ jid }: Session): Stanza {
  return Stanza.create('presence', { from: jid, type: 'unavailable' });
}

/** RFC 6121 3.1.2: marks a request that the server sends again. */
const RESENT_ID = 'resent-request';

/** RFC 6121 4.7.2.3 */
function priorityOf(stanza: Stanza): number {
  const found = stanza.children.filter(({ name, namespace }) => name === 'priority' && namespace === NS.CLIENT);
  const [child, ...more] = found;
  if (child === undefined) return 0;
  const text = stanza.parse(child).text.trim();
  const priority = more.length === 0 && /^[+-]?\d{1,3}$/.test(text) ? Number(text) : NaN;
  if (!(priority >= -128 && priority <= 127)) throw new StanzaError('bad-request', 'One priority, of -128 to 127');
  return priority;
}
