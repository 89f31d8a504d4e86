import { createHash } from 'node:crypto';
import type { AccountShape } from '../../storage/accounts.ts';

interface CountedShape {
  readonly shape: AccountShape;
  readonly name: string;
  count: number;
}

/** Where accounts are read; undefined is the shape of a corrupt one. */
export interface AccountSource {
  eachShape(limit: number, show: (jid: string, shape: AccountShape | undefined) => void): Promise<void>;
}

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

  /**
   * Looks at the accounts; resolves to how many it has passed over because their records are corrupt. Rejects with
   * StoreError, and knows then what it knew before.
   */
  async survey(): Promise<number> {
    this.#refreshAt = this.#monotonic() + REFRESH_MS;
    const domains = new Map<string, Map<string, CountedShape>>();
    let corrupt = 0;
    await this.#accounts.eachShape(MAX_ACCOUNTS, (jid, shape) => {
      if (shape === undefined) corrupt++;
      else count(domains, jid.slice(jid.indexOf('@') + 1), shape);
    });
    this.#domains = new Map([...domains].map(([domain, shapes]) => [domain, mostFrequent([...shapes.values()])]));
    return corrupt;
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

function count(domains: Map<string, Map<string, CountedShape>>, domain: string, shape: AccountShape): void {
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
