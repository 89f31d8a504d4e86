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
    const { router, outboxes, clock, log } = this.#context;
    const { stanza, position } = item;
    const refused = (failure: StoreError): void => {
      if (failure.code !== 'closed' && retries < MAX_RETRIES) {
        clock.schedule(RETRY_MS, () => this.#give(pair, item, error, owner, retries + 1));
        if (retries > 0) return;
        log.error({ ...pair, error: failure.message }, 'what comes back to its sender waits for the store');
      } else {
        owner.leftBehind(item);
        log.error({ ...pair, error: failure.message }, 'what was to come back to its sender stays in the outbox');
      }
    };
    router.giveBack(stanza, error, {
      writes: position === undefined ? [] : outboxes.removeWrites(pair, [position]),
      listener: { committed: () => owner.returned(item), refused },
    });
  }
}
