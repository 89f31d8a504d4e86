import type { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { domainToASCII } from 'node:url';

import { objectIdentifier, valuesOf } from './der.ts';

/** The names of a server's certificate that RFC 6120 13.7.1.2 knows, each as it is written. */
export interface PeerNames {
  /** DNS-IDs: A-labels, perhaps with a wildcard. */
  readonly dns: readonly string[];
  /** SRV-IDs (RFC 4985): `_xmpp-server.capulet.example`. */
  readonly srv: readonly string[];
  /** XmppAddr (RFC 6120 13.7.1.4). */
  readonly xmpp: readonly string[];
  /** Addresses, in text. */
  readonly ip: readonly string[];
}

/** What the other side of a TLS connection has shown of itself. */
export interface PeerCertificate {
  readonly names: PeerNames;
  /** Why it is not to be trusted, whatever its names: the chain, the dates. Undefined: an authority of ours vouches. */
  readonly problem: string | undefined;
}

const SUBJECT_ALT_NAME = '2.5.29.17';
const XMPP_ADDR = '1.3.6.1.5.5.7.8.5';
const SRV_NAME = '1.3.6.1.5.5.7.8.7';
const OBJECT_IDENTIFIER = 0x06;
const OCTET_STRING = 0x04;
const EXTENSIONS = 0xa3;
// GeneralName (RFC 5280 4.2.1.6)
const OTHER_NAME = 0xa0;
const DNS_NAME = 0x82;
const IP_ADDRESS = 0x87;

/** Reads the certificate of the other side once the handshake is complete; undefined where it showed none. */
export function peerCertificateOf(socket: TLSSocket): PeerCertificate | undefined {
  const certificate: X509Certificate | undefined = socket.getPeerX509Certificate();
  if (certificate === undefined) return undefined;
  return { names: peerNames(certificate.raw), problem: verificationProblem(socket) };
}

/**
 * What OpenSSL says of the chain. `authorized` is set for clients and by tls.Server only, so a connection that became TLS
 * by STARTTLS is asked as tls.Server would ask it.
 */
function verificationProblem(socket: TLSSocket): string | undefined {
  const { ssl } = socket as unknown as {
    readonly ssl?: { verifyError(): (Error & { code?: string }) | null | undefined };
  };
  if (ssl === undefined) return 'the connection is closed';
  const error = ssl.verifyError();
  return error === null || error === undefined ? undefined : (error.code ?? error.message);
}

/** The names of a certificate (DER). What cannot be read names nobody. */
export function peerNames(certificate: Buffer): PeerNames {
  const names = { dns: [] as string[], srv: [] as string[], xmpp: [] as string[], ip: [] as string[] };
  for (const { tag, content } of alternativeNames(certificate)) {
    if (tag === DNS_NAME) names.dns.push(content.toString('latin1').toLowerCase());
    else if (tag === IP_ADDRESS) names.ip.push(addressText(content));
    else if (tag === OTHER_NAME) {
      const [identifier, wrapped] = valuesOf(content);
      if (identifier?.tag !== OBJECT_IDENTIFIER || wrapped === undefined) continue;
      const text = valuesOf(wrapped.content)[0]?.content.toString('utf8') ?? '';
      const type = objectIdentifier(identifier.content);
      if (type === XMPP_ADDR) names.xmpp.push(text);
      else if (type === SRV_NAME) names.srv.push(text.toLowerCase());
    }
  }
  return names;
}

/** The GeneralNames of subjectAltName: Certificate, TBSCertificate, [3] Extensions, Extension, OCTET STRING. */
function alternativeNames(certificate: Buffer): ReturnType<typeof valuesOf> {
  const toBeSigned = valuesOf(valuesOf(certificate)[0]?.content ?? Buffer.alloc(0))[0];
  const extensions = valuesOf(toBeSigned?.content ?? Buffer.alloc(0)).find(({ tag }) => tag === EXTENSIONS);
  for (const extension of valuesOf(valuesOf(extensions?.content ?? Buffer.alloc(0))[0]?.content ?? Buffer.alloc(0))) {
    const parts = valuesOf(extension.content);
    const [identifier] = parts;
    if (identifier?.tag !== OBJECT_IDENTIFIER || objectIdentifier(identifier.content) !== SUBJECT_ALT_NAME) continue;
    const value = parts.find(({ tag }) => tag === OCTET_STRING);
    return valuesOf(valuesOf(value?.content ?? Buffer.alloc(0))[0]?.content ?? Buffer.alloc(0));
  }
  return [];
}

function addressText(octets: Buffer): string {
  if (octets.length === 4) return [...octets].join('.');
  if (octets.length !== 16) return '';
  const groups = Array.from({ length: 8 }, (_, index) => octets.readUInt16BE(index * 2).toString(16));
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1);
}

/**
 * Whether these are the names of a domain (RFC 6120 13.7.2.1, RFC 6125 6.4). Common names are not looked at (RFC 9525).
 * @param domain a prepared domainpart
 */
export function namesDomain(names: PeerNames, domain: string): boolean {
  const literal = domain.replace(/^\[(.*)\]$/, '$1');
  if (isIP(literal) !== 0) return names.ip.includes(literal);
  const wanted = domainToASCII(domain);
  if (wanted === '') return false;
  return (
    names.dns.some((name) => matchesDns(name, wanted)) ||
    // RFC 6120 13.7.1.2.1; XEP-0368 2: direct TLS proves the same names
    names.srv.some(
      (name) => name.startsWith('_xmpp-server.') && lookupName(name.slice('_xmpp-server.'.length)) === wanted,
    ) ||
    names.xmpp.some((name) => lookupName(name) === wanted)
  );
}

/** RFC 6125 6.4.3, RFC 6120 13.7.1.2.1: a wildcard is the whole left-most label and stands for exactly one label. */
function matchesDns(presented: string, wanted: string): boolean {
  if (!presented.startsWith('*.')) return lookupName(presented) === wanted;
  const parent = presented.slice(2);
  const dot = wanted.indexOf('.');
  return parent.includes('.') && dot > 0 && wanted.slice(dot + 1) === lookupName(parent);
}

/** What domainToASCII, which reads as browsers do, would undo, drop, or take for the end of the name; and the wildcard. */
const NO_NAME = /[\0-\x20"#%*/:<>?@[\\\]^`{|}\x7f]/;

/** As names are compared: A-labels in lower case, without the final dot; '' for what is no name of a domain. */
function lookupName(name: string): string {
  return NO_NAME.test(name) ? '' : domainToASCII(name.replace(/\.$/, ''));
}
