import type { ClientConnection } from './client-connection.ts';
import { MessageCheck, MessageRun } from './messages.ts';

const DRAIN_TIMEOUT_MS = 30_000;

/** One sender and one recipient. */
class Pair {
  sent = 0;
  readonly check = new MessageCheck();
  readonly #sender: ClientConnection;
  readonly #run: MessageRun;

  constructor(sender: ClientConnection, recipient: ClientConnection, capacity: number) {
    this.#sender = sender;
    this.#run = new MessageRun(recipient.user, capacity);
  }

  send(count: number): void {
    const bytes = this.#run.take(this.sent, count, this.#sender.isDrained);
    this.sent += count;
    this.#sender.write(bytes);
  }
}

/** Pairs that always have the same number of messages on their way: each that arrives lets the next one go. */
export class ChatLoad {
  delivered = 0;
  readonly #pairs: Pair[] = [];
  readonly #window: number;
  #isEnding = false;
  #failure: Error | undefined;

  constructor(connections: readonly ClientConnection[], pairs: number, window: number) {
    if (connections.length < pairs * 2) throw new RangeError(`${pairs} pairs need ${pairs * 2} connections`);
    this.#window = window;
    for (let index = 0; index < pairs; index++) {
      const sender = connections[index * 2]!;
      const recipient = connections[index * 2 + 1]!;
      const pair = new Pair(sender, recipient, window);
      this.#pairs.push(pair);
      recipient.receiver = (bytes, length) => this.#received(pair, bytes, length);
      sender.receiver = (bytes, length) => this.#refused(bytes, length);
      for (const connection of [sender, recipient]) connection.onFailure = (error) => this.#fail(error);
    }
  }

  start(): void {
    for (const pair of this.#pairs) pair.send(this.#window);
  }

  /** @throws Error where a message was lost, repeated or out of order, or a connection ended */
  assertSound(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Lets what is on its way arrive. Rejects as assertSound does, and when something does not arrive. */
  async end(): Promise<void> {
    this.#isEnding = true;
    const until = performance.now() + DRAIN_TIMEOUT_MS;
    for (;;) {
      this.assertSound();
      const missing = this.#pairs.reduce((sum, { sent, check }) => sum + sent - check.next, 0);
      if (missing === 0) return;
      if (performance.now() > until) throw new Error(`${missing} messages were not delivered`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  #received(pair: Pair, bytes: Buffer, length: number): void {
    const count = pair.check.scan(bytes, length);
    if (count === 0) return;
    this.delivered += count;
    if (!this.#isEnding) pair.send(count);
  }

  /** A sender gets nothing but errors. */
  #refused(bytes: Buffer, length: number): void {
    const text = bytes.toString('latin1', 0, length);
    if (text.includes('error')) throw new Error(`a message was refused: ${text}`);
  }

  #fail(error: Error): void {
    this.#failure ??= error;
  }
}
