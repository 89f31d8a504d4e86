import { createHash, createHmac, timingSafeEqual } from 'node:crypto';

import type { Credentials } from '../../storage/accounts.ts';
import type { ClientTokens, StoredToken, TokenClient } from '../../storage/client-tokens.ts';
import { SCRAM_HASHES } from './scram-keys.ts';
import { initiatorProof, responderProof, type HashedTokenMechanism } from './hashed-token.ts';

/** Options of Tokens. */
export interface TokensOptions {
  readonly store: ClientTokens;
  /** The server's own, the same after every restart. */
  readonly secret: Uint8Array;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly random: (lengthBytes: number) => Uint8Array;
  /** How long a token is good for. */
  readonly lifetimeMs: number;
  /** A token older than this is replaced when it is used. */
  readonly rotationMs: number;
  /** Clients of one account that may hold tokens. */
  readonly maxClients: number;
}

/** What a client says of itself (XEP-0388, "Initiation"). */
export interface UserAgent {
  /** Stable for one installation; never shown to anybody. */
  readonly id: string;
  readonly software: string;
  readonly device: string;
}

/** One client of one account. */
export interface TokenHolder {
  readonly bareJid: string;
  readonly agent: UserAgent;
  /** The account's, as they are now: tokens given under others are void. */
  readonly credentials: Credentials;
}

/** What a client proves its token with. */
export interface TokenProof {
  readonly mechanism: HashedTokenMechanism;
  readonly bindingData: Buffer;
  readonly proof: Buffer;
}

/** A token that a client has proven to hold. */
export interface ProvenToken {
  readonly token: StoredToken;
  /** Our side's proof. */
  readonly answer: Buffer;
  readonly isExpired: boolean;
}

/** A token for a client: the only place where it is written out. */
export interface NewToken {
  readonly token: string;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
}

const NONCE_BYTES = 16;
const NO_NONCE = new Uint8Array(NONCE_BYTES);
const FINGERPRINT_BYTES = 16;
const CLIENT_NAME_BYTES = 12;
const HOUR_MS = 3_600_000;

/**
 * The tokens of XEP-0484: each for one client and one mechanism. The store holds no token but the nonce it is derived
 * from, together with a secret that the store keeps elsewhere; whoever has one account's records has nothing.
 */
export class Tokens {
  readonly #options: TokensOptions;

  constructor(options: TokensOptions) {
    this.#options = options;
  }

  /** What is kept of the client; undefined where it has no token that its account's password still stands behind. */
  async find({ bareJid, agent, credentials }: TokenHolder): Promise<TokenClient | undefined> {
    const record = await this.#options.store.get(bareJid, clientName(agent));
    return record !== undefined && equal(record.credentials, fingerprintOf(credentials)) ? record : undefined;
  }

