import { escapeAttribute, toByteString } from './byte-string.ts';
import { NS } from './namespaces.ts';
import type { Stanza } from './stanza.ts';

/**
 * XEP-0203: says that a stanza was received earlier, by whom and when.
 *
 * @param from the domain that kept it
 * @param timeUs when it was received, microseconds since the epoch; written with all six digits, because clients sort a
 *   burst by the stamp (Interop: Gajim shows whole seconds backwards)
 */
export function withDelay(stanza: Stanza, from: string, timeUs: number): Stanza {
  const bytes = `<delay xmlns='${NS.DELAY}' from='${toByteString(escapeAttribute(from))}' stamp='${dateTime(timeUs)}'/>`;
  return stanza.withChild('delay', NS.DELAY, bytes);
}

/** XEP-0082 DateTime in UTC with microseconds, of microseconds since the epoch. */
export function dateTime(timeUs: number): string {
  const milliseconds = Math.floor(timeUs / 1000);
  const rest = String(timeUs - milliseconds * 1000).padStart(3, '0');
  return `${new Date(milliseconds).toISOString().slice(0, -1)}${rest}Z`;
}
