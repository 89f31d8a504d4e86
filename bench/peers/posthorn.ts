import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { ITERATIONS, sharedKeys, userName } from './accounts.ts';
import { DOMAIN, type Peer, type Place, type RunningServer, type Setting } from './peer.ts';
import { freePorts, ServerProcess, type ProcessGuard } from './server-process.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const MAIN = join(ROOT, 'dist/server/main.js');

/** Options of posthornPeer. */
export interface PosthornOptions {
  /** Further parameters of node, such as `--cpu-prof`, for a profile. */
  readonly nodeOptions?: readonly string[];
  /** The node that runs it; this process's own unless given. */
  readonly node?: string;
  readonly variant?: string;
}

/** Posthorn as its users run it: the build, `start`, one configuration file. */
export function posthornPeer(
  guard: ProcessGuard,
  { nodeOptions = [], node = process.execPath, variant }: PosthornOptions = {},
): Peer {
  return {
    name: 'posthorn',
    tuning: 'tuned',
    variant,
    configuration: 'defaults; limits on connections, logins and bytes per second off, plaintext authentication on',
    version: () => {
      if (!existsSync(MAIN)) return undefined;
      const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };
      return `${version}, node ${execFileSync(node, ['--version'], { encoding: 'utf8' }).trim()}`;
    },
    durabilityOf: ({ durability }) =>
      durability === 'sync'
        ? 'acknowledged is fsynced: survives the loss of power'
        : 'acknowledged is written to the system: survives kill -9',
    start: async (setting, place): Promise<RunningServer> => {
      const [port, directTlsPort, operationsPort] = (await freePorts(3)) as [number, number, number];
      const config = join(place.directory, 'posthorn.toml');
      writeFileSync(config, configurationOf(setting, place, { port, directTlsPort, operationsPort }));
      const accounts = join(place.directory, 'accounts.csv');
      writeFileSync(accounts, accountLines(place.users));
      execFileSync(node, [MAIN, 'user', 'import', accounts, '--config', config], {
        stdio: ['ignore', 'ignore', 'inherit'],
      });
      const command = [node, ...nodeOptions, MAIN, 'start', '--config', config] as const;
      const server = await ServerProcess.start({ name: 'posthorn', command, port }, place, guard);
      return { pid: server.pid, port, directTlsPort, startUpMs: server.startUpMs, stop: () => server.stop() };
    },
  };
}

interface Ports {
  readonly port: number;
  readonly directTlsPort: number;
  readonly operationsPort: number;
}

function configurationOf({ history, durability }: Setting, place: Place, ports: Ports): string {
  return `
domains = ["${DOMAIN}"]
data_directory = "${join(place.directory, 'data')}"
[c2s]
port = ${ports.port}
tls_port = ${ports.directTlsPort}
addresses = ["127.0.0.1"]
allow_plaintext_authentication = true
max_connections = 60000
max_connections_per_address = 60000
connections_per_minute_per_address = 0
logins_per_second = 0
logins_per_minute_per_address = 0
bytes_per_second = 0
[tls]
certificates = [{ domains = ["${DOMAIN}"], certificate = "${place.certificateFile}", key = "${place.keyFile}" }]
[http]
port = false
[operations]
port = ${ports.operationsPort}
[messages]
history = "${history ? 'on' : 'off'}"
[offline]
max_messages = 100000
max_bytes = 1000000000
[storage]
durability = "${durability}"
[log]
level = "warn"
`;
}

function accountLines(users: number): string {
  const { salt, storedKey, serverKey } = sharedKeys();
  const base64 = (bytes: Buffer): string => bytes.toString('base64');
  const keys = `SCRAM-SHA-1$${ITERATIONS}:${base64(salt)}$${base64(storedKey)}:${base64(serverKey)}`;
  const lines = ['jid,keys'];
  for (let index = 0; index < users; index++) lines.push(`${userName(index)}@${DOMAIN},${keys}`);
  return `${lines.join('\n')}\n`;
}
