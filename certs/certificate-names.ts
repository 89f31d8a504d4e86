import { isIP, isIPv6 } from 'node:net';
import { domainToASCII } from 'node:url';

import { prepareDomainpart } from '../stanzas/jid.ts';

/** What a certificate says whom it is for. */
export interface CertificateNames {
  /** DNS-IDs as A-labels (RFC 6120 13.7.1.2.1), a wildcard for the services below the domain among them. */
  readonly dns: readonly string[];
  /** IP addresses in their canonical text. */
  readonly ip: readonly string[];
  /** SRV-IDs (RFC 4985). */
  readonly srv: readonly string[];
}

/** The names a certificate for an XMPP domain holds. @throws JidError where the domain is none */
export function namesOf(domain: string): CertificateNames {
  const address = domain.replace(/^\[(.*)\]$/, '$1');
  if (isIP(address) !== 0) return { dns: [], ip: [canonicalIp(address)], srv: [] };
  const ascii = domainToASCII(prepareDomainpart(domain));
  return {
    dns: [ascii, `*.${ascii}`],
    // Who develops on this machine connects by address too.
    ip: ascii === 'localhost' ? ['127.0.0.1', '::1'] : [],
    // RFC 6120 13.7.1.2.1: XmppAddr is no longer encouraged in server certificates, so it is not here.
    srv: [`_xmpp-client.${ascii}`, `_xmpp-server.${ascii}`],
  };
}

/** A file name for a domain: nothing but letters, digits, dots, hyphens and, for IPv6, underscores. */
export function fileNameOf(domain: string): string {
  const names = namesOf(domain);
  return (names.dns[0] ?? names.ip[0] ?? '').replace(/[^a-z0-9.-]/g, '_');
}

/** Whether a certificate's subjectAltName, as node:crypto prints it, has exactly these DNS names and addresses. */
export function hasNames(subjectAltName: string | undefined, names: CertificateNames): boolean {
  const found = (subjectAltName ?? '').split(', ').flatMap((entry) => {
    const [, kind, value = ''] = /^(DNS|IP Address):(.*)$/.exec(entry) ?? [];
    if (kind === undefined) return [];
    return [kind === 'DNS' ? value : canonicalIp(value)];
  });
  const expected = [...names.dns, ...names.ip];
  return found.length === expected.length && expected.every((name) => found.includes(name));
}

/** The octets of an IP address (RFC 5280 4.2.1.6). */
export function ipOctets(address: string): number[] {
  if (!isIPv6(address)) return address.split('.').map(Number);
  const [head = '', tail] = canonicalIp(address).split('::');
  const groups = (text: string): number[] => (text === '' ? [] : text.split(':').map((group) => parseInt(group, 16)));
  const before = groups(head);
  const after = groups(tail ?? '');
  const middle = new Array<number>(8 - before.length - after.length).fill(0);
  return [...before, ...middle, ...after].flatMap((group) => [group >> 8, group & 0xff]);
}

function canonicalIp(address: string): string {
  return isIPv6(address) ? new URL(`http://[${address}]`).hostname.slice(1, -1) : address;
}
