import { join } from 'node:path';
import { WHOLE_STORE } from '../../storage/audit/scope.ts';
import { openStorage } from '../../storage/storage.ts';
import { archived } from './archives.ts';
import { ChatClient } from './chat-client.ts';
import { History, type ReceivedMessage } from './history.ts';
import { Random } from './random.ts';
import type { ServerProcess } from './server-process.ts';

export const PEOPLE = ['juliet', 'romeo', 'nurse', 'tybalt', 'benvolio', 'mercutio'];

const STEP_MS = 10;

/** What a run has done, for the report. */
export interface RunReport {
  readonly kills: number;
  readonly stops: number;
  readonly acknowledged: number;
  readonly resumptions: number;
  readonly violations: readonly string[];
}

export interface MixedLoadOptions {
  /** The server's data. */
  readonly directory: string;
  readonly port: number;
  /** The same seed makes the same choices; the moments are the machine's. */
  readonly seed: number;
  readonly kills: number;
  /** How long what was acknowledged may take to arrive in the end, milliseconds. */
  readonly settleMs: number;
}

/**
 * Plays a mixed load of people who are there, away, cut off and coming back, over a server that is killed at random
 * moments, and then waits until everything acknowledged has arrived.
 */
export async function playMixedLoad(
  server: ServerProcess,
  { directory, port, seed, kills, settleMs }: MixedLoadOptions,
): Promise<RunReport> {
  const random = new Random(seed);
  const history = new History();
  const clients = PEOPLE.map((name) => new ChatClient(name, 'home', port, history));
  let killed = 0;
  let stopped = 0;
  while (killed < kills) {
    server.start();
    if (random.next() < 0.1)
      await act(clients, random, random.between(0, 300)); // perhaps while it starts
    else {
      await server.listening();
      await act(clients, random, random.between(50, 800));
    }
    if (random.next() < 0.1) {
      await server.stop();
      stopped++;
    } else {
      await server.kill();
      killed++;
    }
  }
  server.start();
  for (const client of clients) client.come();
  const deadline = Date.now() + settleMs;
  while (!(clients.every(({ isIdle }) => isIdle) && history.isComplete) && Date.now() < deadline) {
    await pause(STEP_MS * 5);
    for (const client of clients) client.requestAcknowledgement();
  }
  for (const client of clients) client.leave(true);
  await server.stop();
  const stuck = clients.filter(({ isIdle }) => !isIdle).map(({ name }) => `stuck: ${name} waits for acknowledgements`);
  return {
    kills: killed,
    stops: stopped,
    acknowledged: history.acknowledgedCount,
    resumptions: clients.reduce((sum, client) => sum + client.resumptions, 0),
    violations: [...stuck, ...history.violations(), ...(await archiveViolations(directory, history))],
  };
}

async function archiveViolations(directory: string, history: History): Promise<string[]> {
  const storage = await openStorage({ backend: 'level', directory: join(directory, 'store'), durability: 'process' });
  const found: string[] = [];
  try {
    for (const name of PEOPLE) {
      const archive: ReceivedMessage[] = [];
      for await (const { flags, peer, sequence, index } of archived(storage, `${name}@localhost`)) {
        const other = peer.split('@')[0]!;
        const [from, to] = flags.sent ? [name, other] : [other, name];
        archive.push({ from, to, index, sequence: sequence ?? NaN });
      }
      found.push(...history.archiveViolations(name, archive));
    }
    let state = storage.audits.begin({ scope: WHOLE_STORE, nowMs: Date.now() });
    for (; state.state === 'running'; state = storage.audits.last ?? state) await pause(STEP_MS);
    if (state.state === 'failed') found.push(`audit: ${state.problem ?? 'failed'}`);
    found.push(...state.described.map((finding) => `audit: ${JSON.stringify(finding)}`));
  } finally {
    await storage.close();
  }
  return found;
}

async function act(clients: readonly ChatClient[], random: Random, durationMs: number): Promise<void> {
  const until = Date.now() + durationMs;
  while (Date.now() < until) {
    const client = random.pick(clients);
    const chance = random.next();
    if (chance < 0.08) client.cut();
    else if (chance < 0.11) client.leave(random.next() < 0.5);
    else if (chance < 0.3) client.come();
    else {
      const to = random.pick(PEOPLE.filter((name) => name !== client.name));
      for (let count = random.between(1, 8); count > 0; count--) client.say(to);
      client.requestAcknowledgement();
    }
    if (random.next() < 0.5) await pause(STEP_MS);
  }
}

function pause(durationMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, durationMs));
}
