import type { GroupCommit } from '../../storage/group-commit.ts';
import type { Write } from '../../storage/ordered-store.ts';
import type { Sequences } from '../../storage/sequences.ts';

/**
 * Hands out each chat's numbers: 1, 2, 3, ... without gaps. A number is final when the batch that holds it commits; when
 * a batch is refused every number not committed is forgotten, so that the next message gets it instead.
 */
export class Sequencer {
  readonly #sequences: Sequences;
  readonly #capacity: number;
  /** The last number given out, by chat; the least recently used chat first. */
  readonly #last = new Map<string, number>();

  /** @param capacity how many chats are remembered; any other chat's counter is read from the store. */
  constructor(sequences: Sequences, commit: GroupCommit, capacity = 50_000) {
    this.#sequences = sequences;
    this.#capacity = capacity;
    commit.onRefused(() => this.#last.clear());
  }

  /** Makes `next` possible for this chat. Undefined when it already is; concurrent calls must be ordered by the caller. */
  prepare(chat: string): Promise<void> | undefined {
    if (this.#last.has(chat)) return undefined;
    return this.#load(chat);
  }

  /** The chat's next number; the writes that make it last are added to `writes`. The chat must have been prepared. */
  next(chat: string, writes: Write[]): number {
    const last = this.#last.get(chat);
    if (last === undefined) throw new Error(`sequence of a chat that was not prepared`);
    const n = last + 1;
    this.#last.set(chat, n);
    writes.push(...this.#sequences.putWrites(chat, n));
    return n;
  }

  async #load(chat: string): Promise<void> {
    const stored = await this.#sequences.load(chat);
    // Both sides of a chat may have asked at once: whoever came first has perhaps given out numbers already.
    if (this.#last.has(chat)) return;
    if (this.#last.size >= this.#capacity) this.#forgetOldest();
    this.#last.set(chat, stored);
  }

  #forgetOldest(): void {
    for (const chat of this.#last.keys()) {
      this.#last.delete(chat);
      if (this.#last.size < this.#capacity * 0.9) return;
    }
  }
}
