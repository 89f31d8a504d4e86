import { execFileSync, spawn } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Peer } from '../peers/peer.ts';
import { CallTree, type CallNode, type Stretch } from './cpu-profile.ts';

const FREQUENCY_HZ = 1999;

/** What node needs so that perf can name its compiled functions. */
export const PERF_NODE_OPTIONS = ['--perf-basic-prof'];

/** The same server, with perf watching it from its start to its end. */
export function watchedByPerf(peer: Peer, directory: string): Peer {
  return {
    ...peer,
    start: async (setting, place) => {
      const server = await peer.start(setting, place);
      const record = ['record', '-q', '-g', '-k', 'CLOCK_MONOTONIC', '-e', 'cpu-clock', '-F', String(FREQUENCY_HZ)];
      const perf = spawn('perf', [...record, '-p', String(server.pid), '-o', dataFile(directory)], {
        stdio: 'inherit',
      });
      const ended = new Promise<void>((resolve, reject) => perf.once('exit', () => resolve()).once('error', reject));
      ended.catch(() => undefined); // said by `stop`
      return {
        ...server,
        stop: async () => {
          perf.kill('SIGINT');
          await ended;
          // While the map of its compiled functions is still there.
          writeStacks(directory);
          await server.stop();
          rmSync(`/tmp/perf-${server.pid}.map`, { force: true });
        },
      };
    },
  };
}

/** The call tree of a stretch of what perf saw, the collector's and the kernel's time included. */
export function readPerfTree(directory: string, root: string, { fromUs, toUs }: Stretch): CallNode {
  const tree = new CallTree();
  const text = readFileSync(join(directory, STACKS), 'latin1');
  for (const sample of text.split('\n\n')) {
    const [head = '', ...frames] = sample.trim().split('\n');
    const atUs = Number(/([\d.]+):/.exec(head)?.[1] ?? NaN) * 1e6;
    if (!(atUs >= fromUs && atUs <= toUs)) continue;
    const names = frames.map((frame) => nameOf(frame, root)).reverse();
    tree.add(names, 1e6 / FREQUENCY_HZ);
  }
  return tree.root;
}

const STACKS = 'perf.txt';

function dataFile(directory: string): string {
  return join(directory, 'perf.data');
}

function writeStacks(directory: string): void {
  const script = `perf script -F time,ip,sym -i "$0" > "$1" 2>/dev/null`;
  execFileSync('sh', ['-c', script, dataFile(directory), join(directory, STACKS)]);
}

/** `  12ab34 JS:*parse file:///.../jid.js:117:10+0x1` is `parse stanzas/jid.js:117`. */
function nameOf(frame: string, root: string): string {
  const symbol = frame
    .trim()
    .replace(/^[0-9a-f]+ /, '')
    .replace(/\+0x[0-9a-f]+$/, '');
  const script = /^JS:[*^~]?(.*?) (?:file:\/\/)?(\S+):(\d+):\d+$/.exec(symbol);
  if (script === null) return symbol.replaceAll('v8::internal::', '');
  const [, name = '', file = '', line = ''] = script;
  return `${name === '' ? '(anonymous)' : name} ${file.replace(`${root}/`, '').replace(/^dist\//, '')}:${line}`;
}
