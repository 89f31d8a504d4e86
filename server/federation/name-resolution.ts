import { isIP, isIPv6 } from 'node:net';
import { domainToASCII } from 'node:url';

import { BoundedCache } from '../../stanzas/bounded-cache.ts';
import type { Clock } from '../clock.ts';
import { DnsError, type DnsAnswer, type DnsClient, type RecordType } from './dns-client.ts';
import { inServiceOrder } from './service-order.ts';

/** A place where a domain is served. */
export interface Target {
  /** A host name, or an IP address. */
  readonly host: string;
  readonly port: number;
  /** TLS from the first byte (XEP-0368), rather than by STARTTLS. */
  readonly directTls: boolean;
}

/** A domain whose place the operator has given. */
export interface StaticRoute extends Target {
  readonly domain: string;
}

/** Why a domain cannot be reached by its name. */
export class ResolutionError extends Error {
  override readonly name = 'ResolutionError';
  /** Whether DNS said that there is no such thing, rather than nothing. */
  readonly isCertain: boolean;

  constructor(message: string, isCertain: boolean) {
    super(message);
    this.isCertain = isCertain;
  }
}

export interface NameResolutionOptions {
  readonly dns: Pick<DnsClient, 'ask'>;
  readonly routes: readonly StaticRoute[];
  readonly clock: Clock;
  /** From 0 (inclusive) to 1 (exclusive). */
  readonly random: () => number;
}

/** RFC 6120 3.2.2 */
const DEFAULT_PORT = 5269;
/** What is used of an answer, however long it is. */
const MAX_TARGETS = 16;
const MAX_ADDRESSES = 8;
const CACHE_CAPACITY = 4096;
const MIN_TTL_SECONDS = 5;
const MAX_TTL_SECONDS = 86_400;
const FAILURE_TTL_SECONDS = 10;
/** RFC 8305 3: how long an IPv4 address waits for the IPv6 addresses of its host. */
const RESOLUTION_DELAY_MS = 50;

interface Remembered {
  readonly answer: Promise<DnsAnswer>;
  /** Monotonic milliseconds; infinite while the question is under way. */
  untilMs: number;
}

/** Finds the servers of a domain (RFC 6120 3.2, XEP-0368) and remembers the answers as long as DNS says. */
export class NameResolution {
  readonly #options: NameResolutionOptions;
  readonly #routes: ReadonlyMap<string, StaticRoute>;
  readonly #remembered = new BoundedCache<string, Remembered>(CACHE_CAPACITY);

  constructor(options: NameResolutionOptions) {
    this.#options = options;
    this.#routes = new Map(options.routes.map((route) => [route.domain, route]));
  }

