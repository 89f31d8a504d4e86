import type { ClientConnection } from './client-connection.ts';

const TIMEOUT_MS = 60_000;

/** Counts what a connection receives, wherever the stream is cut, and tells when there is enough of it. */
export class TextWatch {
  readonly #pattern: RegExp;
  readonly #longest: number;
  #tail = '';
  #count = 0;
  #wanted = Infinity;
  #done: (() => void) | undefined;
  #failed: ((error: Error) => void) | undefined;

  /**
   * @param pattern with the flag g; what it finds is counted once
   * @param longest the most characters it finds at once
   */
  constructor(pattern: RegExp, longest: number) {
    this.#pattern = pattern;
    this.#longest = longest;
  }

  get count(): number {
    return this.#count;
  }

  /** Watches from now on, instead of whoever watched this connection before. */
  attach(connection: ClientConnection): this {
    connection.receiver = (bytes, length) => this.scan(bytes.toString('latin1', 0, length));
    connection.onFailure = (error) => this.#failed?.(error);
    return this;
  }

  scan(piece: string): void {
    const text = this.#tail + piece;
    let after = 0;
    for (const { index, 0: found } of text.matchAll(this.#pattern)) {
      this.#count++;
      after = index + found.length;
    }
    // What the end may have cut off is looked at again, what was counted is not.
    this.#tail = text.slice(Math.max(after, text.length - this.#longest + 1));
    if (this.#count >= this.#wanted) this.#done?.();
  }

  /** Resolves when at least `wanted` have come. Rejects with an Error after a minute, or when the connection ends. */
  async until(wanted: number, meaning: string): Promise<void> {
    if (this.#count >= wanted) return;
    this.#wanted = wanted;
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve, reject) => {
      this.#done = resolve;
      this.#failed = reject;
      const tooLate = (): void => reject(new Error(`${meaning}: ${this.#count} of ${wanted} came`));
      timer = setTimeout(tooLate, TIMEOUT_MS);
    }).finally(() => clearTimeout(timer));
  }
}
