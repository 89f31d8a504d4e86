import type { StorageAccess } from './access.ts';
import { decodeAccount, encodeAccount } from './account-record.ts';
import type { AccountRecord, AccountShape, Credentials, ScramHash, ScramKeys } from './account-record.ts';
import { eachShape } from './account-shapes.ts';
import { encodeRemoval } from './archive-record.ts';
import {
  deleteOwner,
  OWNER_TABLES,
  ownerRange,
  partsOf,
  positionKey,
  restAsPosition,
  shardOf,
  SHARDS,
  shardRange,
  textKey,
} from './keys.ts';
import { nextKey, pagesOf } from './ordered-store.ts';
import type { Range, Write } from './ordered-store.ts';
import { RecentAccounts, type Found } from './recent-accounts.ts';

export type { AccountRecord, AccountShape, Credentials, ScramHash, ScramKeys } from './account-record.ts';

/** An account and the bare JID it belongs to. */
export interface Account {
  readonly jid: string;
  readonly record: AccountRecord;
}

export interface AccountListOptions {
  /** Only accounts of this domain. */
  readonly domain?: string | undefined;
  /** The bare JID of the last account of the page before. */
  readonly after?: string | undefined;
  readonly limit: number;
}

/** There is an account of this bare JID already. */
export class AccountExistsError extends Error {
  override readonly name = 'AccountExistsError';
}

/** There is no account of this bare JID. */
export class AccountUnknownError extends Error {
  override readonly name = 'AccountUnknownError';
}

const PAGE_ENTRIES = 200;
const IMPORT_ENTRIES = 200;
const REMOVAL_ENTRIES = 1000;
/** No account has this name, so that whoever reads it waits as for one that does not exist. */
const NOBODY = textKey('accounts', '');

/** The accounts of the server by bare JID. Everything rejects with StoreError where the store fails. */
export class Accounts {
  readonly #access: StorageAccess;
  /** Changes run one after the other: each looks before it writes. */
  #lastChange: Promise<unknown> = Promise.resolve();
  /** For who logs in again: a read of LevelDB is a round trip through the thread pool, 30 µs of each login. */
  #recent = new RecentAccounts();
  /** Changes that have begun or wait. */
  #changing = 0;

  constructor(access: StorageAccess) {
    this.#access = access;
  }

  /** What a read would find, where it is known without one. */
  known(jid: string): Found | undefined {
    return this.#recent.get(jid);
  }

  async get(jid: string): Promise<AccountRecord | undefined> {
    const recent = this.#recent;
    const known = recent.get(jid);
    if (known !== undefined) return known.record;
    const key = textKey('accounts', jid);
    const [value] = await this.#access.store.getMany([key]);
    // A store that has refused a batch may yet take back what it holds, until it has written another.
    const isCertain = this.#changing === 0 && this.#access.commit.lastFailure === undefined;
    // Into what was there when the read began: a change since has replaced it.
    if (isCertain) return recent.set(jid, key, value).record;
    return value === undefined ? undefined : decodeAccount(key, value);
  }

  /** As get, and after a read of the store though it is known: for who is not to learn that it was asked for lately. */
  async getUnhurried(jid: string): Promise<AccountRecord | undefined> {
    if (this.known(jid) !== undefined) await this.#access.store.getMany([NOBODY]);
    return this.get(jid);
  }

  /** Rejects with AccountExistsError if there is an account of that name, disabled or not. */
  async create(jid: string, record: AccountRecord): Promise<void> {
    const [existing] = await this.createMany([{ jid, record }]);
    if (existing !== undefined) throw new AccountExistsError(`there is an account ${existing} already`);
  }

  /**
   * Creates the accounts that do not exist and leaves the others as they are; resolves to the bare JIDs of the others, in
   * their order (the second of two of one name among them). Not one batch: what was created before a StoreError stays.
   */
  createMany(accounts: readonly Account[]): Promise<readonly string[]> {
    return this.#change(async () => {
      const existing: string[] = [];
      for (let start = 0; start < accounts.length; start += IMPORT_ENTRIES) {
        existing.push(...(await this.#createSome(accounts.slice(start, start + IMPORT_ENTRIES))));
      }
      return existing;
    });
  }

