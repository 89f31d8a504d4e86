import { escapeAttribute, toByteString } from '../../stanzas/byte-string.ts';
import type { StreamHeader } from '../../stanzas/frame.ts';
import { NS } from '../../stanzas/namespaces.ts';
import { StreamError } from '../../stanzas/stream-error.ts';
import type { SaslNegotiation } from '../sasl/negotiation.ts';
import type { Connection } from './connection.ts';
import type { StreamContext } from './stream-context.ts';

/** The prepared domain a client's header is addressed to; undefined where it names none. */
export function domainOf({ to }: StreamHeader, { jids }: StreamContext): string | undefined {
  if (to === undefined) return undefined;
  try {
    const jid = jids.parse(to);
    return jid.local === '' && jid.resource === '' ? jid.domain : undefined;
  } catch {
    return undefined;
  }
}

/** Language tags of RFC 5646 in use are far shorter. */
const MAX_LANG_LENGTH = 64;

/** The stream's language (RFC 6120 4.7.4). It is repeated on every stanza without one: a long one is left out. */
export function langOf({ lang }: StreamHeader): string | undefined {
  return lang !== undefined && lang.length <= MAX_LANG_LENGTH ? lang : undefined;
}

/**
 * Refuses a header that cannot begin a client's stream here (RFC 6120 4.7, 4.8).
 * @param domain what it is addressed to
 * @param earlierDomain what the stream was addressed to before it was restarted
 * @throws StreamError
 */
export function checkHeader(
  header: StreamHeader,
  domain: string | undefined,
  earlierDomain: string | undefined,
  { domains }: StreamContext,
): asserts domain is string {
  if (header.contentNamespace !== NS.CLIENT) {
    throw new StreamError('invalid-namespace', 'Clients speak jabber:client here');
  }
  // RFC 6120 4.9.1.3
  const isRestartElsewhere = earlierDomain !== undefined && earlierDomain !== domain;
  if (domain === undefined || !domains.has(domain) || isRestartElsewhere) {
    throw new StreamError('host-unknown', 'This domain is not served here');
  }
  // RFC 6120 4.7.5
  if (header.version === undefined || !/^[1-9]\d*\.\d+$/.test(header.version)) {
    throw new StreamError('unsupported-version', 'XMPP 1.0 is spoken here');
  }
}

/** Our side of the stream header (RFC 6120 4.2, RFC 7395 3.4), a byte string. */
export function headerBytes(
  { framing }: Connection,
  from: string,
  header: StreamHeader | undefined,
  { randomId }: StreamContext,
): string {
  const to = header?.from === undefined ? '' : ` to='${toByteString(escapeAttribute(header.from))}'`;
  const attributes = `from='${toByteString(from)}'${to} id='${randomId()}' version='1.0' xml:lang='en'`;
  return framing === 'websocket'
    ? `<open xmlns='${NS.FRAMING}' ${attributes}/>`
    : `<?xml version='1.0'?><stream:stream xmlns='${NS.CLIENT}' xmlns:stream='${NS.STREAMS}' ${attributes}>`;
}

/**
 * What may be negotiated now (RFC 6120 4.3.2), a byte string.
 * @param sasl undefined once the client is authenticated
 * @param maxBytes the largest first-level element taken now
 */
export function featuresBytes(
  { canStartTls, framing }: Connection,
  sasl: SaslNegotiation | undefined,
  maxBytes: number,
  { config: { c2s }, streamFeatures }: StreamContext,
): string {
  let features = '';
  if (sasl === undefined) {
    features += `<bind xmlns='${NS.BIND}'/><sm xmlns='${NS.STREAM_MANAGEMENT}'/>`;
    for (const feature of streamFeatures) features += feature().toBytes(NS.CLIENT);
  } else {
    if (canStartTls) {
      features += `<starttls xmlns='${NS.TLS}'>${c2s.allowPlaintextAuthentication ? '' : '<required/>'}</starttls>`;
    }
    features += sasl.features();
  }
  features +=
    `<limits xmlns='${NS.STREAM_LIMITS}'><max-bytes>${maxBytes}</max-bytes>` +
    `<idle-seconds>${c2s.idleSeconds}</idle-seconds></limits>`;
  const declaration = framing === 'websocket' ? ` xmlns:stream='${NS.STREAMS}'` : '';
  return `<stream:features${declaration}>${features}</stream:features>`;
}
