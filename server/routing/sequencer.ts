import type { GroupCommit } from '../../storage/group-commit.ts';
import { omissionWrite } from '../../storage/omissions.ts';
import type { OmissionReason, OpenOmission, OpenOmissions } from '../../storage/omissions.ts';
import type { Write } from '../../storage/ordered-store.ts';
import { sidesOf, type Sequences } from '../../storage/sequences.ts';

/**
 * Hands out each chat's numbers: 1, 2, 3, ... without gaps. A number is final when the batch that holds it commits; when
 * a batch is refused every number not committed is forgotten, so that the next message gets it instead. With its counter a
 * chat has the numbers that one of its sides does not keep, so that an audit knows them from what was lost.
 */
export class Sequencer {
  readonly #sequences: Sequences;
  readonly #commit: GroupCommit;
  readonly #capacity: number;
  /** By chat; the chat loaded longest ago first. */
  readonly #counters = new Map<string, Counter>();
  /** Those that joined the batch that fills. */
  #given: Counter[] = [];
  /** What sides do not keep at the moment, by chat; of the chats that are remembered. */
  readonly #omissions = new Map<string, OpenOmissions>();
  /** Omissions that end in the batch that fills. */
  #ended: Write[] = [];
  /** One load for all who wait for a chat: a second one could bring back a number from before those given out since. */
  readonly #loading = new Map<string, Promise<void>>();

  /** @param capacity how many chats are remembered; any other chat's counter is read from the store. */
  constructor(sequences: Sequences, commit: GroupCommit, capacity = 50_000) {
    this.#sequences = sequences;
    this.#commit = commit;
    this.#capacity = capacity;
    commit.onRefused(() => {
      this.#counters.clear();
      this.#given = [];
      this.#omissions.clear();
      this.#ended = [];
    });
    // One counter for all the numbers a chat has got in a batch.
    commit.onClosing((writes) => {
      if (this.#omissions.size > 0 || this.#ended.length > 0) this.#closeOmitting(writes);
      else for (const { chat, last } of this.#leaving()) writes.push(...sequences.putWrites(chat, last));
    });
  }

  /**
   * Makes `next` possible for this chat; it may be impossible again in the next turn of the loop, after a refusal.
   * Undefined when it already is. Rejects with StoreError.
   */
  prepare(chat: string): Promise<void> | undefined {
    if (this.#counters.has(chat)) return undefined;
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
    const counter = this.#counterOf(chat);
    if (!counter.isGiven) {
      counter.isGiven = true;
      this.#given.push(counter);
    }
    return ++counter.last;
  }

  /**
   * The chat's last number is kept in the log of this side, at this position; in the turn in which it was given. Where
   * everybody keeps everything this costs nothing.
   */
  kept(chat: string, side: string, position: number): void {
    if (this.#omissions.size === 0) return;
    const omissions = this.#omissions.get(chat);
    const place = placeOf(chat, side);
    const open = omissions?.[place];
    if (omissions === undefined || open === undefined) return;
    this.#end(chat, place, open, position);
    const rest = { ...omissions, [place]: undefined };
    if (rest.owner === undefined && rest.other === undefined) this.#omissions.delete(chat);
    else this.#omissions.set(chat, rest);
  }

  /** As `kept`, where the log does not keep it. The counter says so, and a record of its own once another one is kept. */
  omitted(chat: string, side: string, position: number, reason: OmissionReason): void {
    const omissions = this.#omissions.get(chat) ?? NO_OMISSIONS;
    const place = placeOf(chat, side);
    const open = omissions[place];
    if (open?.reason === reason) return;
    if (open !== undefined) {
      // Who is not there may be gone for good: nothing is written into what was theirs.
      if (reason === 'account' || reason === 'origin') return;
      this.#end(chat, place, open, position);
    }
    this.#omissions.set(chat, { ...omissions, [place]: { from: this.#counterOf(chat).last, reason } });
  }

  /** What makes the chat's last number final; for a message that leaves no other trace in the store. */
  counterWrites(chat: string): Write[] {
    const counter = this.#counterOf(chat);
    counter.isGiven = false;
    return this.#sequences.putWrites(chat, counter.last, this.#omissions.get(chat));
  }

  /** The counters of the batch that closes. */
  *#leaving(): Generator<Counter> {
    const given = this.#given;
    this.#given = [];
    for (const counter of given) {
      if (!counter.isGiven) continue;
      counter.isGiven = false;
      yield counter;
    }
  }

  /** The counters with what their sides do not keep, and what ended. */
  #closeOmitting(writes: Write[]): void {
    for (const { chat, last } of this.#leaving()) {
      writes.push(...this.#sequences.putWrites(chat, last, this.#omissions.get(chat)));
      if (!this.#counters.has(chat)) this.#omissions.delete(chat); // forgotten meanwhile
    }
    writes.push(...this.#ended);
    this.#ended = [];
  }

  /** An omission is over with the chat's last number, which belongs to it no more. */
  #end(chat: string, place: keyof OpenOmissions, { from, reason }: OpenOmission, position: number): void {
    const sides = sidesOf(chat);
    const peer = place === 'owner' ? sides.other : sides.owner;
    const omission = { from, upTo: this.#counterOf(chat).last - 1, reason, endedAt: position };
    this.#ended.push(omissionWrite(sides[place], peer, omission));
  }

  #counterOf(chat: string): Counter {
    const counter = this.#counters.get(chat);
    if (counter === undefined) throw new Error('a number of a chat that was not prepared');
    return counter;
  }

  async #load(chat: string): Promise<void> {
    // A chat that was forgotten may have a number on its way to the disk; behind this flush the store knows it, and none
    // is given out until it has been read.
    await this.#commit.flush();
    const { number, omissions } = await this.#sequences.counter(chat);
    if (this.#counters.size >= this.#capacity) this.#forgetOldest();
    this.#counters.set(chat, { chat, last: number, isGiven: false });
    if (omissions !== undefined) this.#omissions.set(chat, omissions);
  }

  #forgetOldest(): void {
    for (const [chat, { isGiven }] of this.#counters) {
      this.#counters.delete(chat);
      if (!isGiven) this.#omissions.delete(chat);
      if (this.#counters.size < this.#capacity * 0.9) return;
    }
  }
}

interface Counter {
  readonly chat: string;
  /** The last number given out. */
  last: number;
  /** Whether it changed in the batch that fills, which takes it along. */
  isGiven: boolean;
}

const NO_OMISSIONS: OpenOmissions = { owner: undefined, other: undefined };

function placeOf(chat: string, side: string): keyof OpenOmissions {
  return sidesOf(chat).owner === side ? 'owner' : 'other';
}
