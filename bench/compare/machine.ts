import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { labelOf, type Peer, type Setting } from '../peers/peer.ts';

/** On what, when and with which versions something was measured. */
export interface Circumstances {
  /** ISO 8601, to the minute. */
  readonly date: string;
  readonly machine: string;
  readonly commit: string;
  readonly servers: readonly { readonly label: string; readonly version: string; readonly configuration: string }[];
  readonly serverCore: number;
  readonly loadCore: number;
  /** Cores that were busy in the second before: with what else the machine is busy. */
  readonly busyBefore: number;
}

const OBSERVED_MS = 1000;

/** Describes this machine and the servers. */
export function circumstancesOf(
  peers: readonly Peer[],
  cores: { serverCore: number; loadCore: number },
): Circumstances {
  const processor = /^model name\s*:\s*(.+)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1] ?? 'unknown processor';
  const memory = `${Math.round(totalmem() / 2 ** 30)} GiB`;
  return {
    date: `${new Date().toISOString().slice(0, 16)}Z`,
    machine: `${cpus().length} cores of ${processor}, ${memory}, Linux ${release()}`,
    commit: commitOf(),
    servers: peers.map((peer) => ({
      label: labelOf(peer),
      version: peer.version() ?? 'not installed',
      configuration: peer.configuration,
    })),
    busyBefore: Math.round(busyCores() * 10) / 10,
    ...cores,
  };
}

/** What an acknowledged message survives, server by server. */
export function durabilities(peers: readonly Peer[], setting: Setting): string {
  const texts = new Map(peers.map((peer) => [peer.name, peer.durabilityOf(setting)]));
  return [...texts].map(([name, text]) => `${name}: ${text}`).join('; ');
}

/** How many cores are busy, over a second; a load average would still show what ended a minute ago. */
function busyCores(): number {
  const sum = (): { busyMs: number; idleMs: number } => {
    const times = cpus().map((core) => core.times);
    const idleMs = times.reduce((total, { idle }) => total + idle, 0);
    return { busyMs: times.reduce((total, { user, nice, sys, irq }) => total + user + nice + sys + irq, 0), idleMs };
  };
  const before = sum();
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, OBSERVED_MS);
  const after = sum();
  const busyMs = after.busyMs - before.busyMs;
  return (cpus().length * busyMs) / (busyMs + after.idleMs - before.idleMs);
}

function commitOf(): string {
  try {
    const root = join(import.meta.dirname, '../..');
    return execFileSync('git', ['-C', root, 'describe', '--always', '--dirty'], {
      encoding: 'utf8',
      stdio: 'pipe',
    }).trim();
  } catch {
    return 'unknown';
  }
}
