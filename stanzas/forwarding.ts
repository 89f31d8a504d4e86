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

/** Puts children at the end of a message that was written by Stanza.toDocument; byte strings all. */
export function documentWith(document: string, children: string): string {
  if (children === '') return document;
  if (document.endsWith(END)) return `${document.slice(0, -END.length)}${children}${END}`;
  return `${document.slice(0, -2)}>${children}${END}`;
}

const END = '</message>';
