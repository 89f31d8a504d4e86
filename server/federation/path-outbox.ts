import type { CommitListener, GroupCommit } from '../../storage/group-commit.ts';
import type { DomainPair, Outboxes } from '../../storage/outboxes.ts';
import type { Log } from '../log.ts';
import { positionsOf, type Parcel } from './parcel.ts';

export interface PathOutboxOptions {
  readonly outboxes: Outboxes;
  readonly commit: GroupCommit;
  readonly log: Log;
}

/** What the store has of one path: its entries, in order, and a mark up to which they may have been sent. */
export class PathOutbox {
  readonly #pair: DomainPair;
  readonly #options: PathOutboxOptions;
  #lastPosition = 0;
  #markedUpTo = 0;
  /** Whether the store holds a mark that says nothing any more once the path is empty. */
  #hasMark = false;
  #isMarking = false;

  constructor(pair: DomainPair, options: PathOutboxOptions) {
    this.#pair = pair;
    this.#options = options;
  }

  /** Whether a mark is being written. */
  get isMarking(): boolean {
    return this.#isMarking;
  }

  /** A place behind all others. @param at milliseconds since the epoch */
  nextPosition(at: number): number {
    this.#lastPosition = Math.max(this.#lastPosition + 1, Math.floor(at * 1000));
    return this.#lastPosition;
  }

  /** An earlier run has left an entry, and perhaps a mark. */
  restored(position: number): void {
    this.#lastPosition = Math.max(this.#lastPosition, position);
    this.#hasMark = true;
  }

  /** Stores a parcel that has a place. */
  put({ stanza, position, at, isMarked }: Parcel, listener: CommitListener): void {
    if (position === undefined) throw new Error('a parcel without a place is stored');
    const { outboxes, commit } = this.#options;
    const entry = { position, at, isHandedOut: isMarked, document: stanza.toDocument() };
    commit.add(outboxes.putWrites(this.#pair, entry), listener);
  }

  /** Removes entries. */
  remove(positions: readonly number[]): void {
    if (positions.length === 0) return;
    const { outboxes, commit, log } = this.#options;
    commit.add(outboxes.removeWrites(this.#pair, positions), {
      committed: () => undefined,
      refused: (error) => {
        this.keepMark();
        log.error({ ...this.#pair, error: error.message }, 'delivered messages stay in the outbox');
      },
    });
  }

  /** Writes down that parcels may have been sent, so that a crash does not send them twice; `done` follows unless it is refused. */
  mark(parcels: readonly Parcel[], done: () => void): void {
    const { outboxes, commit, log } = this.#options;
    this.#isMarking = true;
    this.#hasMark = true;
    // What was reserved may have been overtaken.
    this.#markedUpTo = Math.max(this.#markedUpTo, ...positionsOf(parcels));
    commit.add(outboxes.handOutWrites(this.#pair, this.#markedUpTo), {
      committed: () => {
        this.#isMarking = false;
        for (const parcel of parcels) parcel.isMarked = true;
        done();
      },
      refused: (error) => {
        this.#isMarking = false;
        log.error({ ...this.#pair, error: error.message }, 'messages for another server wait for the store');
      },
    });
  }

  /** Something stays in the outbox: it is not sent again as long as the mark is there. */
  keepMark(): void {
    this.#hasMark = false;
  }

  /** Removes the mark of a path that is empty, and is forgotten. */
  forgetMark(): void {
    if (!this.#hasMark) return;
    this.#hasMark = false;
    const { outboxes, commit } = this.#options;
    commit.add(outboxes.removeMarkWrites(this.#pair), {
      committed: () => undefined,
      refused: () => undefined, // it does no harm
    });
  }
}
