import type { IncomingHttpHeaders } from 'node:http';
import { BlockList, isIP } from 'node:net';

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

/** Whether an address is this machine's own: where `http.tls` is off, that of the proxy which does the TLS. */
export function isLoopback(address: string): boolean {
  const version = isIP(address);
  return version !== 0 && loopback.check(address, version === 4 ? 'ipv4' : 'ipv6');
}

/** The client that a proxy on this machine speaks for: the last entry is the proxy's own, earlier ones anybody's. */
export function forwardedAddress(headers: IncomingHttpHeaders): string | undefined {
  const last = String(headers['x-forwarded-for'] ?? '')
    .split(',')
    .at(-1)
    ?.trim();
  return last !== undefined && isIP(last) !== 0 ? last : undefined;
}

/** Whether the proxy does not say that it was reached without TLS. */
export function forwardedSecurely(headers: IncomingHttpHeaders): boolean {
  return !/^(http|ws)$/i.test(String(headers['x-forwarded-proto'] ?? '').trim());
}
