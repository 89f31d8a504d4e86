/** Something that carries slots: a session or an account. */
export interface SlotOwner {
  slots: unknown[] | undefined;
}

/** Gives out slot numbers; one for sessions and one for accounts of a server. */
export class SlotNumbers {
  #next = 0;

  take(): number {
    return this.#next++;
  }
}

/**
 * A typed place for one module's state on every session (or account), private to whoever holds the slot. Costs nothing
 * on owners that never use it.
 */
export class Slot<Value> {
  readonly #number: number;
  readonly #initial: () => Value;

  constructor(numbers: SlotNumbers, initial: () => Value) {
    this.#number = numbers.take();
    this.#initial = initial;
  }

  /** The value, made on first use. */
  of(owner: SlotOwner): Value {
    const slots = (owner.slots ??= []);
    return (slots[this.#number] ??= this.#initial()) as Value;
  }

  /** The value, or undefined where none was made. */
  peek(owner: SlotOwner): Value | undefined {
    return owner.slots?.[this.#number] as Value | undefined;
  }

  set(owner: SlotOwner, value: Value): void {
    (owner.slots ??= [])[this.#number] = value;
  }
}
