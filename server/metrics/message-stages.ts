import type { Clock } from '../clock.ts';
import { Histogram } from './histogram.ts';

/** What a message from a client passes, in order; `written` only where its recipient is connected. */
export type MessageStage =
  | 'routed' // its recipient is known, and the screens of both sides have let it pass
  | 'committed' // the store has it; not of messages that are not stored
  | 'handled' // stored, delivered or refused: what an acknowledgement counts (XEP-0198)
  | 'written'; // handed to the system, for the recipient's socket

/** A prime, so that clients which send in regular bursts do not have the same place of each burst measured. */
const ONE_OF = 17;
/** Messages that wait to be written at the end of a turn: more are not measured. */
const MAX_LEAVING = 1000;

/** One message whose way is measured. */
export class MeasuredMessage {
  readonly #stages: MessageStages;
  readonly #sinceMs: number;

  constructor(stages: MessageStages, sinceMs: number) {
    this.#stages = stages;
    this.#sinceMs = sinceMs;
  }

  /** The message has come so far. */
  reached(stage: MessageStage): void {
    this.#stages.note(stage, this.#sinceMs);
  }

  /** It is among what the connections of its recipients write at the end of this turn. */
  leaves(): void {
    this.#stages.leaves(this);
  }
}

/**
 * How long messages take to each stage, from when the bytes that ended them were read. One of 17 is measured: a look at the
 * clock for each stage of each message would cost as much as everything else that is counted.
 */
export class MessageStages {
  readonly seconds: Readonly<Record<MessageStage, Histogram>> = {
    routed: new Histogram(),
    committed: new Histogram(),
    handled: new Histogram(),
    written: new Histogram(),
  };
  readonly #clock: Clock;
  #untilNext = 1;
  #leaving: MeasuredMessage[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * A message has come; undefined where it is not its turn to be measured.
   * @param sinceMs when its last bytes were read, monotonic milliseconds
   */
  begin(sinceMs: number): MeasuredMessage | undefined {
    if (--this.#untilNext > 0) return undefined;
    this.#untilNext = ONE_OF;
    return new MeasuredMessage(this, sinceMs);
  }

  /** Output has been handed to the system. */
  flushed(): void {
    if (this.#leaving.length === 0) return;
    const left = this.#leaving;
    this.#leaving = [];
    for (const message of left) message.reached('written');
  }

  /** For MeasuredMessage. */
  note(stage: MessageStage, sinceMs: number): void {
    this.seconds[stage].observe((this.#clock.monotonic() - sinceMs) / 1000);
  }

  /** For MeasuredMessage. */
  leaves(message: MeasuredMessage): void {
    if (this.#leaving.length < MAX_LEAVING) this.#leaving.push(message);
  }
}
