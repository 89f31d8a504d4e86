/** Something that carries slots: a session or an account. */
export interface SlotOwner {
  slots: unknown[] | undefined;
}

/** How a slot's value is kept over a restart, for a session that its client will resume. */
export interface SlotSaving<Value> {
  /** Names the slot on disk; never changed once released. */
  readonly name: string;
  /** The value as text; undefined where there is nothing to keep. */
  save(value: Value): string | undefined;
  /** The value again. Throws for text it cannot read. */
  restore(text: string): Value;
}

/** Gives out slot numbers; one for sessions and one for accounts of a server. */
export class SlotNumbers {
  #next = 0;
  readonly #savings: { readonly number: number; readonly saving: SlotSaving<unknown> }[] = [];

  /** How many were given out. */
  get count(): number {
    return this.#next;
  }

  /** Throws for a name used twice. */
  take(saving?: SlotSaving<unknown>): number {
    const number = this.#next++;
    if (saving !== undefined) {
      const { name } = saving;
      if (this.#savings.some((other) => other.saving.name === name)) throw new Error(`two slots are called ${name}`);
      this.#savings.push({ number, saving });
    }
    return number;
  }

  /** What is to be kept of an owner's slots, by name. */
  save({ slots }: SlotOwner): Map<string, string> {
    const saved = new Map<string, string>();
    for (const { number, saving } of this.#savings) {
      const value = slots?.[number];
      const text = value === undefined ? undefined : saving.save(value);
      if (text !== undefined) saved.set(saving.name, text);
    }
    return saved;
  }

  /** Fills the slots of a new owner with what was kept; names that nobody knows any more are passed over. */
  restore(owner: SlotOwner, saved: ReadonlyMap<string, string>): void {
    for (const { number, saving } of this.#savings) {
      const text = saved.get(saving.name);
      if (text !== undefined) (owner.slots ??= slotsFor(this))[number] = saving.restore(text);
    }
  }
}

/**
 * A typed place for one module's state on every session (or account), private to whoever holds the slot. Costs nothing
 * on owners that never use it.
 */
export class Slot<Value> {
  readonly #numbers: SlotNumbers;
  readonly #number: number;
  readonly #initial: () => Value;

  constructor(numbers: SlotNumbers, initial: () => Value, saving?: SlotSaving<Value>) {
    this.#numbers = numbers;
    this.#number = numbers.take(saving);
    this.#initial = initial;
  }

  /** The value, made on first use. */
  of(owner: SlotOwner): Value {
    const slots = (owner.slots ??= slotsFor(this.#numbers));
    return (slots[this.#number] ??= this.#initial()) as Value;
  }

  /** The value, or undefined where none was made. */
  peek(owner: SlotOwner): Value | undefined {
    return owner.slots?.[this.#number] as Value | undefined;
  }

  set(owner: SlotOwner, value: Value): void {
    (owner.slots ??= slotsFor(this.#numbers))[this.#number] = value;
  }
}

/** An array that does not have to grow: one that does takes room for 17 at once, 100 bytes more for each session. */
function slotsFor({ count }: SlotNumbers): unknown[] {
  return new Array<unknown>(count);
}
