import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensureCertificates } from '../../certs/make-certs.ts';
import { LoadGenerator } from '../load/load-generator.ts';
import { DOMAIN, labelOf, type Peer, type Place } from '../peers/peer.ts';
import type { ProcessGuard } from '../peers/server-process.ts';
import { Results } from './results.ts';
import type { Row } from './row.ts';
import { isMeasured, type Scale } from './scale.ts';

/** Options of compare. */
export interface ComparisonOptions {
  readonly rows: readonly Row[];
  readonly peers: readonly Peer[];
  readonly scale: Scale;
  readonly rounds: number;
  readonly serverCore: number;
  readonly loadCore: number;
  readonly guard: ProcessGuard;
  /** Told what is going on. */
  readonly say: (text: string) => void;
}

/**
 * Measures every row with every server, one server at a time, and all servers in turn before the next round begins: what
 * the machine does besides falls on all alike. Rows of the same setting share a started server unless they need a fresh one.
 */
export async function compare(options: ComparisonOptions): Promise<Results> {
  const { rows, peers, rounds } = options;
  const results = new Results();
  const directory = mkdtempSync(join(tmpdir(), 'posthorn-bench-'));
  chmodSync(directory, 0o755); // the servers run as users of their own
  process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
  const silent = { info: () => undefined, warn: () => undefined };
  const now = (): number => Date.now();
  const request = { directory: join(directory, 'certificates'), domains: [DOMAIN], now, log: silent };
  const certificate = (await ensureCertificates(request)).certificates[0]!;
  for (let round = 0; round < rounds; round++) {
    for (const visit of visitsOf(rows)) {
      // What an installation does without tuning is worth knowing, not worth two more rounds.
      for (const peer of peers.filter(({ tuning }) => tuning === 'tuned' || round === 0))
        await visitServer({
          ...options,
          visit: visit.filter((row) => isMeasured(options.scale, row, peer.name)),
          ...{ peer, round, directory, results, certificate },
        });
    }
  }
  return results;
}

interface Visit extends ComparisonOptions {
  readonly visit: readonly Row[];
  readonly peer: Peer;
  readonly round: number;
  readonly directory: string;
  readonly results: Results;
  readonly certificate: { readonly certificateFile: string; readonly keyFile: string };
}

/** Starts one server, measures the rows of one visit and ends it. A row that fails leaves the rest to a new server. */
async function visitServer(options: Visit): Promise<void> {
  const { peer, scale, guard, results, say } = options;
  let waiting = options.visit;
  while (waiting.length > 0) {
    const place: Place = {
      directory: mkdtempSync(join(options.directory, `${peer.name}-`)),
      core: options.serverCore,
      ...options.certificate,
      users: Math.max(...waiting.map((row) => row.users(scale))),
    };
    const [first] = waiting;
    let isUsable = true;
    try {
      const server = await peer.start(first!.setting, place);
      const load = new LoadGenerator(options.loadCore, guard);
      while (isUsable && waiting.length > 0) {
        const row = waiting[0]!;
        waiting = waiting.slice(1);
        const outcome = await row.measure({ server, load, scale }).catch(asError);
        isUsable = !(outcome instanceof Error);
        results.add(row, peer, outcome);
        say(`round ${options.round + 1}, ${labelOf(peer)}, ${row.id}: ${describe(outcome)}`);
      }
      await load.stop();
      await server.stop();
    } catch (error) {
      for (const row of waiting) results.add(row, peer, asError(error));
      say(`round ${options.round + 1}, ${labelOf(peer)}: ${asError(error).message}`);
      return;
    } finally {
      rmSync(place.directory, { recursive: true, force: true });
    }
  }
}

/** Rows that may share a started server. */
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

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

function describe(outcome: Readonly<Record<string, number>> | Error): string {
  if (outcome instanceof Error) return `FAILED: ${outcome.message}`;
  return Object.entries(outcome)
    .map(([key, value]) => `${key} ${value.toPrecision(4)}`)
    .join(', ');
}