  /**
   * The token that a proof was made with; undefined when it is none of the client's. Takes the same time whether there is
   * a client or not.
   */
  match(holder: TokenHolder, record: TokenClient | undefined, proof: TokenProof): ProvenToken | undefined {
    let proven: ProvenToken | undefined;
    // XEP-0484, "Server-side handling of multiple active tokens": the new one first
    for (const token of [record?.current, record?.fresh]) {
      const secret = this.#tokenOf(holder, proof.mechanism, token?.nonce ?? NO_NONCE);
      const isRight = equal(initiatorProof(secret, proof.bindingData), proof.proof);
      const answer = responderProof(secret, proof.bindingData);
      if (!isRight || token?.mechanism !== proof.mechanism) continue;
      proven = { token, answer, isExpired: token.expiresAt <= this.#options.now() };
    }
    return proven;
  }

  /**
   * Notes that a token was used: those given before it are gone. Resolves to false when it is not good any more: it was
   * taken back or used with this count meanwhile.
   */
  async use(holder: TokenHolder, used: StoredToken, { count, invalidate }: TokenUse): Promise<boolean> {
    const { store, maxClients } = this.#options;
    let isGood = false;
    await store.change(holder.bareJid, clientName(holder.agent), maxClients, (record) => {
      isGood = false;
      const isFresh = isSame(record?.fresh, used);
      const token = isFresh ? record?.fresh : isSame(record?.current, used) ? record?.current : undefined;
      if (record === undefined || token === undefined || (count !== undefined && count <= token.count)) return record;
      isGood = true;
      if (invalidate) return undefined;
      const lastSeenAt = this.#hour();
      // A client that returns within the hour costs no write.
      if (!isFresh && count === undefined && record.lastSeenAt === lastSeenAt) return record;
      return {
        ...record,
        lastSeenAt,
        current: { ...token, count: count ?? token.count },
        fresh: isFresh ? undefined : record.fresh,
      };
    });
    return isGood;
  }

  /** Whether a token that was just used should be replaced (XEP-0484, "Server initiates token rotation"). */
  isDue({ issuedAt }: StoredToken): boolean {
    return this.#options.now() - issuedAt >= this.#options.rotationMs;
  }

  /** Gives a client a new token. The one it used last stays good until this one is used; resolves once it is stored. */
  async issue(holder: TokenHolder, mechanism: HashedTokenMechanism): Promise<NewToken> {
    const { store, random, lifetimeMs, maxClients, now } = this.#options;
    const issuedAt = now();
    const nonce = Uint8Array.from(random(NONCE_BYTES));
    const fresh = { mechanism, nonce, issuedAt, expiresAt: issuedAt + lifetimeMs, count: 0 };
    const credentials = fingerprintOf(holder.credentials);
    const { software, device } = holder.agent;
    await store.change(holder.bareJid, clientName(holder.agent), maxClients, (record) => ({
      software,
      device,
      firstSeenAt: record?.firstSeenAt ?? issuedAt,
      lastSeenAt: this.#hour(),
      credentials,
      // A token that an older password stood behind does not come back to life.
      current: record !== undefined && equal(record.credentials, credentials) ? record.current : undefined,
      fresh,
    }));
    return { token: this.#tokenOf(holder, mechanism, nonce), expiresAt: fresh.expiresAt };
  }

  #tokenOf({ bareJid, agent }: TokenHolder, mechanism: string, nonce: Uint8Array): string {
    const text = `${bareJid}\0${clientName(agent)}\0${mechanism}\0`;
    return createHmac('sha256', this.#options.secret).update(text, 'utf8').update(nonce).digest('base64url');
  }

  #hour(): number {
    const now = this.#options.now();
    return now - (now % HOUR_MS);
  }
}

/** How a token is used (the attributes of `<fast/>`). */
export interface TokenUse {
  /** Greater than at any use before; undefined where the client does not count. */
  readonly count: number | undefined;
  /** The client logs out: the token is good this once more. */
  readonly invalidate: boolean;
}

/** The name of a client in the store and for operators: its id is not kept. */
export function clientName({ id }: Pick<UserAgent, 'id'>): string {
  const digest = createHash('sha256').update(id, 'utf8').digest();
  return digest.subarray(0, CLIENT_NAME_BYTES).toString('base64url');
}

/**
 * Tells one password's keys from another's, and nothing else about them. By those of the weakest hash: stronger ones may be
 * added to the same password (XEP-0480), and what was given under it stays good.
 */
function fingerprintOf(credentials: Credentials): Buffer {
  const hash = createHash('sha256');
  const name = SCRAM_HASHES.findLast((known) => credentials[known] !== undefined);
  if (name !== undefined) hash.update(`${name} `).update(credentials[name]?.storedKey ?? '');
  return hash.digest().subarray(0, FINGERPRINT_BYTES);
}

function isSame(one: StoredToken | undefined, other: StoredToken): boolean {
  return one !== undefined && Buffer.compare(one.nonce, other.nonce) === 0;
}

function equal(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && timingSafeEqual(left, right);
}
