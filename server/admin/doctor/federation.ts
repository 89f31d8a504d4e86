import { federates } from '../../../config/listeners.ts';
import { systemClock } from '../../clock.ts';
import { ResolutionError } from '../../federation/name-resolution.ts';
import { authoritiesOf } from '../../federation/start-federation.ts';
import { UnansweredError, visit, type Place, type VisitOptions, type VisitorKey } from '../../federation/visit.ts';
import type { ServerInspection } from '../operations.ts';
import { fine, found, type Check, type Observation } from './check.ts';
import { examineDomains, type Lookups } from './name-lookups.ts';
import { severityOf } from './unanswered.ts';

const VISIT_MS = 4000;
/** Addresses of one domain that are visited. */
const MAX_PLACES = 16;

/** Whether another server that goes by DNS finds this one: its ports, TLS, certificate and dialback. */
export const federation: Check = {
  name: 'federation',
  examine: async ({ config, running }) => {
    if (!federates(config)) return [fine('federation', config.s2s.enabled ? 'localhost talks to nobody' : 'is off')];
    if (running === undefined) return [fine('federation', 'is examined while the server runs: it is visited then')];
    if (config.s2s.policy === 'deny') {
      return [fine('s2s.policy', 'lets in only those whom s2s.policies names: nobody can come for a visit')];
    }
    const authorities = authoritiesOf(config);
    const options = { settings: config.s2s, authorities, clock: systemClock, timeoutMs: VISIT_MS };
    return examineDomains(config, systemClock, (domain, lookups) => examineDomain(domain, lookups, options, running));
  },
};

async function examineDomain(
  domain: string,
  lookups: Lookups,
  options: VisitOptions,
  running: ServerInspection,
): Promise<readonly Observation[]> {
  let places: readonly Place[];
  try {
    places = await placesOf(domain, lookups);
  } catch (error) {
    if (!(error instanceof ResolutionError)) throw error;
    return [found('error', domain, `another server finds nothing: ${error.message}`, 'see what is said of dns')];
  }
  const own = running.visitorKeys.find((key) => key.domain === domain);
  return (await Promise.all(places.map((place) => examinePlace(domain, place, options, own)))).flat();
}

/** Every address of every target, each once; names without an address are for the check of DNS. */
async function placesOf(domain: string, { names }: Lookups): Promise<readonly Place[]> {
  const targets = (await names.targets(domain)).flat();
  const found_ = await Promise.allSettled(
    targets.map(async ({ host, port, directTls }) =>
      (await names.addresses(host)).map((address) => ({ address, port, directTls })),
    ),
  );
  const places = found_.flatMap((result) => (result.status === 'fulfilled' ? result.value : []));
  if (places.length === 0) throw new ResolutionError('no host has an address', true);
  const unique = new Map(places.map((place) => [`${place.address} ${place.port} ${place.directTls}`, place]));
  return [...unique.values()].slice(0, MAX_PLACES);
}

async function examinePlace(
  domain: string,
  place: Place,
  options: VisitOptions,
  own: VisitorKey | undefined,
): Promise<readonly Observation[]> {
  const { address, port, directTls } = place;
  const where = `${domain} at ${address} port ${port}`;
  try {
    const { tlsVersion, certificateProblem, verification, recognition } = await visit(domain, place, options, own);
    const observations: Observation[] = [];
    if (tlsVersion === undefined) {
      const advice = 'see whether it is this server that answers there: it offers TLS';
      observations.push(found('error', where, 'no TLS is offered: most servers talk to none without it', advice));
    } else if (certificateProblem !== undefined) {
      const what = `the certificate does not prove ${domain} to another server: ${certificateProblem}`;
      const advice =
        'configure a certificate of a public authority in tls.certificates; until then only servers that are content with dialback talk to this one';
      observations.push(found('warning', where, what, advice));
    }
    if (verification !== 'invalid') {
      const what = `dialback does not work: ${verification === 'valid' ? 'whatever answers believes any key' : verification.message}`;
      const advice = 'see whether it is this server that answers there, and its log';
      observations.push(found('error', where, what, advice));
    }
    if (verification === 'invalid' && recognition !== undefined && recognition !== 'valid') {
      const what =
        recognition === 'invalid'
          ? `dialback finds another server of ${domain} than this one: it does not know the keys of this one`
          : `dialback does not work: ${recognition.message}`;
      const advice = `see where the record leads and what runs there: ${domain} is to be served by one server`;
      observations.push(found('error', where, what, advice));
    }
    if (observations.length > 0) return observations;
    const manner = directTls ? 'direct TLS' : 'STARTTLS';
    const finds = recognition === undefined ? 'can use dialback' : 'finds this very one by dialback';
    return [fine(where, `another server gets in by ${manner} (${tlsVersion}), sees a valid certificate and ${finds}`)];
  } catch (error) {
    if (error instanceof UnansweredError) {
      const { severity, advice } = severityOf(error, address);
      return [found(severity, where, `another server cannot connect: ${error.message}`, advice)];
    }
    const reason = error instanceof Error ? error.message : String(error);
    const { settings: s2s } = options;
    const ports = `s2s.port = ${s2s.port}, s2s.tls_port = ${s2s.tlsPort}`;
    const advice = `see whether it is this server that answers there (${ports}), and whether the record is for ${directTls ? 'direct TLS (_xmpps-server)' : 'STARTTLS (_xmpp-server)'}`;
    return [found('error', where, `another server does not get in: ${reason}`, advice)];
  }
}
