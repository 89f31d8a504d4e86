import type { SendKeys, StoredSendKey } from '../../storage/send-keys.ts';
import type { Account } from './account.ts';

/** Accounts beyond are forgotten, the one that was asked about longest ago first. */
const MAX_ACCOUNTS = 16;

/**
 * The keys of what accounts sent, as read from the store. Who says the same again and again makes the server look each
 * time: only what is new since the last look is read.
 */
export class KeysRead {
  readonly #sendKeys: Pick<SendKeys, 'load'>;
  readonly #accounts = new Map<Account, readonly StoredSendKey[]>();

  constructor(sendKeys: Pick<SendKeys, 'load'>) {
    this.#sendKeys = sendKeys;
  }

  /** What the account sent after a position, in order, as far as it is stored. Rejects with StoreError. */
  async load(account: Account, after: number): Promise<readonly StoredSendKey[]> {
    const known = this.#accounts.get(account) ?? [];
    const added = await this.#sendKeys.load(account.jid.bare, Math.max(after, known.at(-1)?.position ?? 0));
    const first = known.findIndex(({ position }) => position > after);
    const kept = first === -1 ? [] : first === 0 ? known : known.slice(first);
    const keys = added.length === 0 ? kept : [...kept, ...added];
    this.#accounts.delete(account);
    this.#accounts.set(account, keys);
    if (this.#accounts.size > MAX_ACCOUNTS) this.forget(this.#accounts.keys().next().value!);
    return keys;
  }

  /** The store has been told to forget some. */
  forget(account: Account): void {
    this.#accounts.delete(account);
  }
}
