import type { Child } from '../../stanzas/frame.ts';
import { tryParseJid } from '../../stanzas/jid.ts';
import { NS } from '../../stanzas/namespaces.ts';
import { withoutForgedSequence } from '../../stanzas/sequence.ts';
import { withoutForgedIds } from '../../stanzas/stable-id.ts';
import type { Stanza } from '../../stanzas/stanza.ts';

/** Removes numbers and archive ids that claim to be of one of our domains, before ours are written (XEP-0359, business rules). */
export function withoutForgeries(message: Stanza, domains: ReadonlySet<string>): Stanza {
  // Nearly always there is nothing to look into.
  if (!message.children.some(mayClaim)) return message;
  const isOurs = (by: string): boolean => {
    const jid = tryParseJid(by);
    return jid !== undefined && domains.has(jid.domain);
  };
  return withoutForgedIds(withoutForgedSequence(message, isOurs), isOurs);
}

function mayClaim({ namespace }: Child): boolean {
  return namespace === NS.STANZA_ID || namespace === NS.SEQUENCE;
}
