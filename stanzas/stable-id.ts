import { attributeBytes } from './byte-string.ts';
import type { Child } from './frame.ts';
import { NS } from './namespaces.ts';
import type { Stanza } from './stanza.ts';

/**
 * XEP-0359: `<stanza-id xmlns='urn:xmpp:sid:0' by='juliet@capulet.lit' id='28482-98726-73623'/>` as a byte string.
 *
 * @param by the archive's address
 */
export function stanzaIdBytes(by: string, id: string): string {
  return `<stanza-id xmlns='${NS.STANZA_ID}' by='${attributeBytes(by)}' id='${attributeBytes(id)}'/>`;
}

/** Removes the ids whose `by` is ours: who adds them must delete all others (XEP-0359 3, rules 2 and 4). */
export function withoutForgedIds(message: Stanza, isOurs: (jid: string) => boolean): Stanza {
  const forged = (child: Child): boolean => {
    if (child.namespace !== NS.STANZA_ID || child.name !== 'stanza-id') return false;
    const by = message.parse(child).attribute('by');
    return by === undefined || isOurs(by);
  };
  return message.withoutChildren(forged);
}

/** The id the sender's client gave (XEP-0359 2.2); undefined where it gave none. */
export function originId(message: Stanza): string | undefined {
  const id = message.child('origin-id', NS.STANZA_ID)?.attribute('id');
  return id === '' ? undefined : id;
}
