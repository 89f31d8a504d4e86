import { BoundedCache } from '../../stanzas/bounded-cache.ts';
import { forwardedBytes } from '../../stanzas/forwarding.ts';
import type { Child } from '../../stanzas/frame.ts';
import type { Jid } from '../../stanzas/jid.ts';
import { NS } from '../../stanzas/namespaces.ts';
import { messageType, Stanza } from '../../stanzas/stanza.ts';
import { defineModule } from '../module.ts';
import type { LoggedMessage } from '../routing/logged-message.ts';
import type { Copy } from '../routing/pipeline.ts';
import type { Session } from '../routing/session.ts';

/** XEP-0280: Message Carbons. What one resource sends or receives, the account's others see too. */
export const carbons = defineModule({
  name: 'carbons',
  implements: [
    { xep: 280, version: '1.0.1' },
    { xep: 297, version: '1.0' },
  ],
  setup({ iq, feature, bindFeature, amend, copy, sessionSlot, accountSlot }) {
    feature(NS.CARBONS, ['server', 'account']);
    const wanted = sessionSlot(() => ({ isWanted: false }), {
      name: 'carbons',
      save: ({ isWanted }) => (isWanted ? 'enabled' : undefined),
      restore: (text) => ({ isWanted: text === 'enabled' }),
    });

    /** Messages that were copied when they were sent, by id and addressee: an error that answers one is copied as well. */
    const answerable = accountSlot(() => new BoundedCache<string, Jid>(MAX_ANSWERABLE));

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
    amend.sent(function stripForgedCarbons(stanza) {
      return stanza.kind === 'message' && stanza.children.some(isCarbon) ? { remove: isCarbon } : undefined;
    });
    amend.received(function stripForeignCarbons(stanza) {
      return stanza.kind === 'message' && stanza.children.some(isCarbon) ? { remove: isCarbon } : undefined;
    });

    copy.sent(function copySent(message, seen) {
      const { account, stanza } = message;
      if (!isEligible(stanza, stanza.to!)) return [];
      const [sender] = seen;
      if (stanza.id !== undefined && stanza.id.length <= MAX_ID_LENGTH && sender !== undefined)
        answerable.of(account).set(copyOf(keyOf(stanza.id, stanza.to!)), sender.jid);
      return copies('sent', message, seen);
    });
    copy.received(function copyReceived(message, seen) {
      const { account, stanza } = message;
      if (stanza.type === 'error') {
        const sender =
          stanza.id === undefined ? undefined : answerable.peek(account)?.get(keyOf(stanza.id, stanza.from!));
        // 6.1; only what came back to who sent it. A carbon has no id, so an error never answers one (10.3).
        return sender !== undefined && seen.some(({ jid }) => jid.full === sender.full)
          ? copies('received', message, seen)
          : [];
      }
      // 6.1: the room sends a private message to every client that is in it
      if (!isEligible(stanza, stanza.from!) || isRoomPrivate(stanza, stanza.from!)) return [];
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

function isCarbon({ name, namespace }: Child): boolean {
  return namespace === NS.CARBONS && (name === 'sent' || name === 'received');
}

const MAX_ANSWERABLE = 100;
/** Clients choose their ids: a longer one is not remembered, so the error that answers it is not copied. */
const MAX_ID_LENGTH = 1000;

function keyOf(id: string, contact: Jid): string {
  return `${contact.full}\0${id}`;
}

/** The id is a slice of its stanza, which would stay in memory with it. */
function copyOf(key: string): string {
  return Buffer.from(key).toString();
}

/**
 * The rules of 6.1 for all but errors. Deviation: `urn:xmpp:carbons:rules:0` is not announced, since only the latest messages
 * are remembered for their errors, and only where there was another session to see them.
 */
function isEligible(stanza: Stanza, contact: Jid): boolean {
  let hasBody = false;
  let hasPayload = false;
  for (const { name, namespace } of stanza.children) {
    // 9, and XEP-0334 4.3
    if (namespace === NS.CARBONS && name === 'private') return false;
    if (namespace === NS.HINTS && name === 'no-copy') return false;
    if (namespace === NS.CLIENT && name === 'body') hasBody = true;
    else if (IM_PAYLOADS.has(namespace)) hasPayload = true;
  }
  switch (messageType(stanza)) {
    case 'chat':
      return true;
    case 'normal':
      return hasBody || hasPayload || isRoomPrivate(stanza, contact) || isInvitation(stanza);
    case 'headline':
      return hasPayload;
    case 'groupchat':
    case 'error':
      return false;
  }
}

/** Payloads of instant messaging (6.1). */
const IM_PAYLOADS: ReadonlySet<string> = new Set([
  NS.RECEIPTS,
  NS.CHAT_STATES,
  NS.CHAT_MARKERS,
  'jabber:x:conference', // XEP-0249: direct invitations
]);

/** XEP-0045 7.8.2 */
function isInvitation(stanza: Stanza): boolean {
  return stanza.child('x', NS.MUC_USER)?.child('invite') !== undefined;
}

/** XEP-0045 7.5: between occupants, whose addresses are full. */
function isRoomPrivate(stanza: Stanza, contact: Jid): boolean {
  return !contact.isBare && stanza.hasChild('x', NS.MUC_USER) && !isInvitation(stanza);
}
