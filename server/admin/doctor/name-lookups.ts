import { getServers } from 'node:dns';
import { isIP } from 'node:net';

import type { Config } from '../../../config/options.ts';
import type { Clock } from '../../clock.ts';
import { DnsClient, DnsError, type DnsAnswer } from '../../federation/dns-client.ts';
import { NameResolution, parseDnsServer } from '../../federation/name-resolution.ts';
import { fine, found, type Observation } from './check.ts';

const QUESTION_MS = 1000;
const MAX_RUNNING = 32;
const MAX_WAITING = 500;
/** Whatever DNS and the network do, a check is over then. */
const CHECK_MS = 9000;

/** Names that no public DNS knows (RFC 2606, RFC 6761, RFC 6762, RFC 9476 and the .internal of ICANN). */
const PRIVATE = new Set(['localhost', 'test', 'example', 'invalid', 'local', 'internal', 'alt', 'onion']);

/** What DNS is asked with, as the server asks: the resolvers of the configuration, or of the system. */
export interface Lookups {
  readonly dns: DnsClient;
  readonly names: NameResolution;
}

function lookupsOf({ s2s }: Pick<Config, 's2s'>, clock: Clock): Lookups {
  const dns = new DnsClient({
    servers: (s2s.resolvers.length > 0 ? s2s.resolvers : getServers()).map(parseDnsServer),
    timeoutMs: Math.min(QUESTION_MS, s2s.dnsTimeoutSeconds * 1000),
    maxRunning: MAX_RUNNING,
    maxWaiting: MAX_WAITING,
    clock,
  });
  // Routes are ours alone: others go by what DNS says.
  return { dns, names: new NameResolution({ dns, routes: [], clock, random: Math.random }) };
}

/** The answer, or an observation that there is none. */
export async function answered(question: Promise<DnsAnswer>, name: string): Promise<DnsAnswer | Observation> {
  try {
    return await question;
  } catch (error) {
    if (!(error instanceof DnsError)) throw error;
    const advice =
      'see whether the resolver works (s2s.resolvers, or /etc/resolv.conf) and the name servers of the domain do';
    return found('error', name, `DNS does not answer: ${error.message}`, advice);
  }
}

/** Why nobody elsewhere can look a domain up; undefined where they can. */
function privacyOf(domain: string, { s2s }: Pick<Config, 's2s'>): string | undefined {
  if (isIP(domain.replace(/^\[(.*)\]$/, '$1')) !== 0) return 'is an address: there is nothing to look up';
  const last = domain.slice(domain.lastIndexOf('.') + 1);
  if (last === 'localhost' || !domain.includes('.')) return 'is known to this machine alone: DNS is not asked';
  // A resolver of one's own may know them.
  return PRIVATE.has(last) && s2s.resolvers.length === 0 ? `ends with .${last}: no public DNS knows it` : undefined;
}

/** Examines each domain that others can look up, all side by side and within a time. */
export async function examineDomains(
  config: Config,
  clock: Clock,
  look: (domain: string, lookups: Lookups) => Promise<readonly Observation[]>,
): Promise<Observation[]> {
  const lookups = lookupsOf(config, clock);
  const observations = config.domains.map(async (domain): Promise<readonly Observation[]> => {
    const reason = privacyOf(domain, config);
    if (reason !== undefined) return [fine(domain, reason)];
    return Promise.race([look(domain, lookups), lateness(domain, clock)]);
  });
  return (await Promise.all(observations)).flat();
}

async function lateness(domain: string, clock: Clock): Promise<readonly Observation[]> {
  await new Promise<void>((resolve) => void clock.schedule(CHECK_MS, resolve));
  const advice = 'see whether the resolver and the network work, then run this again';
  return [found('warning', domain, `could not be examined within ${CHECK_MS / 1000} s`, advice)];
}
