import { attributeBytes } from './byte-string.ts';
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
  const bytes = `<delay xmlns='${NS.DELAY}' from='${attributeBytes(from)}' stamp='${dateTime(timeUs)}'/>`;
  return stanza.withChild('delay', NS.DELAY, bytes);
}

/** XEP-0082 DateTime in UTC with microseconds, of microseconds since the epoch. */
export function dateTime(timeUs: number): string {
  const milliseconds = Math.floor(timeUs / 1000);
  const rest = String(timeUs - milliseconds * 1000).padStart(3, '0');
  return `${new Date(milliseconds).toISOString().slice(0, -1)}${rest}Z`;
}

const DATE_TIME = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,30}))?(Z|[+-]\d\d:\d\d)$/;

/** Microseconds since the epoch of an XEP-0082 DateTime, what is finer cut off; undefined for what is none. */
export function parseDateTime(text: string): number | undefined {
  const [, seconds, fraction = '', zone] = DATE_TIME.exec(text) ?? [];
  if (seconds === undefined || zone === undefined) return undefined;
  const milliseconds = Date.parse(seconds + zone);
  return Number.isNaN(milliseconds) ? undefined : milliseconds * 1000 + Number(fraction.slice(0, 6).padEnd(6, '0'));
}
