import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Clock } from './clock.ts';
import type { Log } from './log.ts';

/** What the process says of itself. */
export interface ProcessLook {
  /** Time in which the loop was at work so far, milliseconds. */
  activeMs(): number;
  /** Bytes of the heap in use, garbage among them. */
  usedBytes(): number;
  /** Bytes of the heap that the system has given, room between what is in use among them. */
  heldBytes(): number;
  /** Collects all garbage; nothing else happens meanwhile. */
  collect(): void;
}

const LOOK_EVERY_MS = 1000;
/** Share of a second in which a server that counts as idle may be at work. */
const IDLE_SHARE = 0.05;
const IDLE_LOOKS = 5;
/** What must have been added to what was in use after the last collection: a share of it, and as much besides. */
const GROWTH = 1.1;
const GROWTH_BYTES = 8 * 1024 * 1024;
/** Share of what is in use that may be held beside it. */
const LOOSE = 0.1;

/**
 * Collects garbage once a server that has had much to do is idle. V8 collects only when it needs room: after a storm of logins
 * an idle server would keep what those left for ever: of an idle connection's memory half at 5000 of them, and a sixth at 18 000.
 * Its pause, which grows with what lives, comes when hardly anybody waits for anything, and not again before a tenth has been
 * added.
 */
export class IdleCollection {
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #look: ProcessLook;
  #activeMs: number;
  #leftBytes = 0;
  #idleLooks = 0;
  /** Whether the last collection, unless it was a second one, has left much room beside what lives. */
  #isLoose = false;
  #cancel: () => void;

  constructor({ clock, log, look = ownProcess() }: { clock: Clock; log: Log; look?: ProcessLook }) {
    this.#clock = clock;
    this.#log = log;
    this.#look = look;
    this.#activeMs = look.activeMs();
    this.#cancel = clock.schedule(LOOK_EVERY_MS, () => this.#check());
  }

  close(): void {
    this.#cancel();
  }

  #check(): void {
    const isIdle = this.#look.activeMs() - this.#activeMs < LOOK_EVERY_MS * IDLE_SHARE;
    this.#idleLooks = isIdle ? this.#idleLooks + 1 : 0;
    if (this.#idleLooks >= IDLE_LOOKS) {
      this.#collectIfWorthwhile();
      this.#idleLooks = this.#isLoose ? IDLE_LOOKS - 1 : 0;
    }
    this.#activeMs = this.#look.activeMs(); // what was spent here is no work
    this.#cancel = this.#clock.schedule(LOOK_EVERY_MS, () => this.#check());
  }

  #collectIfWorthwhile(): void {
    const before = this.#look.usedBytes();
    const hasGrown = before >= this.#leftBytes * GROWTH + GROWTH_BYTES;
    if (!hasGrown && !this.#isLoose) return;
    const beganAt = this.#clock.monotonic();
    this.#look.collect();
    this.#leftBytes = this.#look.usedBytes();
    // Now and then V8 leaves the young generation large, or room between what lives: at 18 000 connections a fourth of the heap.
    // A second collection makes an end of that.
    this.#isLoose = hasGrown && this.#look.heldBytes() > this.#leftBytes * (1 + LOOSE) + GROWTH_BYTES;
    const tookMs = Math.round(this.#clock.monotonic() - beganAt);
    this.#log.debug({ tookMs, freedBytes: before - this.#leftBytes }, 'collected garbage while idle');
  }
}

function ownProcess(): ProcessLook {
  // Node.js gives the function to contexts that are made while the flag is set, and no other way to it in a running process.
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as (options?: { type: 'minor' }) => void;
  setFlagsFromString('--no-expose-gc');
  return {
    activeMs: () => performance.eventLoopUtilization().active,
    usedBytes: () => getHeapStatistics().used_heap_size,
    heldBytes: () => getHeapStatistics().total_heap_size,
    collect: () => {
      // What lives is scattered: without moving it together hardly a page would go back to the system.
      setFlagsFromString('--compact-on-every-full-gc');
      collect();
      collect({ type: 'minor' }); // makes the young generation small again
      setFlagsFromString('--no-compact-on-every-full-gc');
    },
  };
}
