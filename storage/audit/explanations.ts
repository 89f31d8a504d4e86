import { decodeRemoval, type Removal } from '../archive-record.ts';
import { ownerRange } from '../keys.ts';
import { omissionsOf, type OpenOmission } from '../omissions.ts';
import { pagesOf, type StoreReader } from '../ordered-store.ts';
import type { Gap } from './chat-side.ts';

/** Numbers of a chat, both included. */
export interface Numbers {
  readonly from: number;
  readonly upTo: number;
}

const PAGE_ENTRIES = 200;

/** Why one account's log may lack messages of one chat. */
export class Explanations {
  readonly #removals: readonly Removal[];
  /** What the log never kept, in order. */
  readonly #omissions: readonly Numbers[];

  private constructor(removals: readonly Removal[], omissions: readonly Numbers[]) {
    this.#removals = removals;
    this.#omissions = omissions;
  }

  /**
   * Rejects with StoreError.
   *
   * @param open what the log has not kept of the chat up to its last number
   */
  static async load(
    store: StoreReader,
    owner: string,
    peer: string,
    open: OpenOmission | undefined,
  ): Promise<Explanations> {
    const removals: Removal[] = [];
    for await (const page of pagesOf(store, ownerRange('removals', owner), PAGE_ENTRIES)) {
      for (const [key, value] of page) removals.push(decodeRemoval(key, value));
    }
    const ended = await omissionsOf(store, owner, peer);
    return new Explanations(removals, open === undefined ? ended : [...ended, { from: open.from, upTo: Infinity }]);
  }

  /** Whether all that is missing between two messages has a reason. */
  cover({ after, before, afterPosition, beforePosition }: Gap): boolean {
    if (this.wereRemoved(afterPosition, beforePosition)) return true;
    return this.notOmitted({ from: after + 1, upTo: before - 1 }).length === 0;
  }

  /** Whether something between two positions was removed. */
  wereRemoved(afterPosition: number, beforePosition: number): boolean {
    return this.#removals.some(({ from, upTo }) => from < beforePosition && upTo > afterPosition);
  }

  /** What of these numbers should be in the log, or have been. */
  notOmitted({ from, upTo }: Numbers): readonly Numbers[] {
    const rest: Numbers[] = [];
    let next = from;
    for (const omission of this.#omissions) {
      if (omission.upTo < next) continue;
      if (omission.from > upTo) break;
      if (omission.from > next) rest.push({ from: next, upTo: omission.from - 1 });
      next = omission.upTo + 1;
    }
    if (next <= upTo) rest.push({ from: next, upTo });
    return rest;
  }
}
