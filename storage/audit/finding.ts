import type { Write } from '../ordered-store.ts';

/** What can be wrong with a store. */
export type Fault =
  | 'key' // no key that Posthorn writes
  | 'unreadable' // a record, or a stanza, that cannot be read
  | 'flags' // an entry nobody could ever see
  | 'orphan' // owned by an account that does not exist
  | 'order' // numbers of a chat that do not increase in a log
  | 'gap' // a number that nothing explains the absence of
  | 'counter' // a chat whose counter is not its highest number
  | 'disagreement' // the two sides of a chat have different messages under one number
  | 'index' // a row without its message, or a message without its row
  | 'usage' // what an archive is said to hold is not what it holds
  | 'cursor' // messages that have not been written yet are taken for delivered
  | 'send key'; // known as sent what the account received

/** One thing that is wrong, and the exact place. */
export interface Finding {
  readonly fault: Fault;
  /** The bare JID whose part of the store it is in; '' for the server's own. */
  readonly owner: string;
  /** Its place in the owner's log. */
  readonly position?: number;
  /** The other side of the chat. */
  readonly peer?: string;
  /** The chat's number. */
  readonly number?: number;
  readonly found: string;
  readonly expected: string;
  /** Whether `posthorn audit --repair` can mend it. */
  readonly isRepairable: boolean;
}

/** More are counted, and not described. */
const MAX_DESCRIBED = 200;

/** Gathers what is found: bounded, however bad a store is. */
export class Findings {
  readonly described: Finding[] = [];
  readonly repairs: Write[] = [];
  count = 0;

  /** @param repair what mends it, on a store nobody writes to */
  add(finding: Omit<Finding, 'isRepairable'>, repair: readonly Write[] = []): void {
    this.count++;
    const isRepairable = repair.length > 0;
    if (this.described.length < MAX_DESCRIBED) this.described.push({ ...finding, isRepairable });
    // Where there are more than are described, the next round mends them.
    if (!isRepairable || this.repairs.length >= MAX_DESCRIBED) return;
    this.repairs.push(...repair);
  }
}
