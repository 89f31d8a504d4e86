import { NS } from './namespaces.ts';
import { messageType, type Stanza } from './stanza.ts';

/** How long a message is worth keeping (XEP-0334 with the rules of XEP-0160 and XEP-0313 5.1). */
export type Keeping =
  | 'never' // deliver it or forget it
  | 'until-delivered' // offline storage, but no archive
  | 'archive'; // worth a place in the history, and so a number in its chat

/** Payloads that mean something to a person or to a later device, with or without a body. */
const CONTENT_NAMESPACES: ReadonlySet<string> = new Set([
  NS.RECEIPTS,
  NS.CHAT_MARKERS,
  'urn:xmpp:message-correct:0', // XEP-0308
  'urn:xmpp:message-retract:1', // XEP-0424
  'urn:xmpp:reactions:0', // XEP-0444
  'urn:xmpp:jingle-message:0', // XEP-0353
  'urn:xmpp:fallback:0', // XEP-0428
  'eu.siacs.conversations.axolotl', // XEP-0384
  'urn:xmpp:omemo:2', // XEP-0384
  'jabber:x:conference', // XEP-0249
  'jabber:x:oob', // XEP-0066
  'jabber:x:encrypted', // XEP-0027
  'urn:xmpp:openpgp:0', // XEP-0373
]);

/** Decides what is kept of a message. Presence and IQ are never asked about. */
export function keepingOf(message: Stanza): Keeping {
  const type = messageType(message);
  // XEP-0160 3, XEP-0334 6: errors, headlines and groupchat copies have no place in an account's log.
  if (type !== 'normal' && type !== 'chat') return 'never';
  let content = false;
  let store = false;
  let permanent = true;
  for (const { name, namespace } of message.children) {
    if (namespace === NS.HINTS) {
      if (name === 'no-store') return 'never';
      if (name === 'no-permanent-store') permanent = false;
      if (name === 'store') store = true;
    } else if (namespace === NS.CARBONS || namespace === NS.MAM) {
      // A copy made for one session, of a message that has its place already (XEP-0280 7 and 8, XEP-0313 4.2)
      if (name === 'sent' || name === 'received' || name === 'result') return 'never';
    } else if (name === 'body' && namespace === NS.CLIENT) content = true;
    else if (!content && CONTENT_NAMESPACES.has(namespace)) content = true;
  }
  if (!content && !store) {
    // XEP-0160 3: a normal message is stored whatever it holds; a chat message of nothing but chat states is not.
    return type === 'normal' && message.children.some(({ namespace }) => namespace !== NS.CHAT_STATES)
      ? 'until-delivered'
      : 'never';
  }
  return permanent ? 'archive' : 'until-delivered';
}
