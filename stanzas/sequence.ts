import { attributeBytes } from './byte-string.ts';
import type { Child } from './frame.ts';
import { NS } from './namespaces.ts';
import type { Stanza } from './stanza.ts';

/**
 * A message's place in its chat, as a byte string: `<sequence by='montague.lit' chat='juliet@capulet.lit' n='42'/>`.
 *
 * @param by the receiving account's domain, whose word the client takes
 * @param chat the other side as the receiver knows it: the peer's bare JID
 * @param n 1, 2, 3, ... without gaps, the same on all devices of both sides
 */
export function sequenceBytes(by: string, chat: string, n: number): string {
  return `<sequence xmlns='${NS.SEQUENCE}' by='${attributeBytes(by)}' chat='${attributeBytes(chat)}' n='${String(n)}'/>`;
}

/** Removes numbers that claim to be ours, before ours is written: a client may trust every `by` of its own server. */
export function withoutForgedSequence(message: Stanza, isOurs: (domain: string) => boolean): Stanza {
  const forged = (child: Child): boolean => {
    if (child.namespace !== NS.SEQUENCE) return false;
    const by = message.parse(child).attribute('by');
    return by === undefined || isOurs(by);
  };
  return message.withoutChildren(forged);
}
