import { domainToASCII } from 'node:url';

import { federates } from '../../../config/listeners.ts';
import { systemClock } from '../../clock.ts';
import { reach, UnansweredError } from '../../federation/visit.ts';
import { fine, found, type Check, type CheckContext, type Observation } from './check.ts';
import { answered, examineDomains, type Lookups } from './name-lookups.ts';
import { severityOf } from './unanswered.ts';

const CONNECT_MS = 3000;
/** Addresses of one kind of record that are tried. */
const MAX_PLACES = 16;

/** A kind of SRV record, and what it is for. */
interface Service {
  readonly service: string;
  /** The listener that it should lead to. */
  readonly listener: string;
  /** Where one goes without a record (RFC 6120 3.2.2); undefined: nowhere (XEP-0368). */
  readonly defaultPort: number | undefined;
  readonly whose: 'clients' | 'other servers';
}

const SERVICES: readonly Service[] = [
  { service: '_xmpp-client', listener: 'c2s', defaultPort: 5222, whose: 'clients' },
  { service: '_xmpps-client', listener: 'c2s-tls', defaultPort: undefined, whose: 'clients' },
  { service: '_xmpp-server', listener: 's2s', defaultPort: 5269, whose: 'other servers' },
  { service: '_xmpps-server', listener: 's2s-tls', defaultPort: undefined, whose: 'other servers' },
];

/** Whether DNS leads clients and other servers here: addresses, SRV records, and whether their targets answer. */
export const dns: Check = {
  name: 'dns',
  examine: (context) =>
    examineDomains(context.config, systemClock, async (name, lookups) => {
      const domain = domainToASCII(name); // as DNS has it (RFC 6120 3.2.1)
      const addresses = await addressesOf(domain, lookups);
      const services = SERVICES.filter(({ whose }) => whose === 'clients' || federates(context.config));
      const hasAddress = addresses.severity === 'ok';
      const found_ = services.map((service) => examineService(domain, hasAddress, service, lookups, context));
      return [addresses, ...(await Promise.all(found_)).flat()];
    }),
};

async function addressesOf(domain: string, { names }: Lookups): Promise<Observation> {
  try {
    return fine(domain, `is at ${(await names.addresses(domain)).join(', ')}`);
  } catch (error) {
    const what = error instanceof Error ? error.message : String(error);
    const advice = 'fine where every kind of SRV record exists; otherwise add an A and an AAAA record';
    return found('note', domain, what, advice);
  }
}

async function examineService(
  domain: string,
  hasAddress: boolean,
  { service, listener, defaultPort, whose }: Service,
  lookups: Lookups,
  context: CheckContext,
): Promise<readonly Observation[]> {
  const name = `${service}._tcp.${domain}`;
  const port = portOf(listener, context);
  const answer = await answered(lookups.dns.ask(name, 'SRV'), name);
  if ('severity' in answer) return [answer];
  const record = `add "${name}. 3600 IN SRV 0 5 ${port === false ? (defaultPort ?? 0) : port} ${domain}."`;
  const records = answer.services.slice(0, MAX_PLACES);
  if (records.length === 0) {
    if (port === false) return [fine(name, 'no record, and nothing that it could lead to')];
    if (defaultPort === undefined) return [found('note', name, `no record: ${whose} do not use direct TLS`, record)];
    if (!hasAddress)
      return [found('error', name, `no record, and ${domain} has no address: ${whose} find nothing`, record)];
    if (defaultPort === port) return [fine(name, `no record: ${whose} go to port ${defaultPort} of ${domain}`)];
    const what = `no record: ${whose} go to port ${defaultPort} of ${domain}, the server listens on ${port}`;
    return [found('error', name, what, record)];
  }
  if (records.every(({ target }) => target === '')) {
    // RFC 2782, "Target"
    if (port === false || defaultPort === undefined) return [fine(name, 'says that there is no such service')];
    return [found('error', name, `tells ${whose} that there is no such service`, record)];
  }
  const places = records.map((place) => examineTarget(name, place, whose, lookups, context));
  return (await Promise.all(places)).flat();
}

async function examineTarget(
  name: string,
  { target, port }: { readonly target: string; readonly port: number },
  whose: Service['whose'],
  { names }: Lookups,
  { config, running }: CheckContext,
): Promise<readonly Observation[]> {
  let addresses: readonly string[];
  try {
    addresses = await names.addresses(target);
  } catch (error) {
    const what = `leads to ${target}: ${error instanceof Error ? error.message : String(error)}`;
    return [found('error', name, what, `add an A or AAAA record for ${target}, or correct the SRV record`)];
  }
  const where = `${target} port ${port} (${addresses.join(', ')})`;
  // How other servers fare is for the check of federation.
  if (running === undefined || whose === 'other servers') return [fine(name, `leads to ${where}`)];
  const options = { settings: config.s2s, authorities: undefined, clock: systemClock, timeoutMs: CONNECT_MS };
  const failures = await Promise.all(
    addresses.map(async (address): Promise<Observation[]> => {
      try {
        (await reach({ address, port, directTls: false }, options)).destroy();
        return [];
      } catch (error) {
        if (!(error instanceof UnansweredError)) throw error;
        const { severity, advice } = severityOf(error, address);
        return [found(severity, name, `leads to ${target}, ${address} port ${port}: ${error.message}`, advice)];
      }
    }),
  );
  return failures.flat().length > 0 ? failures.flat() : [fine(name, `leads to ${where}, which answers`)];
}

function portOf(listener: string, { config, running }: CheckContext): number | false {
  const own = running?.listening.find(({ name }) => name === listener);
  if (own !== undefined) return own.port;
  const { c2s, s2s } = config;
  const ports = new Map<string, number | false>([
    ['c2s', c2s.port],
    ['c2s-tls', c2s.tlsPort],
    ['s2s', s2s.port],
    ['s2s-tls', s2s.tlsPort],
  ]);
  return ports.get(listener) ?? false;
}
