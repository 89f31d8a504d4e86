import { constants, PerformanceObserver, type PerformanceEntry } from 'node:perf_hooks';

import type { Clock } from '../clock.ts';
import { Histogram } from './histogram.ts';

const LOOK_EVERY_MS = 100;
/** Kinds of garbage collection as V8 numbers them. */
const KINDS = [
  ['minor', constants.NODE_PERFORMANCE_GC_MINOR],
  ['major', constants.NODE_PERFORMANCE_GC_MAJOR],
  ['incremental', constants.NODE_PERFORMANCE_GC_INCREMENTAL],
  ['weak_callbacks', constants.NODE_PERFORMANCE_GC_WEAKCB],
] as const;

/** What is only known by looking all the time: how late the loop is, and what collecting garbage takes. */
export class ProcessMeter {
  /** How much later than due a timer ran, ten times a second. */
  readonly loopDelaySeconds = new Histogram();
  /** By kind of collection. */
  readonly collectionSeconds: ReadonlyMap<string, Histogram> = new Map(KINDS.map(([name]) => [name, new Histogram()]));
  readonly #clock: Clock;
  readonly #observer: PerformanceObserver;
  #cancel: () => void = () => undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#observer = new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) this.#collected(entry);
    });
    this.#observer.observe({ entryTypes: ['gc'] });
    this.#look();
  }

  close(): void {
    this.#cancel();
    this.#observer.disconnect();
  }

  #look(): void {
    const dueMs = this.#clock.monotonic() + LOOK_EVERY_MS;
    this.#cancel = this.#clock.schedule(LOOK_EVERY_MS, () => {
      this.loopDelaySeconds.observe(Math.max(0, this.#clock.monotonic() - dueMs) / 1000);
      this.#look();
    });
  }

  #collected(entry: PerformanceEntry & { readonly detail?: unknown }): void {
    const { detail } = entry;
    if (typeof detail !== 'object' || detail === null || !('kind' in detail)) return;
    const name = KINDS.find(([, number]) => number === detail.kind)?.[0];
    if (name !== undefined) this.collectionSeconds.get(name)?.observe(entry.duration / 1000);
  }
}