  /**
   * Replaces the record by what `change` makes of it and resolves to that; no other change comes in between. With new
   * credentials, or once disabled, the account's tokens are gone with the same batch. Rejects with AccountUnknownError,
   * or with what `change` throws.
   */
  update(jid: string, change: (record: AccountRecord) => AccountRecord): Promise<AccountRecord> {
    return this.#change(async () => {
      const record = await this.get(jid);
      if (record === undefined) throw new AccountUnknownError(`there is no account ${jid}`);
      const changed = change(record);
      const isSameLogin = changed.credentials === record.credentials && !changed.disabled;
      await this.#access.commit.write([
        { type: 'put', key: textKey('accounts', jid), value: encodeAccount(changed) },
        ...(isSameLogin ? [] : [deleteOwner('tokens', jid)]),
      ]);
      return changed;
    });
  }

  /**
   * Adds keys of the password that an account has; its tokens stay. Keys that are there stay as well. Resolves to false where
   * there is no such account, it is disabled, or `isStill` says no of its credentials.
   */
  addKeys(
    jid: string,
    hash: ScramHash,
    keys: ScramKeys,
    isStill: (credentials: Credentials) => boolean,
  ): Promise<boolean> {
    return this.#change(async () => {
      const record = await this.get(jid);
      if (record === undefined || record.disabled || !isStill(record.credentials)) return false;
      if (record.credentials[hash] !== undefined) return true;
      const changed = { ...record, credentials: { ...record.credentials, [hash]: keys } };
      await this.#access.commit.write([{ type: 'put', key: textKey('accounts', jid), value: encodeAccount(changed) }]);
      return true;
    });
  }

  /**
   * Removes the account and everything it owns; resolves to false if there was none. In pieces, the account itself with
   * the last one: if it is interrupted the account is still there and can be removed again, and nobody who takes the name
   * later inherits anything.
   */
  remove(jid: string): Promise<boolean> {
    return this.#change(async () => {
      if ((await this.get(jid)) === undefined) return false;
      const lastPosition = await this.#lastPosition(jid);
      for (const table of OWNER_TABLES.filter((name) => name !== 'accounts')) {
        for await (const page of pagesOf(this.#access.store, ownerRange(table, jid), REMOVAL_ENTRIES)) {
          await this.#access.commit.write(page.map(([key]) => ({ type: 'delete', key })));
        }
      }
      await this.#access.commit.write([
        ...OWNER_TABLES.map((table) => deleteOwner(table, jid)),
        ...(lastPosition === 0 ? [] : [accountRemovalWrite(jid, lastPosition)]),
      ]);
      return true;
    });
  }

  /**
   * Does something while the account is there, disabled or not: no change of it comes in between. Resolves to false, with
   * nothing done, where there is none.
   */
  whileThere(jid: string, work: () => void): Promise<boolean> {
    return this.#change(async () => {
      if ((await this.get(jid)) === undefined) return false;
      work();
      return true;
    });
  }

  /** A page of accounts in the order of their keys (by shard, then by JID): always the same order, not the alphabet's. */
  async list(options: AccountListOptions): Promise<readonly Account[]> {
    const accounts: Account[] = [];
    for await (const account of this.#accountsFrom(options)) {
      if (accounts.length >= options.limit) break;
      accounts.push(account);
    }
    return accounts;
  }

  /** Shows the shapes of the first accounts, in the order of `list`; undefined of an account whose record is corrupt. */
  eachShape(limit: number, show: (jid: string, shape: AccountShape | undefined) => void): Promise<void> {
    return eachShape(this.#access.store, limit, show);
  }

  async count(domain?: string): Promise<number> {
    let count = 0;
    for (let shard = 0; shard < SHARDS; shard++) {
      for await (const page of pagesOf(this.#access.store, shardRange('accounts', shard), PAGE_ENTRIES)) {
        count += page.filter(([key]) => isOf(partsOf(key).owner, domain)).length;
      }
    }
    return count;
  }

  /** The last place in the account's log that is known of; 0 for none. */
  async #lastPosition(jid: string): Promise<number> {
    let last = 0;
    for (const table of ['log', 'removals', 'sendKeys'] as const) {
      const [entry] = await this.#access.store.page({ ...ownerRange(table, jid), reverse: true }, 1);
      if (entry !== undefined) last = Math.max(last, restAsPosition(entry[0]));
    }
    return last;
  }

  async *#accountsFrom({ domain, after, limit }: AccountListOptions): AsyncGenerator<Account> {
    const firstShard = after === undefined ? 0 : shardOf(after);
    const pageEntries = Math.min(limit, PAGE_ENTRIES);
    for (let shard = firstShard; shard < SHARDS; shard++) {
      const whole = shardRange('accounts', shard);
      const range: Range =
        after !== undefined && shard === firstShard ? { ...whole, from: nextKey(textKey('accounts', after)) } : whole;
      for await (const page of pagesOf(this.#access.store, range, pageEntries)) {
        for (const [key, value] of page) {
          const jid = partsOf(key).owner;
          if (isOf(jid, domain)) yield { jid, record: decodeAccount(key, value) };
        }
      }
    }
  }

  async #createSome(accounts: readonly Account[]): Promise<readonly string[]> {
    const keys = accounts.map(({ jid }) => textKey('accounts', jid));
    const values = await this.#access.store.getMany(keys);
    const taken = new Set(accounts.filter((_, index) => values[index] !== undefined).map(({ jid }) => jid));
    const existing: string[] = [];
    const fresh: Account[] = [];
    for (const account of accounts) {
      if (taken.has(account.jid)) existing.push(account.jid);
      else fresh.push(account);
      taken.add(account.jid);
    }
    await this.#access.commit.write(
      fresh.map(({ jid, record }) => ({ type: 'put', key: textKey('accounts', jid), value: encodeAccount(record) })),
    );
    return existing;
  }

  #change<Result>(change: () => Promise<Result>): Promise<Result> {
    this.#changing++;
    this.#recent = new RecentAccounts();
    const changed = this.#lastChange.then(change);
    const ended = (): void => {
      this.#changing--;
      this.#recent = new RecentAccounts(); // for reads that began meanwhile: they may have been too early
    };
    this.#lastChange = changed.then(ended, ended);
    return changed;
  }
}

/** Stays when the account is gone: why its chats' numbers begin late for who takes the name again (storage/audit). */
function accountRemovalWrite(jid: string, upTo: number): Write {
  const at = Math.floor(upTo / 1000);
  const value = encodeRemoval({ from: 0, upTo, reason: 'account', count: 0, bytes: 0, at });
  return { type: 'put', key: positionKey('removals', jid, upTo), value };
}

function isOf(jid: string, domain: string | undefined): boolean {
  return domain === undefined || jid.slice(jid.indexOf('@') + 1) === domain;
}
