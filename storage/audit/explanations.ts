import type { AccountRecord } from '../account-record.ts';
import { decodeRemoval, type Removal } from '../archive-record.ts';
import { ownerRange, textKey } from '../keys.ts';
import { pagesOf, type StoreReader } from '../ordered-store.ts';

/** What is archived of who has not said otherwise. */
export interface ArchivingPolicy {
  /** Whether every numbered message is kept: history is on, and the default is `always`. */
  readonly keepsEverything: boolean;
}

const PAGE_ENTRIES = 200;
/** The document with an owner's preferences (XEP-0441). */
const PREFERENCES = 'archive-preferences';

/** Why one account's log may lack messages. */
export class Explanations {
  readonly #isByChoice: boolean;
  readonly #removals: readonly Removal[];

  private constructor(isByChoice: boolean, removals: readonly Removal[]) {
    this.#isByChoice = isByChoice;
    this.#removals = removals;
  }

  /** Rejects with StoreError. */
  static async load(
    store: StoreReader,
    owner: string,
    { disabled }: AccountRecord,
    policy: ArchivingPolicy,
  ): Promise<Explanations> {
    const [preferences] = await store.getMany([textKey('documents', owner, PREFERENCES)]);
    const removals: Removal[] = [];
    for await (const page of pagesOf(store, ownerRange('removals', owner), PAGE_ENTRIES)) {
      for (const [key, value] of page) removals.push(decodeRemoval(key, value));
    }
    // What was under way when an account was disabled is recorded on the other side alone.
    return new Explanations(preferences !== undefined || !policy.keepsEverything || disabled, removals);
  }

  /** Whether messages between two positions may be missing. */
  cover(afterPosition: number, beforePosition: number): boolean {
    return this.#isByChoice || this.#removals.some(({ from, upTo }) => from < beforePosition && upTo > afterPosition);
  }
}
