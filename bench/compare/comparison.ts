import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensureCertificates } from '../../certs/make-certs.ts';
import { DOMAIN, labelOf, type Peer } from '../peers/peer.ts';
import type { ProcessGuard } from '../peers/server-process.ts';
import { Contestant, type Contest } from './contestant.ts';
import { Results } from './results.ts';
import type { Row } from './row.ts';
import { isMeasured, type Scale } from './scale.ts';

/** Options of compare. */
export interface ComparisonOptions {
  readonly rows: readonly Row[];
  readonly peers: readonly Peer[];
  readonly scale: Scale;
  /** How often each server has its turn; the scale's own number unless given. */
  readonly rounds?: number | undefined;
  readonly serverCore: number;
  readonly loadCore: number;
  readonly guard: ProcessGuard;
  /** Told what is going on. */
  readonly say: (text: string) => void;
}

/**
 * Measures every row with every server, all servers in turn before the next round begins: what the machine does besides falls
 * on all alike. A turn takes seconds, and who has not got it stands still. Rows of the same setting share started servers,
 * which are warm when they have had their first turn, unless they need fresh ones.
 */
export async function compare(options: ComparisonOptions): Promise<Results> {
  const { rows } = options;
  const results = new Results();
  const directory = mkdtempSync(join(tmpdir(), 'posthorn-bench-'));
  chmodSync(directory, 0o755); // the servers run as users of their own
  process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
  const silent = { info: () => undefined, warn: () => undefined };
  const now = (): number => Date.now();
  const request = { directory: join(directory, 'certificates'), domains: [DOMAIN], now, log: silent };
  const certificate = (await ensureCertificates(request)).certificates[0]!;
  for (const visit of visitsOf(rows)) await visitServers({ ...options, visit, directory, results, certificate });
  return results;
}

interface Visit extends ComparisonOptions {
  /** Rows that share started servers. */
  readonly visit: readonly Row[];
  readonly directory: string;
  readonly results: Results;
  readonly certificate: { readonly certificateFile: string; readonly keyFile: string };
}

async function visitServers(options: Visit): Promise<void> {
  const { visit, peers, scale, results, say } = options;
  const contestants = peers.map((peer) => new Contestant(peer, contestOf(peer, options)));
  try {
    for (const row of visit) {
      for (let round = 0; round < roundsOf(row, options); round++) {
        for (const contestant of contestants.filter(({ peer }) => isMeasured(scale, row, peer, round))) {
          const { peer } = contestant;
          const outcome = await contestant.measure(row);
          results.add(row, peer, round, outcome);
          say(`round ${round + 1}, ${labelOf(peer)}, ${row.id}: ${describe(outcome)}`);
        }
      }
    }
  } finally {
    for (const contestant of contestants) await contestant.end();
  }
}

function contestOf(peer: Peer, { visit, scale, directory, certificate, serverCore, loadCore, guard }: Visit): Contest {
  return {
    ...{ scale, loadCore, guard },
    setting: visit[0]!.setting,
    makePlace: () => ({
      directory: mkdtempSync(join(directory, `${peer.name}-`)),
      core: serverCore,
      ...certificate,
      users: Math.max(...visit.map((row) => row.users(scale))),
    }),
  };
}

function roundsOf(row: Row, { rounds, scale }: Visit): number {
  return rounds ?? row.rounds?.(scale) ?? scale.rounds;
}

/** Rows that may share started servers. */
function visitsOf(rows: readonly Row[]): readonly (readonly Row[])[] {
  const shared = new Map<string, Row[]>();
  const fresh: Row[][] = [];
  for (const row of rows) {
    const key = JSON.stringify(row.setting);
    const same = shared.get(key);
    if (row.isFresh) fresh.push([row]);
    else if (same === undefined) shared.set(key, [row]);
    else same.push(row);
  }
  return [...shared.values(), ...fresh];
}

function describe(outcome: Readonly<Record<string, number>> | Error): string {
  if (outcome instanceof Error) return `FAILED: ${outcome.message}`;
  return Object.entries(outcome)
    .map(([key, value]) => `${key} ${value.toPrecision(4)}`)
    .join(', ');
}
