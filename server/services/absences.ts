import type { Storage } from '../../storage/storage.ts';
import type { Clock } from '../clock.ts';
import type { Log } from '../log.ts';
import type { Account } from '../routing/account.ts';
import { Slot, type SlotNumbers } from '../routing/slot.ts';

export interface AbsencesOptions {
  readonly storage: Pick<Storage, 'lastUnavailable'>;
  readonly accountSlots: SlotNumbers;
  readonly clock: Pick<Clock, 'now'>;
  readonly log: Log;
}

/** Since when accounts without an available resource have none (RFC 6121 4.3.2, rule 3). */
export class Absences {
  readonly #options: AbsencesOptions;
  /** Of those that became unavailable since they were loaded. */
  readonly #known: Slot<{ sinceMs: number | undefined }>;

  constructor(options: AbsencesOptions) {
    this.#options = options;
    this.#known = new Slot<{ sinceMs: number | undefined }>(options.accountSlots, () => ({ sinceMs: undefined }));
  }

  /** The account's last available resource has become unavailable. */
  begin(account: Account): void {
    const { storage, clock, log } = this.#options;
    const sinceMs = clock.now();
    this.#known.of(account).sinceMs = sinceMs;
    storage.lastUnavailable.put(account.jid.bare, sinceMs).catch((error: unknown) => {
      log.warn({ account: account.jid.bare, error: String(error) }, 'when somebody was last available is not stored');
    });
  }

  /** Milliseconds since the epoch; undefined for who was never available, or where the store does not tell. */
  async since(account: Account): Promise<number | undefined> {
    const { storage, log } = this.#options;
    const known = this.#known.peek(account)?.sinceMs;
    if (known !== undefined) return known;
    try {
      return await storage.lastUnavailable.get(account.jid.bare);
    } catch (error) {
      log.warn({ account: account.jid.bare, error: String(error) }, 'when somebody was last available is not readable');
      return undefined;
    }
  }
}
