import { dateTime } from './delay.ts';
import { NS } from './namespaces.ts';

/**
 * XEP-0297: the element that carries a copy of a stanza, as a byte string.
 *
 * @param document the stanza with its namespace declared (Stanza.toDocument)
 * @param receivedUs when it was received, microseconds since the epoch; undefined says nothing of it
 */
export function forwardedBytes(document: string, receivedUs?: number): string {
  const delay = receivedUs === undefined ? '' : `<delay xmlns='${NS.DELAY}' stamp='${dateTime(receivedUs)}'/>`;
  return `<forwarded xmlns='${NS.FORWARD}'>${delay}${document}</forwarded>`;
}
