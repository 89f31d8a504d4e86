/*
 * What a login costs Node.js and OpenSSL before any XMPP: bare servers that read and write as often and as much as a login
 * with SCRAM-SHA-1, and end as one in order. Beside them Posthorn, as it was built: what is between is its own. Each server
 * is a process on core 1, the clients are on core 0; all take turns, so that a busy machine disturbs all alike.
 * Run: npm run -s build && npx tsx bench/micro/login-floor.ts [--rounds 12] [--logins 1000] [--node PATH]
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tls from 'node:tls';
import { Command } from 'commander';
import { ensureCertificates } from '../../certs/make-certs.ts';
import { processorTime } from '../compare/process-usage.ts';
import { LoadGenerator } from '../load/load-generator.ts';
import { inTurns } from '../load/login-load.ts';
import { DOMAIN } from '../peers/peer.ts';
import { posthornPeer } from '../peers/posthorn.ts';
import { ProcessGuard } from '../peers/server-process.ts';

/** Bytes of each step of a login, from a trace of the system calls: the client's, and the answer's in clear and under TLS. */
const STEPS = [
  { says: 135, hears: 577, hearsSecured: 1761 }, // stream header; header and features
  { says: 114, hears: 208, hearsSecured: 208 }, // auth; challenge
  { says: 170, hears: 100, hearsSecured: 100 }, // response; success
  { says: 135, hears: 711, hearsSecured: 711 }, // stream header; header and features
  { says: 107, hears: 113, hearsSecured: 113 }, // binding; its result
  { says: 16, hears: 16, hearsSecured: 16 }, // the end of the stream
] as const;
const AT_ONCE = 32;
const USERS = 200;

type Answer = (socket: Socket) => void;

/** How each bare server accepts a connection. */
const SERVERS: Readonly<Record<string, (key: tls.SecureContextOptions, answer: Answer) => Server>> = {
  'sockets alone': (_, answer) => createServer({ allowHalfOpen: true, noDelay: true }, answer),
  'TLS of tls.Server': (key, answer) => tls.createServer({ ...key, noDelay: true, minVersion: 'TLSv1.2' }, answer),
  // As tls-handshakes.ts does it.
  'TLS of TLSSocket': (key, answer) => {
    const secureContext = tls.createSecureContext({ ...key, ca: [], minVersion: 'TLSv1.2', honorCipherOrder: true });
    return createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => {
      socket.on('error', () => socket.destroy());
      const secured = new tls.TLSSocket(socket, {
        isServer: true,
        requestCert: false,
        rejectUnauthorized: false,
        secureContext,
        SNICallback: (_name, choose) => choose(null, secureContext),
        ALPNProtocols: ['xmpp-client'],
      });
      secured.on('_tlsError', () => secured.destroy()).once('secure', () => answer(secured.setNoDelay(true)));
    });
  },
};

/** The bare server's process: tells its port on standard output. */
function serve(name: string, certificateFile: string, keyFile: string): void {
  const key = { cert: readFileSync(certificateFile), key: readFileSync(keyFile) };
  const answers = STEPS.map(({ hears, hearsSecured }) => 'x'.repeat(name.startsWith('TLS') ? hearsSecured : hears));
  const server = SERVERS[name]!(key, (socket) => {
    let step = 0;
    socket.on('error', () => socket.destroy()).on('end', () => socket.end());
    socket.on('data', () => {
      socket.write(answers[step++] ?? '', 'latin1');
      if (step === STEPS.length) socket.end();
    });
  });
  server.listen(0, '127.0.0.1', () => process.stdout.write(`${(server.address() as AddressInfo).port}\n`));
}

/** A server under comparison. */
interface Entry {
  readonly name: string;
  readonly pid: number;
  readonly logIn: (count: number) => Promise<unknown>;
  readonly us: number[];
}

