/*
 * `npm run bench:profile`: where Posthorn's processor time goes in one row of the comparison, as a list of functions and as a
 * flame graph.
 */
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import { Command } from 'commander';
import { compare } from '../compare/comparison.ts';
import { rowList } from '../compare/row-list.ts';
import { FULL, QUICK } from '../compare/scale.ts';
import { posthornPeer } from '../peers/posthorn.ts';
import { ProcessGuard } from '../peers/server-process.ts';
import { readCallTree, selfTimes } from './cpu-profile.ts';
import { flameGraph } from './flame-graph.ts';
import { PERF_NODE_OPTIONS, readPerfTree, watchedByPerf } from './perf-profile.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const NODE_MAJOR = Number(process.versions.node.split('.')[0]);
const SAMPLING_INTERVAL_US = 250;
const SHOWN = 30;

const {
  row: id,
  seconds,
  output,
  perf,
} = new Command('bench:profile')
  .description('Profiles Posthorn in one row of the comparison.')
  .option('--row <row>', 'the row of `npm run bench`', 'chat-8')
  .option('--perf', 'samples with perf: the collector, V8 and the kernel show too', false)
  .option('--seconds <seconds>', 'how long the load lasts', Number, 8)
  .option('--output <directory>', 'where the profile and the flame graph go', join(ROOT, 'data/profile'))
  .parse()
  .opts<{ row: string; seconds: number; output: string; perf: boolean }>();

const row = rowList(NODE_MAJOR).find((candidate) => candidate.id === id);
if (row === undefined) {
  process.stderr.write(`bench:profile: no row ${id}\n`);
  process.exit(2);
}

const directory = join(resolve(output), row.id);
rmSync(directory, { recursive: true, force: true });
mkdirSync(directory, { recursive: true });
const guard = new ProcessGuard();
const sampling = ['--cpu-prof', `--cpu-prof-dir=${directory}`, `--cpu-prof-interval=${SAMPLING_INTERVAL_US}`];
const peer = perf
  ? watchedByPerf(posthornPeer(guard, { nodeOptions: PERF_NODE_OPTIONS }), directory)
  : posthornPeer(guard, { nodeOptions: sampling });
const results = await compare({
  rows: [row],
  peers: [peer],
  scale: { ...QUICK, contacts: FULL.contacts, logins: FULL.logins, warmUpSeconds: 2, coldWarmUpSeconds: 2, seconds },
  rounds: 1,
  serverCore: Math.min(1, availableParallelism() - 1),
  loadCore: 0,
  guard,
  say: (text) => void process.stderr.write(`${text}\n`),
});

// In a row of chat, what came before and after is left out: starting, logging in, stopping.
const { fromUs = 0, toUs = Infinity } = results.rows.get(row.id)?.servers['posthorn']?.rounds[0] ?? {};
const tree = perf
  ? readPerfTree(directory, ROOT, { fromUs, toUs })
  : readCallTree(profileFile(), ROOT, { fromUs, toUs });
const lines = selfTimes(tree)
  .slice(0, SHOWN)
  .map(({ name, selfUs }) => `${((selfUs / tree.totalUs) * 100).toFixed(1).padStart(5)} %  ${name}`);
writeFileSync(join(directory, 'flame-graph.svg'), flameGraph(tree));
process.stdout.write(`${row.title}\nself time, idle left out\n${lines.join('\n')}\n`);
process.stdout.write(`flame graph and profile: ${directory}\n`);
process.exit();

function profileFile(): string {
  const file = readdirSync(directory).find((name) => name.endsWith('.cpuprofile'));
  if (file === undefined) throw new Error(`no profile in ${directory}`);
  return join(directory, file);
}
