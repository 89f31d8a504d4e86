/** What is counted where something is none of the values that are known. */
const OTHER = 'other';

/** A count for each of a few values that are known beforehand, so that no stranger can make it grow. */
export class Tally<Value extends string = string> {
  readonly #counts = new Map<string, number>();

  constructor(values: readonly Value[]) {
    for (const value of values) this.#counts.set(value, 0);
  }

  /** Counts one; what is none of the values counts as `other`. */
  add(value: Value): void {
    const known = this.#counts.has(value) ? value : OTHER;
    this.#counts.set(known, (this.#counts.get(known) ?? 0) + 1);
  }

  /** In the order of the values; `other` only where there was one. */
  entries(): Iterable<readonly [string, number]> {
    return this.#counts.entries();
  }
}
