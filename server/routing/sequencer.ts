import type { GroupCommit } from '../../storage/group-commit.ts';
import type { Sequences } from '../../storage/sequences.ts';

/**
 * Hands out each chat's numbers: 1, 2, 3, ... without gaps. A number is final when the batch that holds it commits; when
 * a batch is refused every number not committed is forgotten, so that the next message gets it instead.
 */
export class Sequencer {
  readonly #sequences: Sequences;
  readonly #commit: GroupCommit;
  readonly #capacity: number;
  /** The last number given out, by chat; the chat loaded longest ago first. */
  readonly #last = new Map<string, number>();
  /** The last number given out in the batch that fills, by chat. */
  readonly #given = new Map<string, number>();
  /** One load for all who wait for a chat: a second one could bring back a number from before those given out since. */
  readonly #loading = new Map<string, Promise<void>>();

  /** @param capacity how many chats are remembered; any other chat's counter is read from the store. */
  constructor(sequences: Sequences, commit: GroupCommit, capacity = 50_000) {
    this.#sequences = sequences;
    this.#commit = commit;
    this.#capacity = capacity;
    commit.onRefused(() => {
      this.#last.clear();
      this.#given.clear();
    });
    // One counter for all the numbers a chat has got in a batch.
    commit.onClosing((writes) => {
      for (const [chat, n] of this.#given) writes.push(...sequences.putWrites(chat, n));
      this.#given.clear();
    });
  }

  /**
   * Makes `next` possible for this chat; it may be impossible again in the next turn of the loop, after a refusal.
   * Undefined when it already is. Rejects with StoreError.
   */
  prepare(chat: string): Promise<void> | undefined {
    if (this.#last.has(chat)) return undefined;
    let loading = this.#loading.get(chat);
    if (loading === undefined) {
      loading = this.#load(chat).finally(() => this.#loading.delete(chat));
      this.#loading.set(chat, loading);
    }
    return loading;
  }

  /**
   * The chat's next number, for a message that joins the batch in this turn of the loop; the counter joins it too. The
   * chat must have been prepared.
   */
  next(chat: string): number {
    const last = this.#last.get(chat);
    if (last === undefined) throw new Error('a number of a chat that was not prepared');
    const n = last + 1;
    this.#last.set(chat, n);
    this.#given.set(chat, n);
    return n;
  }

  async #load(chat: string): Promise<void> {
    // A chat that was forgotten may have a number on its way to the disk; behind this flush the store knows it, and none
    // is given out until it has been read.
    await this.#commit.flush();
    const stored = await this.#sequences.load(chat);
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
