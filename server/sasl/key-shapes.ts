import { createHash } from 'node:crypto';
import type { Account, Credentials, ScramHash } from '../../storage/accounts.ts';

/** What shows of SCRAM keys before anybody has proved anything. */
export interface KeyShape {
  readonly iterations: number;
  readonly saltBytes: number;
}

/** The same for all keys of an account. */
export type AccountShape = { readonly [hash in ScramHash]?: KeyShape };

interface CountedShape {
  readonly shape: AccountShape;
  readonly name: string;
  count: number;
}

/** Where accounts are read, page by page. */
export interface AccountSource {
  list(options: { readonly after?: string | undefined; readonly limit: number }): Promise<readonly Account[]>;
}

const PAGE_ACCOUNTS = 200;
/** They lie in the order of a hash, so the first are a fair sample. */
const MAX_ACCOUNTS = 10_000;
/** Of one domain; what is rarer is left out. */
const MAX_SHAPES = 16;
/** Accounts are made and get other passwords. */
const REFRESH_MS = 60 * 60 * 1000;

/**
 * What the keys of accounts look like, by domain and how often: keys made before `sasl.scram_iterations` was changed, or
 * imported ones, show it. A user that does not exist looks like one of the accounts, in the same proportion, or the
 * challenge would tell who exists (RFC 6120 6.5.10).
 */
export class KeyShapes {
  readonly #accounts: AccountSource;
  readonly #monotonic: () => number;
  #domains = new Map<string, readonly CountedShape[]>();
  #refreshAt = 0;

  /** @param monotonic milliseconds */
  constructor(accounts: AccountSource, monotonic: () => number) {
    this.#accounts = accounts;
    this.#monotonic = monotonic;
  }

  /** Looks at the accounts. Rejects with StoreError, and knows then what it knew before. */
  async survey(): Promise<void> {
    this.#refreshAt = this.#monotonic() + REFRESH_MS;
    const domains = new Map<string, Map<string, CountedShape>>();
    let after: string | undefined;
    for (let looked = 0; looked < MAX_ACCOUNTS; looked += PAGE_ACCOUNTS) {
      const page = await this.#accounts.list({ after, limit: PAGE_ACCOUNTS });
      for (const { jid, record } of page) count(domains, jid.slice(jid.indexOf('@') + 1), record.credentials);
      if (page.length < PAGE_ACCOUNTS) break;
      after = page.at(-1)?.jid;
    }
    this.#domains = new Map([...domains].map(([domain, shapes]) => [domain, mostFrequent([...shapes.values()])]));
  }

  /**
   * Which shape a user has that does not exist; undefined where the domain has no accounts. As the proportions change, few
   * users get another one, just as few accounts do.
   *
   * @param seed what only the server can know of the user, and the same every time
   */
  shapeOf(domain: string, seed: () => Uint8Array): AccountShape | undefined {
    if (this.#monotonic() >= this.#refreshAt) this.survey().catch(() => undefined); // once an hour at most
    const shapes = this.#domains.get(domain);
    if (shapes === undefined || shapes.length === 1) return shapes?.[0]?.shape;
    const bytes = seed();
    // Weighted rendezvous hashing: each draws a time at the rate of its count, and the earliest is it.
    let earliest = Infinity;
    let chosen: AccountShape | undefined;
    for (const { shape, name, count: rate } of shapes) {
      const drawn = createHash('sha256').update(bytes).update(name).digest().readUIntBE(0, 6);
      const time = -Math.log((drawn + 1) / 2 ** 48) / rate;
      if (time >= earliest) continue;
      earliest = time;
      chosen = shape;
    }
    return chosen;
  }
}

function count(domains: Map<string, Map<string, CountedShape>>, domain: string, credentials: Credentials): void {
  const shape: AccountShape = Object.fromEntries(
    Object.entries(credentials).map(([hash, { salt, iterations }]) => [hash, { iterations, saltBytes: salt.length }]),
  );
  const name = JSON.stringify(shape);
  const shapes = domains.get(domain) ?? new Map<string, CountedShape>();
  domains.set(domain, shapes);
  const known = shapes.get(name);
  if (known === undefined) shapes.set(name, { shape, name, count: 1 });
  else known.count++;
}

function mostFrequent(shapes: readonly CountedShape[]): readonly CountedShape[] {
  return [...shapes].sort((one, other) => other.count - one.count).slice(0, MAX_SHAPES);
}
