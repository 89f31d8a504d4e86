import { isIPv4 } from 'node:net';

import { componentContradictions } from './external-components.ts';
import { configuredListeners } from './listeners.ts';
import type { Config } from './options.ts';

/** Options that are fine each by itself and wrong together. */
export interface Contradiction {
  /** The option to blame, by its names in TOML. */
  readonly path: readonly string[];
  readonly found: unknown;
  /** Completes the sentence "must be ...". */
  readonly allowed: string;
}

/**
 * Finds options that contradict each other.
 * @param sound whether an option, `c2s.port`, holds what the operator gave it: those that do not are left out
 */
export function contradictions(config: Config, sound: (path: string) => boolean): Contradiction[] {
  return [
    ...unauthenticatedAboveLimit(config, sound),
    ...rotationAfterExpiry(config, sound),
    ...sharedPorts(config, sound),
    ...uncovered(config, sound),
    ...componentContradictions(config, sound),
  ];
}

function unauthenticatedAboveLimit({ c2s }: Config, sound: (path: string) => boolean): Contradiction[] {
  if (!sound('c2s.max_stanza_bytes') || !sound('c2s.max_stanza_bytes_unauthenticated')) return [];
  if (c2s.maxStanzaBytesUnauthenticated <= c2s.maxStanzaBytes) return [];
  const allowed = `at most c2s.max_stanza_bytes, ${c2s.maxStanzaBytes}`;
  return [{ path: ['c2s', 'max_stanza_bytes_unauthenticated'], found: c2s.maxStanzaBytesUnauthenticated, allowed }];
}

function rotationAfterExpiry({ sasl }: Config, sound: (path: string) => boolean): Contradiction[] {
  if (!sound('sasl.token_days') || !sound('sasl.token_rotation_hours')) return [];
  if (sasl.tokenDays === 0 || sasl.tokenRotationHours < sasl.tokenDays * 24) return [];
  const allowed = `less than sasl.token_days, ${sasl.tokenDays}, or tokens expire before they are replaced`;
  return [{ path: ['sasl', 'token_rotation_hours'], found: sasl.tokenRotationHours, allowed }];
}

function sharedPorts(config: Config, sound: (path: string) => boolean): Contradiction[] {
  const listeners = configuredListeners(config).filter(
    ({ port, portOption, addressOption }) => port !== false && port !== 0 && sound(portOption) && sound(addressOption),
  );
  return listeners.flatMap((listener, index) => {
    const earlier = listeners
      .slice(0, index)
      .find(({ port, addresses }) => port === listener.port && overlap(addresses, listener.addresses));
    if (earlier === undefined) return [];
    const allowed = `another port than that of ${earlier.portOption}, which listens on the same address`;
    return [{ path: listener.portOption.split('.'), found: listener.port, allowed }];
  });
}

/** Whether two listeners of one port would want the same address. */
function overlap(some: readonly string[], others: readonly string[]): boolean {
  return some.some((one) =>
    others.some(
      (other) =>
        one === other || (isIPv4(one) === isIPv4(other) && [one, other].some((ip) => /^(0\.0\.0\.0|::)$/.test(ip))),
    ),
  );
}

function uncovered({ domains, tls }: Config, sound: (path: string) => boolean): Contradiction[] {
  if (tls.certificates.length === 0 || !sound('tls.certificates') || !sound('domains')) return [];
  const names = new Set(tls.certificates.flatMap((entry) => entry.domains));
  return domains.flatMap((domain, index) => {
    if (names.has(domain) || names.has(domain.replace(/^[^.]+/, '*'))) return [];
    const allowed = 'among the domains of one of tls.certificates, since some are configured';
    return [{ path: ['domains', String(index)], found: domain, allowed }];
  });
}
