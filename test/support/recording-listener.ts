import { once, EventEmitter } from 'node:events';

import type { ConnectionListener } from '../../server/streams/connection.ts';

/** Hears a connection and remembers what it heard. */
export class RecordingListener implements ConnectionListener {
  /** What came, as byte strings, one for each call. */
  readonly chunks: string[] = [];
  /** One entry for each call of `closed`. */
  readonly closes: (Error | undefined)[] = [];
  readonly marks: number[] = [];
  /** What flushMark answers next. */
  nextMark = -1;
  flushMarks = 0;
  readonly #heard = new EventEmitter();

  get text(): string {
    return this.chunks.join('');
  }

  received(chunk: Buffer): void {
    this.chunks.push(chunk.toString('latin1'));
    this.#heard.emit('heard');
  }

  closed(error?: Error): void {
    this.closes.push(error);
    this.#heard.emit('heard');
  }

  flushMark(): number {
    this.flushMarks += 1;
    return this.nextMark;
  }

  flushed(mark: number): void {
    this.marks.push(mark);
    this.#heard.emit('heard');
  }

  /** Resolves as soon as the condition holds after something was heard. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await once(this.#heard, 'heard');
  }
}
