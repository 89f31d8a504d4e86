import type { Stanza } from '../../stanzas/stanza.ts';
import { StanzaError } from '../../stanzas/stanza-error.ts';
import type { SentPresence } from './pipeline.ts';

/** RFC 6121 4.7.1 */
export const UNKNOWN_PRESENCE = new StanzaError('bad-request', 'Unknown type of presence');

/** RFC 6121 4.7.1 */
export function isKnownPresence(stanza: Stanza): boolean {
  return stanza.type === 'error' || sentPresenceKind(stanza) !== undefined;
}

/** RFC 6121 4.3 */
export function isProbe({ kind, type }: Stanza): boolean {
  return kind === 'presence' && type === 'probe';
}

/** Whether it is of one resource, rather than of the account or in answer to somebody (RFC 6121 4.7.1). */
export function isOfPresence({ kind, type }: Stanza): boolean {
  return kind === 'presence' && (type === undefined || type === 'unavailable' || type === 'probe');
}

/** What a client asks for by sending it (RFC 6121 4.7.1); undefined for presence errors and for unknown types. */
export function sentPresenceKind({ type, to }: Stanza): SentPresence | undefined {
  switch (type) {
    case undefined:
    case 'unavailable':
      return to === undefined ? 'broadcast' : 'directed';
    case 'subscribe':
    case 'subscribed':
    case 'unsubscribe':
    case 'unsubscribed':
    case 'probe':
      return type;
    default:
      return undefined;
  }
}
