import type { Stanza } from '../../stanzas/stanza.ts';
import type { StanzaError } from '../../stanzas/stanza-error.ts';
import type { StoreError } from '../../storage/ordered-store.ts';
import type { DomainPair, Outboxes } from '../../storage/outboxes.ts';
import type { Clock } from '../clock.ts';
import type { Log } from '../log.ts';
import type { Router } from '../routing/router.ts';

export interface ReturnsContext {
  readonly outboxes: Pick<Outboxes, 'removeWrites'>;
  readonly clock: Pick<Clock, 'schedule'>;
  readonly log: Log;
  readonly router: Pick<Router, 'giveBack'>;
}

/** What comes back, as it lies in the outbox. */
export interface Returned {
  readonly stanza: Stanza;
  /** Its place in the outbox; undefined where it is in memory alone. */
  readonly position: number | undefined;
}

/** Who holds what comes back until it is known to be back. */
export interface ReturnsOwner<Item extends Returned> {
  /** Its sender hears of it, and it is no longer in the outbox. */
  returned(item: Item): void;
  /** It stays in the outbox, and is taken up when the server starts again. */
  leftBehind(item: Item): void;
}

const RETRY_MS = 10_000;
/** For five minutes. */
const MAX_RETRIES = 30;

/**
 * Gives stanzas back to their senders: the error takes the place in the outbox of what it answers, in one batch. Where the
 * store takes none it is tried again, for neither may be lost.
 */
export class Returns {
  readonly #context: ReturnsContext;
  /** What the store has refused, for one timer. */
  #again: (() => void)[] = [];
  /** How much stays in the outbox that the log has not been told of. */
  #left = 0;

  constructor(context: ReturnsContext) {
    this.#context = context;
  }

  /** Answers stanzas with the error, each once, in order. */
  give<Item extends Returned>(
    pair: DomainPair,
    items: readonly Item[],
    error: StanzaError,
    owner: ReturnsOwner<Item>,
  ): void {
    for (const item of items) this.#give(pair, item, error, owner, 0);
  }

  #give<Item extends Returned>(
    pair: DomainPair,
    item: Item,
    error: StanzaError,
    owner: ReturnsOwner<Item>,
    retries: number,
  ): void {
    const { router, outboxes } = this.#context;
    const { stanza, position } = item;
    const refused = (failure: StoreError): void => {
      if (failure.code !== 'closed' && retries < MAX_RETRIES) {
        this.#giveAgain(() => this.#give(pair, item, error, owner, retries + 1), retries, failure);
      } else {
        owner.leftBehind(item);
        this.#countLeft(failure);
      }
    };
    router.giveBack(stanza, error, {
      writes: position === undefined ? [] : outboxes.removeWrites(pair, [position]),
      listener: { committed: () => owner.returned(item), refused },
    });
  }

  #giveAgain(give: () => void, retries: number, failure: StoreError): void {
    const { clock, log } = this.#context;
    if (this.#again.push(give) > 1) return;
    if (retries === 0) log.error({ error: failure.message }, 'what comes back to its sender waits for the store');
    clock.schedule(RETRY_MS, () => {
      const again = this.#again;
      this.#again = [];
      for (const giveOne of again) giveOne();
    });
  }

  /** One line for all of a batch. */
  #countLeft(failure: StoreError): void {
    if (++this.#left > 1) return;
    setImmediate(() => {
      const stanzas = this.#left;
      this.#left = 0;
      const text = 'what was to come back to its sender stays in the outbox';
      this.#context.log.error({ stanzas, error: failure.message }, text);
    });
  }
}
