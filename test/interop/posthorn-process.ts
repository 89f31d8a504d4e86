import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('../../server/main.ts', import.meta.url));
const STOP_DEADLINE_MS = 10_000;

/** `posthorn start` in a process of its own, as an operator has it: loopback, free ports, its own data directory. */
export class PosthornProcess {
  readonly directory: string;
  readonly caFile: string;
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #ports: ReadonlyMap<string, number>;

  private constructor(
    directory: string,
    child: ChildProcessWithoutNullStreams,
    ports: ReadonlyMap<string, number>,
    caFile: string,
  ) {
    this.directory = directory;
    this.caFile = caFile;
    this.#child = child;
    this.#ports = ports;
  }

  /** Starts the server. Rejects with what it said when it does not come up. */
  static async start(): Promise<PosthornProcess> {
    const directory = await mkdtemp(join(tmpdir(), 'posthorn-interop-'));
    const child = runPosthorn(directory, 'start');
    let complaints = '';
    child.stderr.on('data', (chunk: Buffer) => (complaints += chunk.toString()));
    const ports = new Map<string, number>();
    let caFile: string | undefined;
    for await (const line of createInterface({ input: child.stdout })) {
      const [, name = '', port = ''] = /^listening: (\S+) \S+ (\d+)$/.exec(line) ?? [];
      if (port !== '') ports.set(name, Number(port));
      caFile ??= /^clients trust: (.+)$/.exec(line)?.[1];
      if (line.startsWith('next: ')) break;
    }
    if (caFile === undefined) {
      child.kill('SIGKILL');
      await rm(directory, { recursive: true, force: true });
      throw new Error(`posthorn did not start: ${complaints}`);
    }
    child.stdout.resume();
    return new PosthornProcess(directory, child, ports, caFile);
  }

  /** @param listener `c2s`, `c2s-tls` or `http` */
  port(listener: string): number {
    const port = this.#ports.get(listener);
    if (port === undefined) throw new Error(`nothing listens as ${listener}, only ${[...this.#ports.keys()].join()}`);
    return port;
  }

  /** Creates accounts while the server runs, as `posthorn user import` does. */
  async createAccounts(bareJids: readonly string[], password: string): Promise<void> {
    const child = runPosthorn(this.directory, 'user', 'import', '-');
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
    }
    child.stdin.end(bareJids.map((jid) => `${jid},${password}\n`).join(''));
    const [status] = (await once(child, 'close')) as [number | null];
    if (status !== 0) throw new Error(`posthorn user import ended with ${String(status)}: ${output}`);
  }

  /** Stops it in order, or by force where that takes too long, and removes its data. Gives the exit status. */
  async stop(): Promise<number | null> {
    const force = setTimeout(() => this.#child.kill('SIGKILL'), STOP_DEADLINE_MS);
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      this.#child.kill('SIGTERM');
      await once(this.#child, 'close');
    }
    clearTimeout(force);
    await rm(this.directory, { recursive: true, force: true });
    return this.#child.exitCode;
  }
}

function runPosthorn(directory: string, ...parameters: string[]): ChildProcessWithoutNullStreams {
  return spawn(process.execPath, ['--import=tsx', MAIN, ...parameters], {
    env: {
      ...process.env,
      POSTHORN_DATA_DIRECTORY: directory,
      POSTHORN_C2S_PORT: '0',
      POSTHORN_C2S_TLS_PORT: '0',
      POSTHORN_C2S_ADDRESSES: '127.0.0.1',
      POSTHORN_HTTP_PORT: '0',
      POSTHORN_HTTP_ADDRESSES: '127.0.0.1',
      POSTHORN_OPERATIONS_PORT: '0',
      POSTHORN_STORAGE_DURABILITY: 'process',
      POSTHORN_SASL_SCRAM_ITERATIONS: '4096',
    },
  });
}
