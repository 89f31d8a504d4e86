import type { StorageAccess } from './access.ts';
import { deleteOwner, ownerRange, restAsText, textKey } from './keys.ts';
import { pagesOf } from './ordered-store.ts';
import type { Key, Write } from './ordered-store.ts';
import { RecordReader, RecordWriter } from './record.ts';

/** A token that a client was given (XEP-0484), without the token itself: see server/sasl/tokens.ts. */
export interface StoredToken {
  /** The one SASL mechanism it is good for. */
  readonly mechanism: string;
  /** What the token is derived from, together with a secret of the server. */
  readonly nonce: Uint8Array;
  /** Milliseconds since the epoch. */
  readonly issuedAt: number;
  readonly expiresAt: number;
  /** The greatest `count` the client has used it with; 0 for none. */
  readonly count: number;
}

/** A client installation that holds tokens of an account. */
export interface TokenClient {
  /** What it says of itself (XEP-0388); '' for nothing. */
  readonly software: string;
  readonly device: string;
  /** Milliseconds since the epoch. */
  readonly firstSeenAt: number;
  /** The same, kept to the hour. */
  readonly lastSeenAt: number;
  /** Which password the tokens were given under: with another one they are void. */
  readonly credentials: Uint8Array;
  /** The token that was used last. */
  readonly current: StoredToken | undefined;
  /** The token that was given and not used yet. */
  readonly fresh: StoredToken | undefined;
}

/** A client and the name under which it is kept. */
export interface NamedTokenClient {
  readonly client: string;
  readonly record: TokenClient;
}

const FORMAT = 1;
const PAGE_ENTRIES = 100;

/** The clients that hold tokens, by account. Everything rejects with StoreError where the store fails. */
export class ClientTokens {
  readonly #access: StorageAccess;
  /** The last change of each account that is being changed: one at a time, so that a token cannot be used twice at once. */
  readonly #changes = new Map<string, Promise<unknown>>();

  constructor(access: StorageAccess) {
    this.#access = access;
  }

  async get(owner: string, client: string): Promise<TokenClient | undefined> {
    const key = textKey('tokens', owner, client);
    const [value] = await this.#access.store.getMany([key]);
    return value === undefined ? undefined : decodeClient(key, value);
  }

  /**
   * Replaces the client's record by what `change` makes of it (undefined: none) and resolves to that, once it is stored;
   * no other change of this account comes in between. A client beyond `maxClients` takes the place of the one seen
   * longest ago. Rejects with what `change` throws.
   */
  change(
    owner: string,
    client: string,
    maxClients: number,
    change: (record: TokenClient | undefined) => TokenClient | undefined,
  ): Promise<TokenClient | undefined> {
    return this.#alone(owner, async () => {
      const record = await this.get(owner, client);
      const changed = change(record);
      if (changed === record) return changed;
      const key = textKey('tokens', owner, client);
      const writes: Write[] = [];
      if (changed === undefined) writes.push({ type: 'delete', key });
      else {
        if (record === undefined) writes.push(...(await this.#makeRoom(owner, maxClients)));
        writes.push({ type: 'put', key, value: encodeClient(changed) });
      }
      await this.#access.commit.write(writes);
      return changed;
    });
  }

  /** The account's clients, by name. */
  async list(owner: string): Promise<readonly NamedTokenClient[]> {
    const clients: NamedTokenClient[] = [];
    for await (const page of pagesOf(this.#access.store, ownerRange('tokens', owner), PAGE_ENTRIES)) {
      for (const [key, value] of page) clients.push({ client: restAsText(key), record: decodeClient(key, value) });
    }
    return clients;
  }

  /** Takes a client's tokens from it; resolves to false if it had none. */
  async remove(owner: string, client: string): Promise<boolean> {
    let existed = false;
    await this.change(owner, client, 0, (record) => {
      existed = record !== undefined;
      return undefined;
    });
    return existed;
  }

  /** Takes every client's tokens from it; resolves to how many clients had some. */
  removeAll(owner: string): Promise<number> {
    return this.#alone(owner, async () => {
      const { length } = await this.list(owner);
      if (length > 0) await this.#access.commit.write([deleteOwner('tokens', owner)]);
      return length;
    });
  }

  async #makeRoom(owner: string, maxClients: number): Promise<readonly Write[]> {
    const clients = [...(await this.list(owner))];
    const excess = clients.length + 1 - maxClients;
    if (excess <= 0) return [];
    clients.sort((one, other) => one.record.lastSeenAt - other.record.lastSeenAt);
    return clients.slice(0, excess).map(({ client }) => ({ type: 'delete', key: textKey('tokens', owner, client) }));
  }

  #alone<Result>(owner: string, work: () => Promise<Result>): Promise<Result> {
    const done = (this.#changes.get(owner) ?? Promise.resolve()).then(work);
    const settled = done.then(
      () => undefined,
      () => undefined,
    );
    this.#changes.set(owner, settled);
    void settled.then(() => {
      if (this.#changes.get(owner) === settled) this.#changes.delete(owner);
    });
    return done;
  }
}

function encodeClient(record: TokenClient): Uint8Array {
  const writer = new RecordWriter(FORMAT)
    .text(record.software)
    .text(record.device)
    .number(record.firstSeenAt)
    .number(record.lastSeenAt)
    .bytes(record.credentials);
  for (const token of [record.current, record.fresh]) {
    writer.byte(token === undefined ? 0 : 1);
    if (token === undefined) continue;
    writer.text(token.mechanism).bytes(token.nonce).number(token.issuedAt).number(token.expiresAt).number(token.count);
  }
  return writer.end();
}

/** Throws StoreError `corrupt`. */
export function decodeClient(key: Key, value: Uint8Array): TokenClient {
  const reader = new RecordReader(key, value, FORMAT);
  const software = reader.text();
  const device = reader.text();
  const firstSeenAt = reader.number();
  const lastSeenAt = reader.number();
  const credentials = reader.bytes();
  const current = decodeToken(reader);
  const fresh = decodeToken(reader);
  reader.end();
  return { software, device, firstSeenAt, lastSeenAt, credentials, current, fresh };
}

function decodeToken(reader: RecordReader): StoredToken | undefined {
  const present = reader.byte();
  if (present === 0) return undefined;
  if (present !== 1) throw reader.corrupt('it has neither a token nor none');
  return {
    mechanism: reader.text(),
    nonce: reader.bytes(),
    issuedAt: reader.number(),
    expiresAt: reader.number(),
    count: reader.number(),
  };
}
