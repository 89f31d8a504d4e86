import { statSync, type Stats } from 'node:fs';
import { stat } from 'node:fs/promises';

import type { Clock } from '../clock.ts';

/** Options of FileWatch. */
export interface FileWatchOptions {
  /** Files that belong together, by group. */
  readonly groups: readonly (readonly string[])[];
  /** What `stampOfNow` said of each group before it was read. */
  readonly stamps: readonly string[];
  readonly intervalMs: number;
  readonly clock: Pick<Clock, 'schedule'>;
  /** The groups at these places have changed. */
  readonly changed: (places: readonly number[]) => void;
}

/**
 * Looks at groups of files from time to time and reports a group once it has changed and come to rest: a key is written
 * a moment before or after its certificate. Looking sees what notification by the system does not: symbolic links that
 * point elsewhere, folders swapped whole, network file systems. It costs a few stat calls and no descriptor.
 */
export class FileWatch {
  readonly #options: FileWatchOptions;
  /** Each group as it was last reported. */
  #reported: readonly string[];
  /** Each group as it was last seen. */
  #seen: readonly string[];
  #cancel: (() => void) | undefined;

  constructor(options: FileWatchOptions) {
    this.#options = options;
    this.#reported = options.stamps;
    this.#seen = options.stamps;
  }

  /** Begins to look; `changed` must not throw. */
  start(): void {
    this.#cancel = this.#options.clock.schedule(this.#options.intervalMs, () => void this.#look());
  }

  /** Ends looking; nothing is reported after it. */
  close(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }

  /** Reports what differs from what was reported before and is as it was seen the last time. */
  async #look(): Promise<void> {
    const stamps = await Promise.all(this.#options.groups.map(stampOf));
    if (this.#cancel === undefined) return;
    const changed = [...stamps.keys()].filter(
      (place) => stamps[place] !== this.#reported[place] && stamps[place] === this.#seen[place],
    );
    this.#seen = stamps;
    if (changed.length > 0) {
      this.#reported = stamps.map((stamp, place) => (changed.includes(place) ? stamp : (this.#reported[place] ?? '')));
      this.#options.changed(changed);
    }
    this.start();
  }
}

async function stampOf(files: readonly string[]): Promise<string> {
  const stats = files.map((file) => stat(file).catch(() => undefined));
  return (await Promise.all(stats)).map(describe).join(' ');
}

/** The state of a group of files, to compare with a later one. */
export function stampOfNow(files: readonly string[]): string {
  return files
    .map((file) => {
      try {
        return describe(statSync(file));
      } catch {
        return describe(undefined);
      }
    })
    .join(' ');
}

function describe(stats: Stats | undefined): string {
  return stats === undefined ? 'missing' : `${stats.dev}:${stats.ino}:${stats.size}:${stats.mtimeMs}:${stats.ctimeMs}`;
}
