import { Jid } from '../../stanzas/jid.ts';
import { scanDocument } from '../../stanzas/scanner.ts';
import { Stanza } from '../../stanzas/stanza.ts';
import type { Account } from '../routing/account.ts';
import type { Roster } from './roster.ts';

/** A request is kept until it is answered; one that is larger is kept without its content. */
const MAX_KEPT_BYTES = 4096;
/** What was stored is scanned again when it is read: generous, because it passed the limits of its day. */
const STORED_LIMITS = { maxBytes: 1024 * 1024, maxDepth: 2000, maxAttributes: 2000 };

/** A subscription request as it is stored, a byte string of bounded length (RFC 6121 3.1.3, rule 4). */
export function keptRequest(stanza: Stanza): string {
  const bytes = stanza.toDocument();
  return bytes.length <= MAX_KEPT_BYTES ? bytes : withoutContent(stanza.from, stanza.to).toDocument();
}

/** The requests that wait for the user's answer, to be shown at every login until there is one (RFC 6121 3.1.3, rule 4). */
export function waitingRequests(account: Account, roster: Roster): Stanza[] {
  const requests: Stanza[] = [];
  for (const { jid, request } of roster.items()) {
    if (request !== undefined) requests.push(readRequest(request, Jid.parse(jid), account.jid));
  }
  return requests;
}

function readRequest(bytes: string, from: Jid, to: Jid): Stanza {
  try {
    const frame = scanDocument(Buffer.from(bytes, 'latin1'), STORED_LIMITS);
    return Stanza.fromFrame('presence', frame, { from, to, id: frame.id, type: 'subscribe', lang: frame.lang });
  } catch {
    return withoutContent(from, to); // damaged on disk: who asks is known all the same
  }
}

function withoutContent(from: Jid | undefined, to: Jid | undefined): Stanza {
  return Stanza.create('presence', { from, to, type: 'subscribe' });
}
