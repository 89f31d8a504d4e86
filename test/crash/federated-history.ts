import type { ChatHistory, ReceivedMessage } from './history.ts';

/** What people of two servers sent each other, and what must be true of it in the end. */
export class FederatedHistory implements ChatHistory {
  readonly #sent = new Map<string, number>();
  readonly #acknowledged = new Set<string>();
  readonly #received = new Set<string>();
  readonly #returned = new Map<string, number>();

  nextIndex(from: string, to: string): number {
    const index = (this.#sent.get(`${from}>${to}`) ?? 0) + 1;
    this.#sent.set(`${from}>${to}`, index);
    return index;
  }

  acknowledged(from: string, to: string, index: number): void {
    this.#acknowledged.add(nameOf(from, to, index));
  }

  received({ from, to, index }: ReceivedMessage): void {
    this.#received.add(nameOf(from, to, index));
  }

  returned(from: string, to: string, index: number): void {
    const message = nameOf(from, to, index);
    this.#returned.set(message, (this.#returned.get(message) ?? 0) + 1);
  }

  get acknowledgedCount(): number {
    return this.#acknowledged.size;
  }

  /** Messages that came back. */
  get returnedCount(): number {
    return this.#returned.size;
  }

  /** Messages that came back and had arrived all the same. */
  get doubtedCount(): number {
    return [...this.#returned.keys()].filter((message) => this.#received.has(message)).length;
  }

  /** Acknowledged, and neither received nor returned. */
  lost(): string[] {
    return [...this.#acknowledged].filter((message) => !this.#received.has(message) && !this.#returned.has(message));
  }

  /**
   * What is wrong, in words: nothing acknowledged vanishes, and nothing comes back twice, but for what a server delivers again
   * because it was killed before it had written down that a client has it.
   * @param arrived what is in the archive of each recipient, by its name, oldest first
   */
  violations(arrived: ReadonlyMap<string, readonly ReceivedMessage[]>, kills: number): string[] {
    const found = this.lost().map((message) => `lost: ${message} was acknowledged`);
    const archived = new Set<string>();
    for (const messages of arrived.values()) {
      const latest = new Map<string, number>();
      for (const { from, to, index } of messages) {
        const message = nameOf(from, to, index);
        if (archived.has(message)) found.push(`duplicate: ${message} arrived twice`);
        archived.add(message);
        const before = latest.get(from) ?? 0;
        if (index < before) found.push(`order: ${message} arrived behind #${before}`);
        latest.set(from, Math.max(before, index));
      }
    }
    for (const message of this.#received) {
      if (!archived.has(message)) found.push(`lost: ${message} was received and is not in the archive`);
    }
    for (const [message, times] of this.#returned) {
      if (times > 1 + kills) found.push(`duplicate: ${message} came back ${times} times`);
    }
    return found;
  }
}

function nameOf(from: string, to: string, index: number): string {
  return `${from}>${to}#${index}`;
}
