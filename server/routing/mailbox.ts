/**
 * Does its work at once, or returns a promise for when it is done. It must not throw: that would be a defect. The owner is
 * handed over so that one function does for all mailboxes: a closure for each would cost an idle account 100 bytes.
 */
export type Work<Item, Owner = undefined> = (item: Item, owner: Owner) => void | Promise<void>;

/**
 * Handles items one after the other, in the order of `put` (RFC 6120 10.1). While the work is synchronous an item costs
 * no promise and no turn of the loop; once an item has to wait, those behind it wait in order.
 */
export class Mailbox<Item, Owner = undefined> {
  readonly #work: Work<Item, Owner>;
  readonly #owner: Owner;
  #waiting: Item[] | undefined;
  #busy = false;

  constructor(work: Work<Item, Owner>, owner: Owner) {
    this.#work = work;
    this.#owner = owner;
  }

  /** Whether an item put now would be handled before `put` returns. */
  get isIdle(): boolean {
    return !this.#busy;
  }

  /** How many items wait behind the one at work. */
  get waiting(): number {
    return this.#waiting?.length ?? 0;
  }

  put(item: Item): void {
    if (this.#busy) {
      (this.#waiting ??= []).push(item);
      return;
    }
    this.#busy = true;
    const pending = this.#handle(item);
    if (pending === undefined) this.#drain();
    else this.#drainAfter(pending);
  }

  #drain(): void {
    // Work may put further items while this runs; they join the end of the same array.
    let next = 0;
    while (this.#waiting !== undefined) {
      const items = this.#waiting;
      if (next >= items.length) {
        this.#waiting = undefined;
        break;
      }
      const pending = this.#handle(items[next++]!);
      if (pending !== undefined) {
        this.#waiting = next < items.length ? items.slice(next) : undefined;
        this.#drainAfter(pending);
        return;
      }
    }
    this.#busy = false;
  }

  /** A defect in one item's handling is seen by whoever watches for unhandled rejections, and holds up nobody else. */
  #handle(item: Item): void | Promise<void> {
    try {
      return this.#work(item, this.#owner);
    } catch (error) {
      return Promise.reject(error instanceof Error ? error : new Error(String(error)));
    }
  }

  #drainAfter(pending: Promise<void>): void {
    void pending.finally(() => this.#drain());
  }
}
