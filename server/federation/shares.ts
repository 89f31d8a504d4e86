/** Counts what each of many holds of something that is limited for all together, so that nobody takes all of it. */
export class Shares {
  readonly #max: number;
  readonly #held = new Map<string, number>();

  /** @param max of one holder */
  constructor(max: number) {
    this.#max = max;
  }

  /** Returns false where the holder has its share already. */
  take(holder: string): boolean {
    const held = this.#held.get(holder) ?? 0;
    if (held >= this.#max) return false;
    this.#held.set(holder, held + 1);
    return true;
  }

  giveBack(holder: string): void {
    const held = this.#held.get(holder) ?? 0;
    if (held > 1) this.#held.set(holder, held - 1);
    else this.#held.delete(holder);
  }
}
