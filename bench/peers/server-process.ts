import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { chmodSync, chownSync, closeSync, copyFileSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { connect, createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { DOMAIN, type Place } from './peer.ts';

const START_TIMEOUT_MS = 90_000;
const STOP_TIMEOUT_MS = 15_000;
const POLL_MS = 5;
const LOG_TAIL_CHARS = 3000;

/** Who a server runs as. */
export interface Identity {
  readonly uid: number;
  readonly gid: number;
}

/** How a server is started. */
export interface Launch {
  readonly name: string;
  readonly command: readonly [string, ...string[]];
  readonly environment?: Record<string, string>;
  readonly identity?: Identity | undefined;
  readonly port: number;
}

/** Started processes that have not ended: none may outlive this one. */
export class ProcessGuard {
  readonly #running = new Set<ChildProcess>();

  constructor() {
    process.once('exit', () => this.#killAll());
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(1));
  }

  /** Sees to it that the process ends with this one. */
  watch(child: ChildProcess): void {
    this.#running.add(child);
    child.once('exit', () => this.#running.delete(child));
  }

  #killAll(): void {
    for (const child of this.#running) child.kill('SIGKILL');
  }
}

/** A server's process from its start to its end. */
export class ServerProcess {
  readonly pid: number;
  readonly startUpMs: number;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, pid: number, startUpMs: number) {
    this.#child = child;
    this.pid = pid;
    this.startUpMs = startUpMs;
  }

  /**
   * Starts a server pinned to the place's core, its output in `output.log`, and waits until it answers a stream header
   * with features. Rejects with an Error that shows the end of its output.
   */
  static async start(launch: Launch, place: Place, guard: ProcessGuard): Promise<ServerProcess> {
    const output = openSync(join(place.directory, 'output.log'), 'a');
    const [program, ...parameters] = pinned(launch, place.core);
    const startedAt = performance.now();
    const environment = { ...process.env, ...launch.environment };
    delete environment['NODE_OPTIONS']; // the caller's own must not reach the server
    const child = spawn(program, parameters, {
      cwd: place.directory,
      env: environment,
      stdio: ['ignore', output, output],
    });
    closeSync(output);
    guard.watch(child);
    let failure: Error | undefined;
    child.once('error', (error) => (failure = error));
    while (!(await answers(launch.port))) {
      if (failure !== undefined || child.exitCode !== null || performance.now() - startedAt > START_TIMEOUT_MS) {
        child.kill('SIGKILL');
        throw new Error(`${launch.name} does not start: ${failure?.message ?? ''}\n${tailOf(place.directory)}`);
      }
      await sleep(POLL_MS);
    }
    return new ServerProcess(child, child.pid!, performance.now() - startedAt);
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = new Promise<void>((resolve) => this.#child.once('exit', () => resolve()));
    this.#child.kill('SIGTERM');
    const patience = new AbortController();
    const timeout = sleep(STOP_TIMEOUT_MS, undefined, { signal: patience.signal }).then(
      () => this.#child.kill('SIGKILL'),
      () => undefined,
    );
    await ended;
    patience.abort();
    await timeout;
  }
}

/** Every step replaces itself by the next (exec), so that the process id stays the server's. */
function pinned({ command, identity }: Launch, core: number): [string, ...string[]] {
  const isRoot = process.getuid?.() === 0;
  return [
    'taskset',
    '--cpu-list',
    String(core),
    'prlimit',
    `--nofile=${openFilesLimit()}`,
    ...(isRoot && identity !== undefined
      ? ['setpriv', `--reuid=${identity.uid}`, `--regid=${identity.gid}`, '--clear-groups', '--']
      : []),
    ...command,
  ];
}

/** The most files a process of this machine's user may open, which is also the most connections that can be measured. */
export function openFilesLimit(): number {
  const limits = readFileSync('/proc/self/limits', 'utf8');
  return Number(/^Max open files +\S+ +(\d+)/m.exec(limits)?.[1] ?? 1024);
}

/** Whether a stream header is answered with features. */
function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    let received = '';
    const finish = (isUp: boolean): void => {
      socket.destroy();
      resolve(isUp);
    };
    socket.setTimeout(2000, () => finish(false));
    socket.on('error', () => finish(false));
    socket.on('close', () => finish(false));
    socket.on('data', (bytes) => {
      received += bytes.toString('latin1');
      if (received.includes('</stream:features>')) finish(true);
    });
    socket.write(
      `<?xml version='1.0'?><stream:stream to='${DOMAIN}' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>`,
    );
  });
}

function tailOf(directory: string): string {
  return readFileSync(join(directory, 'output.log'), 'utf8').slice(-LOG_TAIL_CHARS);
}

/** Ports nobody listens on; all are held open until all are known, so that they differ. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer();
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      return server;
    }),
  );
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

/** The distribution's user for a server, where this process may become it and it exists. */
export function identityOf(user: string): Identity | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const fields = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'))
    .find(([name]) => name === user);
  return fields === undefined ? undefined : { uid: Number(fields[2]), gid: Number(fields[3]) };
}

/** Gives a directory with everything in it to who the server runs as. */
export function giveTo(identity: Identity | undefined, directory: string): void {
  if (identity === undefined) return;
  execFileSync('chown', ['-R', `${identity.uid}:${identity.gid}`, directory]);
}

/** Copies the certificate and its key to where the server may read them. */
export function copyKeyPair(place: Place, identity: Identity | undefined): { certificate: string; key: string } {
  const directory = join(place.directory, 'certificate');
  mkdirSync(directory, { recursive: true });
  const certificate = join(directory, `${DOMAIN}.crt`);
  const key = join(directory, `${DOMAIN}.key`);
  copyFileSync(place.certificateFile, certificate);
  copyFileSync(place.keyFile, key);
  chmodSync(key, 0o600);
  if (identity !== undefined) for (const file of [certificate, key]) chownSync(file, identity.uid, identity.gid);
  return { certificate, key };
}
