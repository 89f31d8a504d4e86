import type { Clock } from './clock.ts';

/** An error that nothing caught. */
export interface Fault {
  /** Milliseconds since the epoch. */
  readonly at: number;
  /** The first line of it: enough to find it in the log. */
  readonly text: string;
}

const REMEMBERED = 10;
const WINDOW_MS = 60_000;
/** So many in a minute are no accident of one stanza: whatever is broken goes on breaking. */
const TOO_MANY = 50;

/**
 * Errors that nothing caught: each is a defect. One of them harms what it happened to and nobody else, because every
 * boundary (a connection, a stanza, a commit, a request) cleans up behind its own; see docs/operations.md for when the
 * process ends all the same.
 */
export class Faults {
  count = 0;
  readonly #clock: Clock;
  #recent: Fault[] = [];
  #windowBeganMs = -Infinity;
  #inWindow = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The last ten, oldest first. */
  get recent(): readonly Fault[] {
    return this.#recent;
  }

  /** Counts one. Returns false where the process should not go on. */
  note(error: unknown): boolean {
    this.count++;
    const [text = ''] = String(error).split('\n');
    this.#recent = [...this.#recent, { at: this.#clock.now(), text: text.slice(0, 200) }].slice(-REMEMBERED);
    const nowMs = this.#clock.monotonic();
    if (nowMs - this.#windowBeganMs >= WINDOW_MS) {
      this.#windowBeganMs = nowMs;
      this.#inWindow = 0;
    }
    this.#inWindow++;
    return this.#inWindow < TOO_MANY && !isOfTheProcess(error);
  }
}

/** Whether the error says that the process itself, not what it was doing, is broken. */
function isOfTheProcess(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return code === 'ERR_INTERNAL_ASSERTION' || code === 'ENOMEM';
}
