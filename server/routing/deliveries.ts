/** A stanza whose turn keeps its place behind those that wait for the disk. */
export interface Delivery {
  readonly isReady: boolean;
  deliver(): void;
}

/** Deliveries in order: each at once if nothing is ahead and it is ready, otherwise when its turn comes. */
export class Deliveries {
  /** Undefined until something had to wait. */
  #waiting: Delivery[] | undefined;

  /** How many stanzas one put now would have to wait for. */
  get ahead(): number {
    return this.#waiting?.length ?? 0;
  }

  put(delivery: Delivery): void {
    if (delivery.isReady && this.ahead === 0) delivery.deliver();
    else (this.#waiting ??= []).push(delivery);
  }

  /** Something has become ready. */
  deliverReady(): void {
    const waiting = this.#waiting;
    if (waiting === undefined) return;
    let done = 0;
    try {
      while (waiting[done]?.isReady === true) waiting[done++]!.deliver();
    } finally {
      // Also when one of them fails: nothing is delivered twice, and nothing stands before the others for ever.
      // Emptied: what is delivered should hang on nothing old, or it may stay alive until a full collection.
      if (done === waiting.length) waiting.length = 0;
      else if (done > 0) waiting.splice(0, done);
    }
  }
}

/**
 * Something held in memory behind a flush. A class, and no literal with a getter: V8 gives each of those a hidden class of
 * its own, which cost a third of all time in the collector.
 */
export class HeldDelivery implements Delivery {
  readonly #account: { readonly isFlushing: boolean };
  readonly deliver: () => void;

  constructor(account: { readonly isFlushing: boolean }, deliver: () => void) {
    this.#account = account;
    this.deliver = deliver;
  }

  get isReady(): boolean {
    return !this.#account.isFlushing;
  }
}
