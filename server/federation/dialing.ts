import { connect, type Socket } from 'node:net';

import type { Clock } from '../clock.ts';
import { connectionProblem } from './failure-words.ts';
import { ResolutionError, type NameResolution, type Target } from './name-resolution.ts';

/** Where a domain is served: what DNS names, and an address of it. */
export interface Place {
  readonly target: Target;
  readonly address: string;
}

/** A TCP connection to a server of the domain that was asked for. */
export interface Dialed extends Place {
  readonly socket: Socket;
}

export interface DialingOptions {
  readonly names: Pick<NameResolution, 'targets' | 'addresses'>;
  /** For all attempts of one `dial` together. */
  readonly timeoutMs: number;
  readonly clock: Clock;
}

/** Nobody answers at any address of a domain. */
export class DialingError extends Error {
  override readonly name = 'DialingError';
}

/** RFC 8305 5: how long an attempt may take before the next one joins it. */
const ATTEMPT_DELAY_MS = 250;
/** Attempts of one `dial`, however many addresses DNS gives. */
const MAX_ATTEMPTS = 20;

/** How long DNS has to say where a domain is, where a connection can be made as well without knowing it. */
const LOOKUP_MS = 1000;

/** The name of a target among those that were tried. */
export function targetName({ host, port }: Target): string {
  return `${host}:${port}`;
}

/** Opens connections to the servers of domains, several addresses side by side (RFC 8305, XEP-0495). */
export class Dialing {
  readonly #options: DialingOptions;

  constructor(options: DialingOptions) {
    this.#options = options;
  }

  /**
   * Connects to the first server of the domain that answers.
   * @param tried names of targets to leave out
   * @throws ResolutionError, DialingError
   */
  async dial(domain: string, tried: ReadonlySet<string> = new Set()): Promise<Dialed> {
    const { names, clock, timeoutMs } = this.#options;
    const groups = await names.targets(domain);
    const race = new Race(clock, domain);
    const cancelTimeout = clock.schedule(timeoutMs, () => race.giveUp(`not within ${timeoutMs / 1000} s`));
    try {
      // XEP-0495 3.1: the next priority only when all of this one have failed
      for (const group of groups) {
        const targets = group.filter((target) => !tried.has(targetName(target)));
        const found = targets.map((target) => ({ target, addresses: names.addresses(target.host) }));
        for (const { addresses } of found) addresses.catch(() => undefined); // looked at in its turn
        for (const { target, addresses } of found) await race.add(target, addresses);
        const dialed = await race.finish();
        if (dialed !== undefined) return dialed;
      }
    } finally {
      cancelTimeout();
    }
    throw race.failure();
  }

  /** Every place where `dial` would look first, as far as DNS has said within a second. Never rejects. */
  async firstPlaces(domain: string): Promise<readonly Place[]> {
    const places: Place[] = [];
    let cancel = (): void => undefined;
    const late = new Promise<void>((resolve) => (cancel = this.#options.clock.schedule(LOOKUP_MS, resolve)));
    await Promise.race([this.#lookUp(domain, places).catch(ignore), late]);
    cancel();
    return [...places];
  }

  async #lookUp(domain: string, places: Place[]): Promise<void> {
    const { names } = this.#options;
    const [targets = []] = await names.targets(domain);
    const lookups = targets.map(async (target) => {
      for (const address of await names.addresses(target.host)) places.push({ target, address });
    });
    await Promise.allSettled(lookups);
  }
}

/** Whether both are the same server: host or address, port, and manner of TLS (XEP-0220 2.6.2). */
export function isSamePlace(one: Place, other: Place): boolean {
  if (one.target.port !== other.target.port || one.target.directTls !== other.target.directTls) return false;
  return one.address === other.address || one.target.host.toLowerCase() === other.target.host.toLowerCase();
}

/** The attempts of one `dial`: each joins those before it after a while, the first to connect ends the others. */
class Race {
  readonly #clock: Clock;
  readonly #domain: string;
  readonly #running = new Set<Socket>();
  readonly #reasons: string[] = [];
  #isNowhere = true;
  #attempts = 0;
  #winner: Dialed | undefined;
  #isOver = false;
  #wake: () => void = () => undefined;

  constructor(clock: Clock, domain: string) {
    this.#clock = clock;
    this.#domain = domain;
  }

  /** Tries the addresses of a target, one after the other, each beside those that have not failed. */
  async add(target: Target, addresses: Promise<readonly string[]>): Promise<void> {
    if (this.#hasEnded()) return;
    let list: readonly string[];
    try {
      list = await addresses;
    } catch (error) {
      if (!(error instanceof ResolutionError)) throw error;
      this.#reasons.push(error.message);
      if (!error.isCertain) this.#isNowhere = false;
      return;
    }
    for (const address of list) {
      if (this.#hasEnded() || this.#attempts >= MAX_ATTEMPTS) return;
      this.#attempt(target, address);
      await this.#change(ATTEMPT_DELAY_MS);
    }
  }

  /** Resolves with the connection, or undefined when every attempt has failed. */
  async finish(): Promise<Dialed | undefined> {
    while (!this.#isOver && this.#running.size > 0) await this.#change(undefined);
    return this.#winner;
  }

  giveUp(reason: string): void {
    if (this.#isOver) return;
    this.#reasons.push(reason);
    this.#isNowhere = false;
    this.#end();
  }

  failure(): Error {
    const reason = this.#reasons.join('; ') || 'every place was tried before';
    return this.#isNowhere && this.#attempts === 0 && this.#reasons.length > 0
      ? new ResolutionError(reason, true)
      : new DialingError(`${this.#domain} cannot be reached: ${reason}`);
  }

  #attempt(target: Target, address: string): void {
    this.#attempts++;
    this.#isNowhere = false;
    const socket = connect({ host: address, port: target.port, allowHalfOpen: true });
    this.#running.add(socket);
    const failed = (error: Error): void => {
      this.#reasons.push(`${address} port ${target.port}: ${connectionProblem(error)}`);
      this.#running.delete(socket);
      this.#wake();
    };
    socket.once('error', failed).once('connect', () => {
      socket.removeListener('error', failed);
      this.#running.delete(socket);
      if (this.#isOver) {
        socket.on('error', ignore).destroy();
        return;
      }
      this.#winner = { socket, target, address };
      this.#end();
    });
  }

  /** Resolves after the time, or as soon as an attempt succeeds or fails. */
  #change(delayMs: number | undefined): Promise<void> {
    if (this.#isOver) return Promise.resolve();
    return new Promise((resolve) => {
      const cancel = delayMs === undefined ? undefined : this.#clock.schedule(delayMs, resolve);
      this.#wake = () => {
        cancel?.();
        resolve();
      };
    });
  }

  /** A method, for it may change whenever something was waited for. */
  #hasEnded(): boolean {
    return this.#isOver;
  }

  #end(): void {
    this.#isOver = true;
    for (const socket of this.#running) socket.on('error', ignore).destroy();
    this.#running.clear();
    this.#wake();
  }
}

/** Errors of a connection that nobody wants any more. */
function ignore(): void {
  // nothing
}
