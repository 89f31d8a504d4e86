import type { Clock } from '../clock.ts';
import type { Log } from '../log.ts';
import { Tally } from '../metrics/tally.ts';
import { networkOf } from '../sasl/network.ts';

const WINDOW_MS = 60_000;
/** When there is room again nobody knows: as long as it takes most people to look elsewhere. */
const FULL_SECONDS = 30;
/** Networks without a connection that are remembered for their rate, at most. */
const MAX_IDLE_NETWORKS = 50_000;
/** How many old networks each new connection looks at: more than one, so that the map shrinks faster than it grows. */
const SWEEP = 2;

/** How many connections there may be; `config.c2s` and `config.s2s` have exactly these. */
export interface AdmissionLimits {
  readonly maxConnections: number;
  /** The same for one network: see networkOf. */
  readonly maxConnectionsPerAddress: number;
  /** 0: any number. */
  readonly connectionsPerMinutePerAddress: number;
}

export interface AdmissionOptions {
  readonly limits: AdmissionLimits;
  /** Where the limits stand in the configuration. */
  readonly section?: 'c2s' | 's2s' | 'components';
  readonly clock: Clock;
  readonly log: Log;
}

interface Network {
  open: number;
  /** When the current minute began, in monotonic milliseconds. */
  sinceMs: number;
  opened: number;
  warned: boolean;
}

/** Decides who may connect, over all listeners together (RFC 6120 13.12). */
export class Admission {
  /** Connections that were refused, by limit. */
  readonly refused = new Tally([
    'max_connections',
    'max_connections_per_address',
    'connections_per_minute_per_address',
  ]);
  readonly #limits: AdmissionLimits;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #section: string;
  /** In the order in which their minutes began. */
  readonly #networks = new Map<string, Network>();
  #open = 0;
  #admitted = 0;
  #warnedFullMs = -Infinity;

  constructor({ limits, clock, log, section = 'c2s' }: AdmissionOptions) {
    this.#limits = limits;
    this.#clock = clock;
    this.#log = log;
    this.#section = section;
  }

  /** Connections that were admitted and not released. */
  get open(): number {
    return this.#open;
  }

  /** Connections that were ever admitted. */
  get admitted(): number {
    return this.#admitted;
  }

  /** Networks that are remembered. */
  get networks(): number {
    return this.#networks.size;
  }

  /** Counts a new connection; where this is false it must be closed, else released once when it is gone. */
  admit(address: string): boolean {
    const nowMs = this.#clock.monotonic();
    const { maxConnections, maxConnectionsPerAddress, connectionsPerMinutePerAddress } = this.#limits;
    this.#forgetOld(nowMs);
    if (this.#open >= maxConnections) {
      this.refused.add('max_connections');
      if (nowMs - this.#warnedFullMs >= WINDOW_MS) {
        this.#warnedFullMs = nowMs;
        this.#log.warn({ maxConnections }, `refused a connection: ${this.#section}.max_connections are open`);
      }
      return false;
    }
    const key = networkOf(address);
    const network = this.#networkNow(key, nowMs);
    if (network.open >= maxConnectionsPerAddress) return this.#refuse(network, key, 'max_connections_per_address');
    if (connectionsPerMinutePerAddress > 0 && network.opened >= connectionsPerMinutePerAddress) {
      return this.#refuse(network, key, 'connections_per_minute_per_address');
    }
    network.open += 1;
    network.opened += 1;
    this.#open += 1;
    this.#admitted += 1;
    return true;
  }

  /** In how many seconds one that was refused may be admitted, as far as that is known. */
  comeBackSeconds(address: string): number {
    const network = this.#networks.get(networkOf(address));
    const { connectionsPerMinutePerAddress } = this.#limits;
    const isTooFast = connectionsPerMinutePerAddress > 0 && (network?.opened ?? 0) >= connectionsPerMinutePerAddress;
    if (network === undefined || !isTooFast) return FULL_SECONDS;
    return (network.sinceMs + WINDOW_MS - this.#clock.monotonic()) / 1000;
  }

  /** An admitted connection is gone. */
  release(address: string): void {
    const network = this.#networks.get(networkOf(address));
    if (network === undefined || network.open === 0) return;
    network.open -= 1;
    this.#open -= 1;
  }

  #networkNow(key: string, nowMs: number): Network {
    const known = this.#networks.get(key);
    if (known !== undefined && nowMs - known.sinceMs < WINDOW_MS) return known;
    const network = { open: known?.open ?? 0, sinceMs: nowMs, opened: 0, warned: false };
    this.#networks.delete(key); // to the end
    this.#networks.set(key, network);
    return network;
  }

  #refuse(network: Network, key: string, limit: keyof typeof LIMIT_TEXT): false {
    this.refused.add(limit);
    // Once in a minute: refusing must cost an attacker's log line no more than it costs the attacker.
    if (!network.warned) this.#log.warn({ network: key, limit: `${this.#section}.${limit}` }, LIMIT_TEXT[limit]);
    network.warned = true;
    return false;
  }

  #forgetOld(nowMs: number): void {
    const excess = this.#networks.size > this.#limits.maxConnections + MAX_IDLE_NETWORKS;
    let looked = 0;
    for (const [key, network] of this.#networks) {
      const over = nowMs - network.sinceMs >= WINDOW_MS;
      if (looked >= SWEEP || !(over || excess)) return;
      looked += 1;
      this.#networks.delete(key);
      // One that is still connected begins a new minute at the end, where it is not looked at again and again.
      if (network.open > 0) this.#networks.set(key, { ...network, sinceMs: nowMs, opened: 0, warned: false });
    }
  }
}

const LIMIT_TEXT = {
  max_connections_per_address: 'refused a connection: this network has too many open',
  connections_per_minute_per_address: 'refused a connection: this network opens too many',
} as const;
