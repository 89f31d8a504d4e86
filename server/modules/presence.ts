import { Jid } from '../../stanzas/jid.ts';
import { NS } from '../../stanzas/namespaces.ts';
import { Stanza } from '../../stanzas/stanza.ts';
import { StanzaError } from '../../stanzas/stanza-error.ts';

import { defineModule } from '../module.ts';
import type { Session } from '../routing/session.ts';
import { Rosters } from '../services/rosters.ts';

/** RFC 6121 4: who is available, and who is told. */
export const presence = defineModule({
  name: 'presence',
  implements: [{ rfc: 6121, section: '4' }],
  needs: { rosters: Rosters },
  setup({ presence: table, on, screen, config, route, deliverTo, flushPending, sessionSlot }, { rosters }) {
    /** Whom a session has sent directed presence, and who must hear of its end (4.6.3). */
    const directed = sessionSlot(() => new Map<string, Jid>());

    table.sent('broadcast', function broadcastPresence(stanza, session) {
      if (stanza.type === 'unavailable') becomeUnavailable(session, stanza);
      else becomeAvailable(session, stanza);
    });

    // 4.6
    table.sent('directed', function directPresence(stanza, session) {
      const to = stanza.to!;
      const known = directed.of(session);
      if (stanza.type === 'unavailable') known.delete(to.full);
      else if (known.size >= config.limits.maxDirectedPresences && !known.has(to.full)) {
        throw new StanzaError('policy-violation', 'Too many addresses were sent directed presence');
      } else if (!isToldAnyway(session, to)) known.set(to.full, to);
      route(stanza);
    });

    // 4.3: clients do not probe; their server does
    table.sent('probe', function ignoreProbe() {
      // RFC 6121 4.3: silently dropped
    });

    // 4.3.2
    table.received('probe', function answerProbe(stanza, account) {
      const from = stanza.from!;
      if (from.bare !== account.jid.bare && !rosters.hasSubscriptionFrom(account, from.bare)) {
        route(Stanza.create('presence', { from: account.jid, to: from.toBare(), type: 'unsubscribed' }));
        return;
      }
      for (const session of account.sessions) {
        if (session.presence !== undefined) route(session.presence.withHeader({ to: from }));
      }
    });

    on.sessionEnded(function endPresence(session) {
      if (session.isAvailable) becomeUnavailable(session, unavailable(session));
      else tellDirected(session, unavailable(session));
    });

    // 8.5.3.1: a request to a resource is a way to find out whether it is there
    screen.received(function hideResources(stanza, account) {
      const to = stanza.to!;
      if (stanza.kind !== 'iq' || to.isBare || (stanza.type !== 'get' && stanza.type !== 'set')) return;
      const from = stanza.from!;
      if (from.bare === account.jid.bare || from.local === '' || rosters.hasSubscriptionFrom(account, from.bare))
        return;
      const session = account.session(to.full);
      const known = session === undefined ? undefined : directed.peek(session);
      if (known?.has(from.full) === true || known?.has(from.bare) === true) return;
      throw new StanzaError('service-unavailable');
    });

    function becomeAvailable(session: Session, stanza: Stanza): void {
      const { account } = session;
      const priority = priorityOf(stanza);
      const wasAvailable = session.isAvailable;
      const couldReceive = session.priority !== undefined && session.priority >= 0;
      session.presence = stanza;
      session.priority = priority;
      // 4.2.2, 4.4.2: to the contacts and to the account's own resources, this one among them
      broadcast(session, stanza);
      if (!wasAvailable) {
        probeContacts(session); // 4.3
        for (const other of account.sessions) {
          if (other !== session && other.presence !== undefined) {
            deliverTo(session, other.presence.withHeader({ to: session.jid }));
          }
        }
        for (const request of rosters.waitingRequests(account)) deliverTo(session, request); // 3.1.3
      }
      if (priority >= 0 && !couldReceive) flushPending(account); // XEP-0160
    }

    // 4.5.2
    function becomeUnavailable(session: Session, stanza: Stanza): void {
      if (!session.isAvailable) return;
      session.presence = undefined;
      session.priority = undefined;
      broadcast(session, stanza);
      tellDirected(session, stanza);
    }

    function tellDirected(session: Session, stanza: Stanza): void {
      const known = directed.peek(session);
      if (known === undefined) return;
      for (const to of known.values()) route(stanza.withHeader({ to }));
      known.clear();
    }

    function broadcast(session: Session, stanza: Stanza): void {
      const { account } = session;
      for (const { jid, subscription } of rosters.items(account)) {
        if (subscription === 'from' || subscription === 'both') route(stanza.withHeader({ to: Jid.parse(jid) }));
      }
      for (const own of account.sessions) {
        if (own.isAvailable) deliverTo(own, stanza.withHeader({ to: own.jid }));
      }
    }

    function probeContacts({ account, jid: from }: Session): void {
      for (const { jid, subscription } of rosters.items(account)) {
        if (subscription !== 'to' && subscription !== 'both') continue;
        route(Stanza.create('presence', { from, to: Jid.parse(jid), type: 'probe' }));
      }
    }

    /** Whether the broadcast of unavailability reaches the address without our remembering it. */
    function isToldAnyway(session: Session, to: Jid): boolean {
      return session.isAvailable && rosters.hasSubscriptionFrom(session.account, to.bare);
    }
  },
});

function unavailable({ jid }: { jid: Jid }): Stanza {
  return Stanza.create('presence', { from: jid, type: 'unavailable' });
}

/** RFC 6121 4.7.2.3 */
function priorityOf(stanza: Stanza): number {
  const text = stanza.child('priority', NS.CLIENT)?.text.trim() ?? '0';
  const priority = /^[+-]?\d{1,3}$/.test(text) ? Number(text) : NaN;
  if (!(priority >= -128 && priority <= 127)) throw new StanzaError('bad-request', 'A priority is -128 to 127');
  return priority;
}
