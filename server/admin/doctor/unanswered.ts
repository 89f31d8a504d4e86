import { isIPv6 } from 'node:net';

import type { UnansweredError } from '../../federation/visit.ts';
import type { Severity } from './check.ts';

/** What a machine without IPv6 says of an IPv6 address. */
const NO_WAY = new Set(['ENETUNREACH', 'EHOSTUNREACH', 'EADDRNOTAVAIL', 'EAFNOSUPPORT']);

/** How bad it is that an address does not answer, and what to do about it. */
export function severityOf(
  { code }: UnansweredError,
  address: string,
): { readonly severity: Exclude<Severity, 'ok'>; readonly advice: string } {
  if (isIPv6(address) && NO_WAY.has(code)) {
    return { severity: 'note', advice: 'this machine may have no IPv6: try from another one' };
  }
  return {
    severity: 'error',
    advice:
      'open the port in the firewall, or correct the record; a router that does not lead this machine back to itself may be the reason too: try from another network',
  };
}
