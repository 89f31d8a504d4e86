import { BoundedCache } from '../stanzas/bounded-cache.ts';
import { decodeAccount, type AccountRecord } from './account-record.ts';
import type { Key } from './ordered-store.ts';
import { textKey } from './keys.ts';

/** What a read has found. */
export interface Found {
  readonly record: AccountRecord | undefined;
}

/** Kept as they are used: less than 1 MB. */
const UNPACKED = 512;
/** Kept as they are stored, at most some 6 MB: half of them are as many as lose their connections together and come back. */
const PACKED = 10_240;
/** Strangers choose the names: longer ones are read each time. */
const MAX_JID_LENGTH = 128;

/** A stored value as a byte string. */
interface Packed {
  readonly value: string | undefined;
}

/**
 * Accounts as they were read, absent ones among them: whether there is such an account makes no difference to what is kept.
 * That one was asked for lately does, and a stranger is not to learn it (Accounts.getUnhurried).
 */
export class RecentAccounts {
  readonly #unpacked = new BoundedCache<string, Found>(UNPACKED);
  readonly #packed = new BoundedCache<string, Packed>(PACKED);

  get(jid: string): Found | undefined {
    const unpacked = this.#unpacked.get(jid);
    if (unpacked !== undefined) return unpacked;
    const packed = this.#packed.get(jid);
    if (packed === undefined) return undefined;
    const { value } = packed;
    const key = textKey('accounts', jid);
    const found = { record: value === undefined ? undefined : decodeAccount(key, Buffer.from(value, 'latin1')) };
    this.#unpacked.set(jid, found);
    return found;
  }

  /**
   * Notes what was read.
   * @returns the same, to be used
   * @throws StoreError `corrupt`
   */
  set(jid: string, key: Key, value: Uint8Array | undefined): Found {
    const found = { record: value === undefined ? undefined : decodeAccount(key, value) };
    if (jid.length > MAX_JID_LENGTH) return found;
    this.#unpacked.set(jid, found);
    this.#packed.set(jid, { value: value === undefined ? undefined : Buffer.from(value).toString('latin1') });
    return found;
  }
}