async function compare(): Promise<void> {
  const { rounds, logins, node } = new Command('login-floor')
    .option('--rounds <rounds>', 'turns of each server', Number, 12)
    .option('--logins <logins>', 'logins in a turn', Number, 1000)
    .option('--node <node>', 'the node that runs the servers', process.execPath)
    .parse()
    .opts<{ rounds: number; logins: number; node: string }>();
  execFileSync('taskset', ['--all-tasks', '--cpu-list', '--pid', '0', String(process.pid)], { stdio: 'ignore' });
  const directory = mkdtempSync(join(tmpdir(), 'posthorn-floor-'));
  process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
  const guard = new ProcessGuard();
  const { certificates } = await ensureCertificates({
    directory: join(directory, 'certificates'),
    domains: [DOMAIN],
    now: () => Date.now(),
    log: { info: () => undefined, warn: () => undefined },
  });
  const certificate = certificates[0]!;
  const entries: Entry[] = [];
  for (const name of Object.keys(SERVERS)) {
    const key = [certificate.certificateFile, certificate.keyFile];
    const command = ['--cpu-list', '1', node, '--import', 'tsx', import.meta.filename, 'serve', name, ...key];
    const child = spawn('taskset', command, { stdio: ['ignore', 'pipe', 'inherit'] });
    guard.watch(child);
    const [line] = (await once(child.stdout, 'data')) as [Buffer];
    const visit = (): Promise<void> => pretend(Number(line), name.startsWith('TLS'));
    entries.push({ name, pid: child.pid!, logIn: (count) => inTurns(count, AT_ONCE, visit), us: [] });
  }
  const place = { directory, core: 1, ...certificate, users: USERS };
  const posthorn = await posthornPeer(guard, { node }).start({ history: false, durability: 'process' }, place);
  const load = new LoadGenerator(0, guard);
  for (const [name, port, security] of [
    ['Posthorn in clear', posthorn.port, 'plaintext'],
    ['Posthorn under TLS', posthorn.directTlsPort, 'direct-tls'],
  ] as const) {
    const options = { endpoint: { port, security }, users: USERS, atOnce: AT_ONCE, isResuming: false };
    entries.push({ name, pid: posthorn.pid, logIn: (count) => load.run('logIn', { ...options, count }), us: [] });
  }
  for (const { logIn } of entries) await logIn(3000); // compiled by then
  for (let round = 0; round < rounds; round++) for (const entry of entries) await measure(entry, logins);
  for (const { name, us } of entries) {
    const sorted = [...us].sort((one, other) => one - other);
    const least = sorted[0]!.toFixed(0).padStart(6);
    const median = sorted[sorted.length >> 1]!.toFixed(0).padStart(6);
    process.stdout.write(`${name.padEnd(20)} ${median} us of the processor per login, least ${least}\n`);
  }
  process.exit();
}

async function measure({ pid, logIn, us }: Entry, logins: number): Promise<void> {
  const before = processorTime(pid, 'paced').mainUs;
  await logIn(logins);
  us.push((processorTime(pid, 'paced').mainUs - before) / logins);
}

/** The clients'; one for all, as the load generator has. */
let secureContext: tls.SecureContext | undefined;

/** A client that says as much as one that logs in, each step when it has heard enough. */
function pretend(port: number, isSecured: boolean): Promise<void> {
  secureContext ??= tls.createSecureContext({ minVersion: 'TLSv1.2' });
  return new Promise((resolve, reject) => {
    const at = { host: '127.0.0.1', port, noDelay: true };
    const socket = isSecured
      ? tls.connect({ ...at, servername: DOMAIN, secureContext, rejectUnauthorized: false })
      : connect(at);
    let step = 0;
    let due: number = isSecured ? STEPS[0].hearsSecured : STEPS[0].hears;
    const say = (): void => void socket.write(Buffer.alloc(STEPS[step]!.says, 120));
    socket.once('close', resolve).on('error', reject);
    socket.on('data', ({ length }) => {
      due -= length;
      if (due > 0 || ++step === STEPS.length) return;
      due = isSecured ? STEPS[step]!.hearsSecured : STEPS[step]!.hears;
      if (step < STEPS.length - 1) say();
      else socket.end(Buffer.alloc(STEPS[step]!.says, 120));
    });
    say();
  });
}

if (process.argv[2] === 'serve') serve(process.argv[3]!, process.argv[4]!, process.argv[5]!);
else await compare();
