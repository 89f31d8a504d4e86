import { domainToASCII } from 'node:url';

/**
 * How far another server is trusted. `certificate`: it must show a certificate that is valid for its domain. `dialback`:
 * where it has none, what DNS says of its domain will do (XEP-0220). `deny`: nothing goes to it or comes from it.
 */
export type PeerPolicy = 'certificate' | 'dialback' | 'deny';

/** The policies of domains: the nearest name wins, and `*.` before a name means everything below it. */
export class PeerPolicies {
  readonly #general: PeerPolicy;
  readonly #policies: ReadonlyMap<string, PeerPolicy>;

  constructor(general: PeerPolicy, exceptions: readonly { readonly domain: string; readonly policy: PeerPolicy }[]) {
    this.#general = general;
    this.#policies = new Map(exceptions.map(({ domain, policy }) => [lookupName(domain), policy]));
  }

  /** @param domain a prepared domainpart */
  of(domain: string): PeerPolicy {
    const name = lookupName(domain);
    const exact = this.#policies.get(name);
    if (exact !== undefined) return exact;
    for (let dot = name.indexOf('.'); dot >= 0; dot = name.indexOf('.', dot + 1)) {
      const below = this.#policies.get(`*${name.slice(dot)}`);
      if (below !== undefined) return below;
    }
    return this.#general;
  }
}

function lookupName(domain: string): string {
  if (domain.startsWith('[')) return domain;
  return domain.startsWith('*.') ? `*.${domainToASCII(domain.slice(2))}` : domainToASCII(domain);
}
