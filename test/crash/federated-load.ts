import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { ensureCertificates } from '../../certs/make-certs.ts';
import { openStorage } from '../../storage/storage.ts';
import { freePort } from '../support/free-ports.ts';
import { silentLog } from '../support/silent-log.ts';
import { archived } from './archives.ts';
import { ChatClient } from './chat-client.ts';
import { FederatedHistory } from './federated-history.ts';
import type { ReceivedMessage } from './history.ts';
import { Random } from './random.ts';
import { makeAccounts, ServerProcess } from './server-process.ts';

const PEOPLE: Readonly<Record<string, string>> = {
  juliet: 'capulet.example',
  nurse: 'capulet.example',
  tybalt: 'capulet.example',
  romeo: 'montague.example',
  benvolio: 'montague.example',
  mercutio: 'montague.example',
};
const NAMES = Object.keys(PEOPLE);
const DOMAINS = ['capulet.example', 'montague.example'] as const;
const STEP_MS = 10;

/** What a run has done, for the report. */
export interface FederatedReport {
  readonly kills: number;
  readonly acknowledged: number;
  readonly returned: number;
  /** Returned, and arrived all the same. */
  readonly doubted: number;
  readonly violations: readonly string[];
}

export interface FederatedLoadOptions {
  /** The program, built: `dist/server/main.js`. */
  readonly main: string;
  readonly directory: string;
  /** The same seed makes the same choices; the moments are the machine's. */
  readonly seed: number;
  readonly kills: number;
  /** How long what was acknowledged may take to arrive or to come back in the end, milliseconds. */
  readonly settleMs: number;
}

interface Side {
  readonly domain: string;
  readonly directory: string;
  readonly server: ServerProcess;
  readonly clientPort: number;
}

/**
 * Plays people of two servers who write to each other, are cut off and come back, while one server or the other is killed
 * at random moments; then waits until everything acknowledged has arrived or come back.
 */
export async function playFederatedLoad(options: FederatedLoadOptions): Promise<FederatedReport> {
  const random = new Random(options.seed);
  const history = new FederatedHistory();
  const sides = await makeSides(options);
  const [capulet, montague] = sides;
  const clients = NAMES.map((name) => {
    const side = sides.find(({ domain }) => domain === domainOf(name))!;
    return new ChatClient(name, 'home', side.clientPort, history, domainOf);
  });
  try {
    for (const { server } of sides) server.start();
    await Promise.all(sides.map(({ server }) => server.listening()));
    for (const client of clients) client.come();
    for (let killed = 0; killed < options.kills; killed++) {
      const { server } = random.next() < 0.7 ? capulet : montague;
      await act(clients, random, random.between(50, 500));
      await server.kill();
      await act(clients, random, random.between(0, 100));
      server.start();
      if (random.next() < 0.9) await server.listening();
    }
    for (const client of clients) client.come();
    const deadline = Date.now() + options.settleMs;
    while (!(clients.every(({ isIdle }) => isIdle) && history.lost().length === 0) && Date.now() < deadline) {
      await pause(STEP_MS * 5);
      for (const client of clients) client.requestAcknowledgement();
    }
    for (const client of clients) client.leave(true);
    for (const { server } of sides) await server.stop();
  } finally {
    for (const client of clients) client.leave(false);
    for (const { server } of sides) await server.end();
  }
  const stuck = clients.filter(({ isIdle }) => !isIdle).map(({ name }) => `stuck: ${name} waits for acknowledgements`);
  return {
    kills: options.kills,
    acknowledged: history.acknowledgedCount,
    returned: history.returnedCount,
    doubted: history.doubtedCount,
    violations: [...stuck, ...history.violations(await arrivals(sides), options.kills)],
  };
}

async function makeSides({ main, directory }: FederatedLoadOptions): Promise<readonly [Side, Side]> {
  const { caFile, certificates } = await ensureCertificates({
    directory: join(directory, 'certificates'),
    domains: DOMAINS,
    now: Date.now,
    log: silentLog,
  });
  const serverPorts = [await freePort(), await freePort()] as const;
  const makeSide = async (own: 0 | 1): Promise<Side> => {
    const other = own === 0 ? 1 : 0;
    const domain = DOMAINS[own];
    const place = join(directory, domain);
    await mkdir(place);
    await makeAccounts(
      place,
      NAMES.filter((name) => domainOf(name) === domain),
      domain,
    );
    const { certificateFile, keyFile } = certificates[own]!;
    const environment = {
      POSTHORN_DOMAINS: domain,
      POSTHORN_S2S_PORT: String(serverPorts[own]),
      POSTHORN_S2S_TLS_PORT: 'false',
      POSTHORN_S2S_ADDRESSES: '127.0.0.1',
      POSTHORN_S2S_AUTHORITIES: caFile,
      POSTHORN_S2S_ROUTES: JSON.stringify([
        { domain: DOMAINS[other], host: '127.0.0.1', port: serverPorts[other], tls: 'starttls' },
      ]),
      POSTHORN_TLS_CERTIFICATES: JSON.stringify([{ domains: [domain], certificate: certificateFile, key: keyFile }]),
    };
    const clientPort = await freePort();
    const server = new ServerProcess({ main, directory: place, port: clientPort, durability: 'process', environment });
    return { domain, directory: place, server, clientPort };
  };
  return [await makeSide(0), await makeSide(1)];
}

/** What is in the archives of those whom it was sent to. */
async function arrivals(sides: readonly Side[]): Promise<Map<string, ReceivedMessage[]>> {
  const arrived = new Map<string, ReceivedMessage[]>();
  for (const { domain, directory } of sides) {
    const storage = await openStorage({ backend: 'level', directory: join(directory, 'store'), durability: 'process' });
    try {
      for (const to of NAMES.filter((name) => domainOf(name) === domain)) {
        const messages: ReceivedMessage[] = [];
        for await (const { flags, peer, sequence, index } of archived(storage, `${to}@${domain}`)) {
          if (!flags.sent) messages.push({ from: peer.split('@')[0]!, to, index, sequence: sequence ?? NaN });
        }
        arrived.set(to, messages);
      }
    } finally {
      await storage.close();
    }
  }
  return arrived;
}

async function act(clients: readonly ChatClient[], random: Random, durationMs: number): Promise<void> {
  const until = Date.now() + durationMs;
  while (Date.now() < until) {
    const client = random.pick(clients);
    const chance = random.next();
    if (chance < 0.05) client.cut();
    else if (chance < 0.07) client.leave(random.next() < 0.5);
    else if (chance < 0.3) client.come();
    else {
      const to = random.pick(NAMES.filter((name) => domainOf(name) !== domainOf(client.name)));
      for (let count = random.between(1, 8); count > 0; count--) client.say(to);
      client.requestAcknowledgement();
    }
    if (random.next() < 0.5) await pause(STEP_MS);
  }
}

function domainOf(name: string): string {
  return PEOPLE[name] ?? 'localhost';
}

function pause(durationMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, durationMs));
}