  /**
   * Where to try, in groups of one priority, best first.
   * @param domain a prepared domainpart
   * @throws ResolutionError
   */
  async targets(domain: string): Promise<readonly (readonly Target[])[]> {
    const route = this.#routes.get(domain);
    if (route !== undefined) return [[route]];
    const literal = domain.replace(/^\[(.*)\]$/, '$1');
    if (isIP(literal) !== 0) return [[{ host: literal, port: DEFAULT_PORT, directTls: false }]];
    const name = domainToASCII(domain);
    const [plain, direct] = await Promise.allSettled([
      this.#ask(`_xmpp-server._tcp.${name}`, 'SRV'),
      this.#ask(`_xmpps-server._tcp.${name}`, 'SRV'),
    ]);
    if (plain.status === 'rejected' && direct.status === 'rejected') throw uncertain(plain.reason);
    const records = [
      ...servicesOf(plain).map((record) => ({ ...record, directTls: false })),
      ...servicesOf(direct).map((record) => ({ ...record, directTls: true })),
    ];
    const offered = records.filter(({ target }) => target !== '');
    // RFC 6120 3.2.2; XEP-0368: without direct TLS there may still be STARTTLS
    if (offered.length === 0 && servicesOf(plain).length === 0) {
      return [[{ host: name, port: DEFAULT_PORT, directTls: false }]];
    }
    // RFC 2782, "Target"
    if (offered.length === 0) throw new ResolutionError(`DNS says that ${domain} has no XMPP server`, true);
    // XEP-0368 3: the records of both services are one set
    let room = MAX_TARGETS;
    const groups = inServiceOrder(offered, this.#options.random).map((group) => {
      const targets = group.slice(0, room);
      room -= targets.length;
      return targets.map(({ target, port, directTls }) => ({ host: target, port, directTls }));
    });
    return groups.filter((group) => group.length > 0);
  }

  /**
   * The addresses of a host, IPv6 and IPv4 by turns (RFC 8305 4).
   * @throws ResolutionError
   */
  async addresses(host: string): Promise<readonly string[]> {
    if (isIP(host) !== 0) return [host];
    const [six, four] = await this.#bothFamilies(host);
    const addresses: string[] = [];
    for (let index = 0; index < MAX_ADDRESSES; index++) {
      for (const list of [six, four]) {
        const address = list.addresses[index];
        if (address !== undefined && addresses.length < MAX_ADDRESSES) addresses.push(address);
      }
    }
    if (addresses.length === 0) throw new ResolutionError(`DNS knows no address of ${host}`, true);
    return addresses;
  }

  /** Both kinds of addresses; IPv6 ones are left out when they come too late. */
  async #bothFamilies(host: string): Promise<readonly [DnsAnswer, DnsAnswer]> {
    const six = this.#ask(host, 'AAAA').catch((error: unknown) => uncertain(error));
    const four = this.#ask(host, 'A').catch((error: unknown) => uncertain(error));
    const fourAnswer = await Promise.race([four, six.then(() => four)]);
    const hasFour = !(fourAnswer instanceof ResolutionError) && fourAnswer.addresses.length > 0;
    const sixAnswer = await (hasFour ? Promise.race([six, this.#delay(NOTHING)]) : six);
    if (sixAnswer instanceof ResolutionError && !hasFour) throw sixAnswer;
    if (fourAnswer instanceof ResolutionError && isEmpty(sixAnswer)) throw fourAnswer;
    return [sixAnswer instanceof ResolutionError ? NOTHING : sixAnswer, hasFour ? fourAnswer : NOTHING];
  }

  #delay<T>(value: T): Promise<T> {
    return new Promise((resolve) => {
      this.#options.clock.schedule(RESOLUTION_DELAY_MS, () => resolve(value));
    });
  }

  #ask(name: string, type: RecordType): Promise<DnsAnswer> {
    const { clock, dns } = this.#options;
    const key = `${type} ${name}`;
    const known = this.#remembered.get(key);
    if (known !== undefined && clock.monotonic() < known.untilMs) return known.answer;
    const remembered: Remembered = { answer: dns.ask(name, type), untilMs: Infinity };
    this.#remembered.set(key, remembered);
    remembered.answer.then(
      ({ ttlSeconds }) => {
        const seconds = Math.min(MAX_TTL_SECONDS, Math.max(MIN_TTL_SECONDS, ttlSeconds));
        remembered.untilMs = clock.monotonic() + seconds * 1000;
      },
      () => {
        remembered.untilMs = clock.monotonic() + FAILURE_TTL_SECONDS * 1000;
      },
    );
    return remembered.answer;
  }
}

const NOTHING: DnsAnswer = Object.freeze({ addresses: [], services: [], ttlSeconds: 0 });

function isEmpty(answer: DnsAnswer | ResolutionError): boolean {
  return answer instanceof ResolutionError || answer.addresses.length === 0;
}

function servicesOf(result: PromiseSettledResult<DnsAnswer>): DnsAnswer['services'] {
  return result.status === 'fulfilled' ? result.value.services : [];
}

function uncertain(error: unknown): ResolutionError {
  if (!(error instanceof DnsError)) throw error;
  return new ResolutionError(`DNS does not answer: ${error.message}`, false);
}

/** A resolver as the configuration writes it: an address, or an address and a port. */
export function parseDnsServer(text: string): { readonly address: string; readonly port: number } {
  const [, bracketed, plain, port] = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d+))?$/.exec(text) ?? [];
  if (isIPv6(text)) return { address: text, port: 53 };
  return { address: bracketed ?? plain ?? text, port: port === undefined ? 53 : Number(port) };
}
