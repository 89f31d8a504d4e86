/*
 * `npm run bench`: Posthorn beside Debian's Prosody and ejabberd, in one run, alternating, on the same work.
 */
import { execFileSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { Command } from 'commander';
import { ejabberdPeer } from '../peers/ejabberd.ts';
import { SERVER_NAMES, type Peer } from '../peers/peer.ts';
import { posthornPeer } from '../peers/posthorn.ts';
import { prosodyPeer } from '../peers/prosody.ts';
import { ProcessGuard } from '../peers/server-process.ts';
import { compare } from './comparison.ts';
import { circumstancesOf } from './machine.ts';
import { writePage } from './page.ts';
import { failuresOf, rowText } from './text-report.ts';
import { rowList } from './row-list.ts';
import { nodeText } from './rows/memory.ts';
import { BUDGET, FULL, QUICK, type Scale } from './scale.ts';

interface Arguments {
  readonly quick: boolean;
  readonly budget: boolean;
  readonly only: string[];
  readonly server: string[];
  readonly rounds?: number;
  readonly json: boolean;
  readonly page: boolean;
  readonly node: string;
  readonly otherNode?: string;
  readonly serverCore: number;
  readonly loadCore: number;
}

const parse = (text: string): number => Number.parseInt(text, 10);
const list = (item: string, items: string[]): string[] => [...items, item];

const command = new Command('bench')
  .description('Compares Posthorn with Prosody and ejabberd. Run it on a machine that does nothing else.')
  .option(
    '--quick',
    'fewer rows, smaller, one round, tuned servers only: under three minutes, no budget is proved',
    false,
  )
  .option('--budget', 'the rows with a budget, tuned servers only: about half an hour', false)
  .option('--only <row>', 'only this row; may be given again', list, [] as string[])
  .option('--server <name>', 'only this server; may be given again', list, [] as string[])
  .option('--rounds <count>', 'how often each server has its turn; the medians count', parse)
  .option('--json', 'the results as JSON on standard output', false)
  .option('--page', 'writes the figures and plots into docs/performance.md; of everything or of --budget', false)
  .option('--node <path>', 'the Node.js that runs Posthorn', process.execPath)
  .option('--other-node <path>', 'another one, on which Posthorn is measured too')
  .option('--server-core <core>', 'the core the servers are pinned to', parse, Math.min(1, availableParallelism() - 1))
  .option('--load-core <core>', 'the core of the load generator', parse, 0);

async function main(): Promise<void> {
  const chosen = command.parse().opts<Arguments>();
  if (chosen.quick && chosen.budget) fail('--quick or --budget, not both');
  const scale = chosen.quick ? QUICK : chosen.budget ? BUDGET : FULL;
  const { rounds, otherNode } = chosen;
  const all = rowList(majorOf(chosen.node), otherNode === undefined ? undefined : majorOf(otherNode));
  for (const id of chosen.only) {
    if (!all.some((row) => row.id === id)) fail(`no row ${id}; there are ${all.map((row) => row.id).join(', ')}`);
  }
  for (const name of chosen.server) if (!SERVER_NAMES.some((known) => known === name)) fail(`no server ${name}`);
  const ids = chosen.only.length > 0 ? chosen.only : scale.rows; // a row that is asked for is measured at any size
  const rows = all.filter(({ id }) => ids?.includes(id) ?? true);

  if (chosen.page && (chosen.quick || chosen.only.length > 0 || chosen.server.length > 0)) {
    fail('--page takes a whole run, or that of --budget: without --quick, --only and --server');
  }

  const guard = new ProcessGuard();
  const peers = peersOf(guard, chosen, scale);
  const say = (text: string): void => void process.stderr.write(`${text}\n`);
  const { serverCore, loadCore } = chosen;
  const circumstances = circumstancesOf(peers, { serverCore, loadCore });
  const { busyBefore } = circumstances;
  const results = await compare({ rows, peers, scale, rounds, serverCore, loadCore, guard, say });

  if (chosen.json) {
    const measured = Object.fromEntries(results.rows);
    process.stdout.write(
      `${JSON.stringify({ circumstances, scale: scale.name, rounds: rounds ?? scale.rounds, rows: measured }, null, 2)}\n`,
    );
  } else {
    const { date, machine, servers } = circumstances;
    const head = [
      `${date}, ${machine}, busy cores before ${busyBefore}`,
      ...servers.map(({ label, version }) => `${label}: ${version}`),
    ];
    const texts = rows.map((row) => rowText(row, results, scale));
    process.stdout.write(`${head.join('\n')}\n\n${texts.join('\n\n')}\n`);
    process.stdout.write(`\nrun: ${scale.meaning}\n`);
  }
  if (chosen.page) writePage({ rows, results, scale, rounds, circumstances, peers });
  if (busyBefore > 0.5)
    say(`the machine was busy with other things (${busyBefore} cores): do not rely on these figures`);
  if (rows.some((row) => failuresOf(row, results).length > 0)) process.exitCode = 1;
}

/** The major version of a Node.js. */
function majorOf(node: string): number {
  try {
    return Number(/^v(\d+)/.exec(execFileSync(node, ['--version'], { encoding: 'utf8' }))?.[1] ?? 0);
  } catch (error) {
    return fail(`${node} is no Node.js: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function peersOf(guard: ProcessGuard, { server, node, otherNode }: Arguments, scale: Scale): readonly Peer[] {
  const peers = [
    posthornPeer(guard, { node }),
    ...(otherNode === undefined
      ? []
      : [posthornPeer(guard, { node: otherNode, variant: nodeText(majorOf(otherNode)) })]),
    prosodyPeer(guard, 'tuned'),
    ejabberdPeer(guard, 'tuned'),
    ...(scale.installedRows.length > 0 ? [prosodyPeer(guard, 'installed'), ejabberdPeer(guard, 'installed')] : []),
  ].filter(({ name }) => server.length === 0 || server.includes(name));
  const missing = peers.filter((peer) => peer.version() === undefined).map(({ name }) => name);
  if (missing.includes('posthorn')) fail('Posthorn is not built: npm run build');
  if (missing.length > 0) fail(`not installed: ${[...new Set(missing)].join(', ')}; apt-get install prosody ejabberd`);
  return peers;
}

function fail(text: string): never {
  process.stderr.write(`bench: ${text}\n`);
  process.exit(2);
}

await main();
process.exit();
