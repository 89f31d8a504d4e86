import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { deriveCredentials } from '../../server/sasl/scram-keys.ts';
import { openStorage } from '../../storage/storage.ts';

export const PASSWORD = 'pw';

const START_MS = 60_000;
const POLL_MS = 20;

export interface ServerProcessOptions {
  /** The program, built: `dist/server/main.js`. */
  readonly main: string;
  readonly directory: string;
  readonly port: number;
  readonly durability: 'sync' | 'process';
  /** Words before the command: a program that runs the server in its own way. */
  readonly wrapper?: readonly string[];
  /** More of the environment, options of Posthorn among it. */
  readonly environment?: Readonly<Record<string, string>>;
}

/** A real server process on loopback that is killed and started again over the same data. */
export class ServerProcess {
  readonly #options: ServerProcessOptions;
  #child: ChildProcess | undefined;
  #output = '';

  constructor(options: ServerProcessOptions) {
    this.#options = options;
  }

  start(): void {
    const { main, directory, wrapper = [] } = this.#options;
    const words = [...wrapper, process.execPath, main, 'start'];
    const child = spawn(words[0]!, words.slice(1), {
      detached: true, // a group of its own: a wrapper does not hand on every signal
      cwd: directory,
      env: this.#environment(),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const keep = (text: Buffer): void => {
      this.#output = (this.#output + text.toString('utf8')).slice(-20_000);
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    this.#child = child;
  }

  /** Resolves when it accepts connections. */
  async listening(): Promise<void> {
    const deadline = Date.now() + START_MS;
    while (Date.now() < deadline) {
      const socket = connect(this.#options.port, '127.0.0.1');
      const isOpen = await new Promise<boolean>((resolve) => {
        socket.once('connect', () => resolve(true));
        socket.once('error', () => resolve(false));
      });
      socket.destroy();
      if (isOpen) return;
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
    throw new Error(`the server does not listen: ${this.#output}`);
  }

  /** What the last processes wrote, for a person who looks for the cause of a failure. */
  get output(): string {
    return this.#output;
  }

  /** Ends it as a crash would. Rejects if it has ended by itself. */
  async kill(): Promise<void> {
    const child = this.#running();
    signal(child, 'SIGKILL');
    await once(child, 'exit');
  }

  /** Stops it in order, or while it has not begun yet. Rejects if it exits with anything but 0. */
  async stop(): Promise<void> {
    const child = this.#running();
    signal(child, 'SIGTERM');
    const [code, by] = (await once(child, 'exit')) as [number | null, string | null];
    if (code !== 0 && by !== 'SIGTERM') throw new Error(`the server stopped with ${String(code)}: ${this.#output}`);
  }

  /** Proves the store, through the running server or of what it left (`posthorn audit`). Rejects with what was found. */
  async audit(): Promise<void> {
    const { main, directory } = this.#options;
    const options = { cwd: directory, env: this.#environment() };
    const { stdout } = await promisify(execFile)(process.execPath, [main, 'audit', '--json'], options).catch(
      (error: unknown) => {
        const { stdout, stderr } = error as { stdout?: string; stderr?: string };
        throw new Error(`the audit: ${stdout ?? String(error)}${stderr ?? ''}`);
      },
    );
    const { findings, entries } = JSON.parse(stdout) as { findings: number; entries: number };
    if (findings > 0 || entries === 0) throw new Error(`the audit: ${stdout}`);
  }

  /** For the end of a test, whatever became of it. */
  async end(): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    signal(child, 'SIGKILL');
    await once(child, 'exit');
  }

  /** Of the server itself, 0 while there is none. */
  get processId(): number {
    return this.#child?.pid ?? 0;
  }

  #environment(): Record<string, string | undefined> {
    const { directory, port, durability, environment } = this.#options;
    return {
      PATH: process.env['PATH'],
      POSTHORN_DATA_DIRECTORY: directory,
      POSTHORN_C2S_PORT: String(port),
      POSTHORN_C2S_ADDRESSES: '127.0.0.1',
      POSTHORN_C2S_ALLOW_PLAINTEXT_AUTHENTICATION: 'true',
      POSTHORN_C2S_TLS_PORT: 'false',
      POSTHORN_HTTP_PORT: 'false',
      POSTHORN_OPERATIONS_PORT: 'false',
      POSTHORN_STORAGE_DURABILITY: durability,
      POSTHORN_OFFLINE_MAX_MESSAGES: '1000000',
      POSTHORN_LOG_LEVEL: 'warn',
      ...environment,
    };
  }

  #running(): ChildProcess {
    const child = this.#child;
    if (child?.exitCode !== null || child.signalCode !== null) throw new Error(`no server runs: ${this.#output}`);
    return child;
  }
}

/** To the process and what it has started. */
function signal({ pid }: ChildProcess, name: 'SIGTERM' | 'SIGKILL'): void {
  if (pid !== undefined) process.kill(-pid, name);
}

/** Makes accounts in the store of a server that does not run. */
export async function makeAccounts(directory: string, names: readonly string[], domain = 'localhost'): Promise<void> {
  const storage = await openStorage({ backend: 'level', directory: join(directory, 'store'), durability: 'process' });
  const credentials = await deriveCredentials(PASSWORD, { iterations: 4096, random: (length) => randomBytes(length) });
  for (const name of names) {
    await storage.accounts.create(`${name}@${domain}`, { createdAt: 0, disabled: false, credentials });
  }
  await storage.close();
}
