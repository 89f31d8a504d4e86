import { forwardedBytes } from '../../../stanzas/forwarding.ts';
import { NS } from '../../../stanzas/namespaces.ts';
import { Stanza } from '../../../stanzas/stanza.ts';
import { defineModule } from '../../module.ts';
import type { LoggedMessage } from '../../routing/logged-message.ts';
import type { Copy } from '../../routing/pipeline.ts';
import type { Session } from '../../routing/session.ts';
import { Ineligible, isCarbon, isEligible, isRoomPrivate } from './eligibility.ts';

/** XEP-0280: Message Carbons. What one resource sends or receives, the account's others see too. */
export const carbons = defineModule({
  name: 'carbons',
  implements: [
    { xep: 280, version: '1.0.1' },
    { xep: 297, version: '1.0' },
  ],
  setup({ iq, feature, bindFeature, amend, copy, sessionSlot, accountSlot }) {
    feature(NS.CARBONS, ['server', 'account']);
    feature('urn:xmpp:carbons:rules:0', ['server', 'account']); // 6.2: exactly the rules of 6.1
    const wanted = sessionSlot(() => ({ isWanted: false }), {
      name: 'carbons',
      save: ({ isWanted }) => (isWanted ? 'enabled' : undefined),
      restore: (text) => ({ isWanted: text === 'enabled' }),
    });

    const ineligible = accountSlot(() => new Ineligible());

    // 4 and 5; 10.1: as often as the client likes
    iq.self.set(NS.CARBONS, 'enable', function enableCarbons({ session }) {
      wanted.of(session).isWanted = true;
    });
    iq.self.set(NS.CARBONS, 'disable', function disableCarbons({ session }) {
      wanted.of(session).isWanted = false;
    });

    // XEP-0386: it cannot fail, so nothing is answered
    bindFeature({
      namespace: NS.CARBONS,
      enable(session, { name }) {
        if (name === 'enable') wanted.of(session).isWanted = true;
      },
    });

    // 11: what claims to be a carbon and is not ours never leaves and never arrives
    amend.sent(function stripForgedCarbons(stanza, { account }) {
      if (stanza.kind !== 'message') return undefined;
      if (stanza.to !== undefined && stanza.type !== 'error' && !isEligible(stanza, stanza.to))
        ineligible.of(account).sent(stanza);
      return stanza.children.some(isCarbon) ? { remove: isCarbon } : undefined;
    });
    amend.received(function stripForeignCarbons(stanza, account) {
      if (stanza.kind !== 'message') return undefined;
      if (stanza.type !== 'error' && !isReceivedEligible(stanza)) ineligible.of(account).received(stanza);
      return stanza.children.some(isCarbon) ? { remove: isCarbon } : undefined;
    });

    copy.sent(function copySent(message, seen) {
      const { account, stanza } = message;
      if (stanza.type !== 'error') return isEligible(stanza, stanza.to!) ? copies('sent', message, seen) : [];
      return ineligible.peek(account)?.isAnsweredTo(stanza) === true ? [] : copies('sent', message, seen);
    });
    copy.received(function copyReceived(message, seen) {
      const { account, stanza } = message;
      if (stanza.type !== 'error') return isReceivedEligible(stanza) ? copies('received', message, seen) : [];
      // 10.3: what a client makes of a copy, which comes from the account itself, goes no further
      if (stanza.from!.bare === account.jid.bare || ineligible.peek(account)?.isAnsweredFrom(stanza) === true)
        return [];
      return copies('received', message, seen);
    });

    function copies(direction: 'sent' | 'received', message: LoggedMessage, seen: readonly Session[]): readonly Copy[] {
      const { account, stanza } = message;
      const made: Copy[] = [];
      let content: string | undefined;
      for (const to of account.sessions) {
        // 8: never to who sent it, also where it is a message to oneself
        if (wanted.peek(to)?.isWanted !== true || seen.includes(to) || to.jid.full === stanza.from!.full) continue;
        content ??= `<${direction} xmlns='${NS.CARBONS}'>${forwardedBytes(message.stamped.toDocument())}</${direction}>`;
        const header = { from: account.jid, to: to.jid, type: stanza.type };
        made.push({ to, stanza: Stanza.create('message', header).withChild(direction, NS.CARBONS, content) });
      }
      return made;
    }
  },
});

/** 6.1: the room sends a private message to every client that is in it. */
function isReceivedEligible(stanza: Stanza): boolean {
  return isEligible(stanza, stanza.from!) && !isRoomPrivate(stanza, stanza.from!);
}
