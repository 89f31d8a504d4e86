import type { LogEntry } from '../log-entry.ts';
import { Checksum } from './checksum.ts';

/** Numbers that are missing in one log: greater than `after`, smaller than `before`. */
export interface Gap {
  readonly after: number;
  readonly before: number;
  /** The positions of the neighbours: when the missing messages were. */
  readonly afterPosition: number;
  readonly beforePosition: number;
}

/** More gaps of one log and chat than this are looked at one by one in a second pass. */
const MAX_GAPS = 8;

/** What one account's log has of one chat, in little memory however many messages there are. */
export class ChatSide {
  readonly owner: string;
  count = 0;
  last = 0;
  lastPosition = 0;
  readonly gaps: Gap[] = [];
  hasMoreGaps = false;
  isDisordered = false;
  readonly checksum = new Checksum();

  constructor(owner: string) {
    this.owner = owner;
  }

  /** The next numbered entry of the log; returns false where its number is not greater than the last. */
  add(entry: LogEntry, number: number, isFromOwner: boolean): boolean {
    this.count++;
    this.checksum.add(`${number} ${isFromOwner ? 1 : 0} ${entry.stanza}`);
    if (number <= this.last) {
      this.isDisordered = true;
      return false;
    }
    if (number > this.last + 1) this.#addGap(number, entry.position);
    this.last = number;
    this.lastPosition = entry.position;
    return true;
  }

  /** Everything up to the chat's last number is known now. */
  end(counter: number): void {
    if (counter > this.last) this.#addGap(counter + 1, Infinity);
  }

  /** Whether the other side has exactly the same numbers, as far as can be told without reading again. */
  hasNumbersOf(other: ChatSide): boolean {
    return (
      this.count === other.count &&
      this.last === other.last &&
      !this.hasMoreGaps &&
      !other.hasMoreGaps &&
      this.gaps.length === other.gaps.length &&
      this.gaps.every(({ after, before }, index) => {
        const gap = other.gaps[index];
        return gap?.after === after && gap.before === before;
      })
    );
  }

  #addGap(before: number, beforePosition: number): void {
    if (this.gaps.length >= MAX_GAPS) this.hasMoreGaps = true;
    else this.gaps.push({ after: this.last, before, afterPosition: this.lastPosition, beforePosition });
  }
}
