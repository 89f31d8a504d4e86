import { attributeBytes, toByteString } from '../../stanzas/byte-string.ts';
import type { Element } from '../../stanzas/element.ts';
import type { StreamHeader } from '../../stanzas/frame.ts';
import { NS } from '../../stanzas/namespaces.ts';
import { StreamError } from '../../stanzas/stream-error.ts';
import type { ClientStream } from './client-stream.ts';
import type { Connection } from './connection.ts';
import type { SaslProfiles } from './sasl-profiles.ts';
import type { StreamContext } from './stream-context.ts';

/**
 * The prepared domain a client's header is addressed to; undefined where that is none. RFC 6120 4.7.2 asks to be liberal
 * with a header that is addressed to nobody: it means the domain it named before, or the only one there is.
 */
export function domainOf(
  { to }: StreamHeader,
  earlierDomain: string | undefined,
  { jids, domains }: StreamContext,
): string | undefined {
  if (to === undefined) return earlierDomain ?? (domains.size === 1 ? [...domains][0] : undefined);
  try {
    const jid = jids.parse(to);
    return jid.local === '' && jid.resource === '' ? jid.domain : undefined;
  } catch {
    return undefined;
  }
}

/** The bare JID that a header says it is from (RFC 6120 4.7.1); undefined where it says nothing that is an address. */
export function claimOf({ from }: StreamHeader, { jids }: StreamContext): string | undefined {
  if (from === undefined) return undefined;
  try {
    return jids.parse(from).bare;
  } catch {
    return undefined;
  }
}

/**
 * Refuses a client that logs in as somebody else than its header said (RFC 6120 6.4.6).
 * @throws StreamError
 */
export function checkClaim(claimed: string | undefined, authenticated: string): void {
  if (claimed !== undefined && claimed !== authenticated) {
    throw new StreamError('invalid-from', 'The stream header is from somebody else');
  }
}

/** A language tag of RFC 5646, by its outline; those in use are far shorter. */
const LANGUAGE_TAG = /^[a-z]{1,8}(?:-[a-z0-9]{1,8}){0,7}$/i;

/** The stream's language (RFC 6120 4.7.4). It is put on every stanza without one: what is none is left out. */
export function langOf({ lang }: StreamHeader): string | undefined {
  return lang !== undefined && LANGUAGE_TAG.test(lang) ? lang : undefined;
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
  // RFC 6120 4.8.2: jabber:client, or none where each element declares its own
  if (header.contentNamespace !== NS.CLIENT && header.contentNamespace !== '') {
    throw new StreamError('invalid-namespace', 'Clients speak jabber:client here');
  }
  // RFC 6120 4.9.3.6
  if (domain === undefined || !domains.has(domain)) {
    throw new StreamError('host-unknown', 'This domain is not served here');
  }
  if (earlierDomain !== undefined && earlierDomain !== domain) {
    // RFC 6120 4.9.3.12: what was negotiated holds for the domain it was negotiated with
    throw new StreamError('not-authorized', 'A restarted stream stays with its domain');
  }
  // RFC 6120 4.7.5: without a version it is 0.9
  const [major = 0] = versionOf(header.version) ?? [];
  if (major < 1) throw new StreamError('unsupported-version', 'XMPP 1.0 is spoken here');
}

/** Major and minor version (RFC 6120 4.7.5); undefined where it is no version. */
function versionOf(version = ''): readonly [major: number, minor: number] | undefined {
  const match = /^(\d{1,9})\.(\d{1,9})$/.exec(version);
  return match === null ? undefined : [Number(match[1]), Number(match[2])];
}

/** RFC 6120 4.7.5 rules 2 and 4: the lower of both versions; none to who names none. */
function versionAttribute(header: StreamHeader | undefined): string {
  if (header !== undefined && header.version === undefined) return '';
  const [major, minor] = versionOf(header?.version) ?? [1, 0];
  return ` version='${major >= 1 ? '1.0' : `0.${minor}`}'`;
}

/** Our side of the stream header (RFC 6120 4.2, RFC 7395 3.4), a byte string. */
export function headerBytes(
  { framing }: Connection,
  from: string,
  header: StreamHeader | undefined,
  context: StreamContext,
): string {
  const client = header === undefined ? undefined : claimOf(header, context);
  const to = client === undefined ? '' : ` to='${attributeBytes(client)}'`; // RFC 6120 4.7.2: its bare JID
  const attributes = `from='${toByteString(from)}'${to} id='${context.randomId()}'${versionAttribute(header)} xml:lang='en'`;
  return framing === 'websocket'
    ? `<open xmlns='${NS.FRAMING}' ${attributes}/>`
    : `<?xml version='1.0'?><stream:stream xmlns='${NS.CLIENT}' xmlns:stream='${NS.STREAMS}' ${attributes}>`;
}

/** Features as they were written last: they hardly ever change. */
const written = new WeakMap<Element, string>();

function bytesOf(feature: Element): string {
  let bytes = written.get(feature);
  if (bytes === undefined) written.set(feature, (bytes = feature.toBytes(NS.CLIENT)));
  return bytes;
}

/**
 * What may be negotiated now (RFC 6120 4.3.2), a byte string.
 * @param sasl undefined once the client is authenticated
 * @param maxBytes the largest first-level element taken now
 */
export function featuresBytes(
  { connection: { canStartTls, framing }, context, session }: ClientStream,
  sasl: SaslProfiles | undefined,
  maxBytes: number,
): string {
  const { c2s } = context.config;
  const limits =
    `<limits xmlns='${NS.STREAM_LIMITS}'><max-bytes>${maxBytes}</max-bytes>` +
    `<idle-seconds>${c2s.idleSeconds}</idle-seconds></limits>`;
  let features = '';
  if (sasl === undefined) {
    if (session === undefined) features += `<bind xmlns='${NS.BIND}'/>`;
    if (session?.isAcknowledging !== true) features += `<sm xmlns='${NS.STREAM_MANAGEMENT}'/>`;
    for (const feature of context.streamFeatures) features += bytesOf(feature());
    features += limits;
  } else if (canStartTls && !c2s.allowPlaintextAuthentication) {
    features = `<starttls xmlns='${NS.TLS}'><required/></starttls>`; // RFC 6120 5.3.1: nothing else beside it
  } else {
    if (canStartTls) features += `<starttls xmlns='${NS.TLS}'/>`;
    features = sasl.announce(features + limits, context);
  }
  const declaration = framing === 'websocket' ? ` xmlns:stream='${NS.STREAMS}'` : '';
  return `<stream:features${declaration}>${features}</stream:features>`;
}
