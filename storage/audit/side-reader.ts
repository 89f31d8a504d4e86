import type { AccountRecord } from '../account-record.ts';
import { positionRange } from '../keys.ts';
import { decodeEntry, type LogEntry } from '../log-entry.ts';
import { pagesOf, type StoreReader } from '../ordered-store.ts';
import type { Explanations, Numbers } from './explanations.ts';
import type { Finding } from './finding.ts';

const PAGE_ENTRIES = 200;

/** One run of numbers whose absence nothing explains. */
interface Run {
  from: number;
  upTo: number;
  readonly afterPosition: number;
  readonly witness: string | undefined;
}

export interface SideReaderOptions {
  readonly store: StoreReader;
  readonly owner: string;
  readonly peer: string;
  readonly account: AccountRecord;
  readonly explanations: Explanations;
  /** Up to this position everything in the log was delivered. */
  readonly cursor: number;
}

/** Reads one side of a chat in the order of its numbers, and gathers what is missing without a reason. */
export class SideReader {
  readonly owner: string;
  readonly faults: Omit<Finding, 'isRepairable'>[] = [];
  head: LogEntry | undefined;
  readonly #options: SideReaderOptions;
  readonly #entries: AsyncGenerator<LogEntry>;
  #lastPosition = 0;
  #run: Run | undefined;

  constructor(options: SideReaderOptions) {
    this.#options = options;
    this.owner = options.owner;
    this.#entries = this.#read();
  }

  get nextNumber(): number {
    return this.head?.sequence ?? Infinity;
  }

  async advance(): Promise<void> {
    if (this.head !== undefined) this.#lastPosition = this.head.position;
    const next = await this.#entries.next();
    this.head = next.done === true ? undefined : next.value;
  }

  /** These numbers are not here; `other` is the message as the other side has it, where they are one number. */
  missing(from: number, upTo: number, other?: LogEntry): void {
    for (const numbers of this.#unexplained({ from, upTo }, other)) this.#miss(numbers, other);
  }

  #miss({ from, upTo }: Numbers, other: LogEntry | undefined): void {
    if (this.#run?.upTo === from - 1) {
      this.#run.upTo = upTo;
      return;
    }
    this.endRun();
    const witness = other === undefined ? undefined : `the other side has it at ${other.position}`;
    this.#run = { from, upTo, afterPosition: this.#lastPosition, witness };
  }

  endRun(): void {
    const run = this.#run;
    this.#run = undefined;
    if (run === undefined) return;
    const { from, upTo, afterPosition, witness } = run;
    this.faults.push({
      fault: 'gap',
      owner: this.owner,
      peer: this.#options.peer,
      position: afterPosition,
      number: from,
      found: `no ${numbers(from, upTo)} behind position ${afterPosition}${witness === undefined ? '' : `; ${witness}`}`,
      expected: 'the messages, or a record of why they are gone',
    });
  }

  async close(): Promise<void> {
    await this.#entries.return(undefined);
  }

  #unexplained(numbers: Numbers, other: LogEntry | undefined): readonly Numbers[] {
    const { explanations, account, cursor } = this.#options;
    if (explanations.wereRemoved(this.#lastPosition, this.head?.position ?? Infinity)) return [];
    // An account that was removed and made again has nothing from before.
    if (other !== undefined && other.position < account.createdAt * 1000) return [];
    // What is not kept stays until it is delivered, and everything behind the cursor waits.
    if (other?.flags.sent === true && this.#lastPosition > cursor) return [numbers];
    return explanations.notOmitted(numbers);
  }

  async *#read(): AsyncGenerator<LogEntry> {
    const { store, owner, peer } = this.#options;
    for await (const page of pagesOf(store, positionRange('log', owner, undefined, undefined), PAGE_ENTRIES)) {
      for (const [key, value] of page) {
        const entry = decodeEntry(key, value);
        if (entry.peer === peer && entry.sequence !== undefined) yield entry;
      }
    }
  }
}

function numbers(from: number, upTo: number): string {
  return from === upTo ? `number ${from}` : `numbers ${from} to ${upTo}`;
}
