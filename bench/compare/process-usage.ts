import { readdirSync, readFileSync } from 'node:fs';

/** Processor time of a server at one moment. */
export interface ProcessorTime {
  /** Of its main process, all threads, in microseconds. */
  readonly mainUs: number;
  /** Of its child processes, in microseconds. */
  readonly childrenUs: number;
}

/** Whether a load leaves the processor idle now and then. */
export type Pace = 'paced' | 'saturating';

const MICROSECONDS_PER_TICK = 10_000; // USER_HZ is 100 on every Linux that Node.js runs on

/**
 * User and system time so far. A paced load wakes with the clock tick and is miscounted by its sampling, so that its time
 * is the scheduler's own, of the threads that live; otherwise that of `stat`, which has ended threads in it too.
 */
export function processorTime(pid: number, pace: Pace): ProcessorTime {
  const read = pace === 'paced' ? scheduledUs : statedUs;
  return {
    mainUs: read(pid),
    childrenUs: descendantsOf(pid).reduce((sum, child) => sum + read(child), 0),
  };
}

function scheduledUs(pid: number): number {
  let nanoseconds = 0;
  for (const task of readdirSync(`/proc/${pid}/task`)) {
    nanoseconds += Number(readIfThere(`/proc/${pid}/task/${task}/schedstat`).split(' ')[0] ?? 0);
  }
  return nanoseconds / 1000;
}

function statedUs(pid: number): number {
  const fields = readIfThere(`/proc/${pid}/stat`)
    .replace(/^.*\) /, '')
    .split(' ');
  return (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) * MICROSECONDS_PER_TICK;
}

/** Resident memory of a server and its child processes, in bytes. */
export function residentBytes(pid: number): number {
  return [pid, ...descendantsOf(pid)].reduce((sum, each) => {
    const kibibytes = /^VmRSS:\s+(\d+) kB/m.exec(readIfThere(`/proc/${each}/status`))?.[1];
    return sum + Number(kibibytes ?? 0) * 1024;
  }, 0);
}

function descendantsOf(pid: number): number[] {
  const children = readdirSync(`/proc/${pid}/task`)
    .flatMap((task) => readIfThere(`/proc/${pid}/task/${task}/children`).split(' '))
    .filter((text) => text !== '')
    .map(Number);
  return children.flatMap((child) => [child, ...descendantsOf(child)]);
}

/** Threads and processes may end between their listing and their reading. */
function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
