/** One message as somebody received it. */
export interface ReceivedMessage {
  readonly to: string;
  readonly from: string;
  /** Its number among what this sender sent to this recipient. */
  readonly index: number;
  /** The server's number in the chat; NaN if it had none. */
  readonly sequence: number;
}

/** What a client tells of what it sends and receives. */
export interface ChatHistory {
  /** The next number of a message from one to another. */
  nextIndex(from: string, to: string): number;
  acknowledged(from: string, to: string, index: number): void;
  received(message: ReceivedMessage): void;
  /** A message came back as an error. */
  returned?(from: string, to: string, index: number): void;
}

/** What everybody sent, had acknowledged and received, and what must be true of it in the end. */
export class History implements ChatHistory {
  readonly #sent = new Map<string, number>();
  readonly #acknowledged = new Map<string, Set<number>>();
  readonly #received: ReceivedMessage[] = [];

  nextIndex(from: string, to: string): number {
    const pair = `${from}>${to}`;
    const index = (this.#sent.get(pair) ?? 0) + 1;
    this.#sent.set(pair, index);
    return index;
  }

  acknowledged(from: string, to: string, index: number): void {
    const pair = `${from}>${to}`;
    const indexes = this.#acknowledged.get(pair) ?? new Set();
    this.#acknowledged.set(pair, indexes.add(index));
  }

  received(message: ReceivedMessage): void {
    this.#received.push(message);
  }

  get acknowledgedCount(): number {
    return [...this.#acknowledged.values()].reduce((sum, { size }) => sum + size, 0);
  }

  /** Whether everything acknowledged has arrived. */
  get isComplete(): boolean {
    return this.lost().length === 0;
  }

  /** Acknowledged and never received. */
  lost(): string[] {
    const arrived = new Set(this.#received.map(({ from, to, index }) => `${from}>${to}#${index}`));
    const lost: string[] = [];
    for (const [pair, indexes] of this.#acknowledged) {
      for (const index of indexes) if (!arrived.has(`${pair}#${index}`)) lost.push(`${pair}#${index}`);
    }
    return lost;
  }

  /**
   * What is wrong, in words; empty when nothing is. A message may arrive twice (at least once is what is promised after a
   * crash), but with one number, and its first arrival is in order.
   */
  violations(): string[] {
    return [
      ...this.lost().map((message) => `lost: ${message} was acknowledged`),
      ...this.#disorder(),
      ...this.#numbering(),
    ];
  }

  /**
   * What is wrong with the archive of somebody, given oldest first: everything acknowledged is there, once, under the
   * number it was received with, and in the order of the numbers.
   */
  archiveViolations(owner: string, archive: readonly ReceivedMessage[]): string[] {
    const found: string[] = [];
    const numbers = new Map(
      this.#received.map(({ from, to, index, sequence }) => [`${from}>${to}#${index}`, sequence]),
    );
    const seen = new Set<string>();
    const latest = new Map<string, number>();
    for (const { from, to, index, sequence } of archive) {
      const message = `${from}>${to}#${index}`;
      if (seen.has(message)) found.push(`duplicate: ${message} is twice in the archive of ${owner}`);
      seen.add(message);
      if (numbers.get(message) !== sequence) found.push(`number: ${message} is ${sequence} in the archive of ${owner}`);
      const chat = from === owner ? to : from;
      if (sequence <= (latest.get(chat) ?? 0)) found.push(`order: ${message} is misplaced in the archive of ${owner}`);
      latest.set(chat, sequence);
    }
    for (const [pair, indexes] of this.#acknowledged) {
      if (!pair.split('>').includes(owner)) continue;
      for (const index of indexes) {
        if (!seen.has(`${pair}#${index}`)) found.push(`lost: ${pair}#${index} is not in the archive of ${owner}`);
      }
    }
    return found;
  }

  #disorder(): string[] {
    const found: string[] = [];
    const latest = new Map<string, number>();
    const seen = new Set<string>();
    for (const { from, to, index } of this.#received) {
      const pair = `${from}>${to}`;
      if (seen.has(`${pair}#${index}`)) continue;
      seen.add(`${pair}#${index}`);
      const before = latest.get(pair) ?? 0;
      if (index < before) found.push(`order: ${pair}#${index} came first behind #${before}`);
      latest.set(pair, Math.max(before, index));
    }
    return found;
  }

  #numbering(): string[] {
    const found: string[] = [];
    const chats = new Map<string, Map<number, string>>();
    const numbers = new Map<string, number>();
    for (const { from, to, index, sequence } of this.#received) {
      const message = `${from}>${to}#${index}`;
      if (!(sequence > 0)) found.push(`number: ${message} has none`);
      const known = numbers.get(message) ?? sequence;
      if (known !== sequence) found.push(`duplicate: ${message} was recorded as ${known} and as ${sequence}`);
      numbers.set(message, known);
      const chat = [from, to].sort().join(' ');
      const messages = chats.get(chat) ?? new Map<number, string>();
      chats.set(chat, messages);
      const other = messages.get(sequence) ?? message;
      if (other !== message) found.push(`number: ${sequence} of ${chat} is ${other} and ${message}`);
      messages.set(sequence, other);
    }
    for (const [chat, messages] of chats) {
      const highest = Math.max(...messages.keys());
      for (let number = 1; number <= highest; number++) {
        if (!messages.has(number)) found.push(`gap: nobody received ${number} of ${chat}, the last is ${highest}`);
      }
    }
    return found;
  }
}
