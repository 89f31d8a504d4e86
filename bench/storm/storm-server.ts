import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import { deriveCredentials } from '../../server/sasl/scram-keys.ts';
import { processorTime } from '../compare/process-usage.ts';
import { openStorage } from '../../storage/storage.ts';

const MAIN = fileURLToPath(new URL('../../server/main.ts', import.meta.url));

/** Creates accounts in the store of a server that is down. */
export async function createAccounts(directory: string, usernames: readonly string[], password: string): Promise<void> {
  const storage = await openStorage({ backend: 'level', directory: `${directory}/store`, durability: 'process' });
  const credentials = await deriveCredentials(password, { iterations: 4096, random: randomBytes });
  const record = { createdAt: Date.now(), disabled: false, credentials };
  await storage.accounts.createMany(usernames.map((username) => ({ jid: `${username}@localhost`, record })));
  await storage.close();
}

/** `posthorn start` in a process of its own, with the limits for one address off: the whole storm comes from one. */
export class StormServer {
  readonly port: number;
  /** From the start of the process until it listened, milliseconds. */
  readonly startUpMs: number;
  readonly #child: ChildProcessWithoutNullStreams;

  private constructor(child: ChildProcessWithoutNullStreams, port: number, startUpMs: number) {
    this.#child = child;
    this.port = port;
    this.startUpMs = startUpMs;
  }

  static async start(directory: string): Promise<StormServer> {
    const startMs = performance.now();
    const child = spawn(process.execPath, ['--import=tsx', MAIN, 'start'], {
      env: {
        ...process.env,
        POSTHORN_DATA_DIRECTORY: directory,
        POSTHORN_C2S_PORT: 'false',
        POSTHORN_C2S_TLS_PORT: '0',
        POSTHORN_C2S_ADDRESSES: '127.0.0.1',
        POSTHORN_C2S_MAX_CONNECTIONS_PER_ADDRESS: '20000',
        POSTHORN_C2S_CONNECTIONS_PER_MINUTE_PER_ADDRESS: '0',
        POSTHORN_C2S_LOGINS_PER_MINUTE_PER_ADDRESS: '0',
        POSTHORN_HTTP_PORT: 'false',
        POSTHORN_OPERATIONS_PORT: 'false',
        POSTHORN_LOG_LEVEL: 'warn',
      },
    });
    child.stderr.pipe(process.stderr);
    let port: number | undefined;
    for await (const line of createInterface({ input: child.stdout })) {
      const found = /^listening: c2s-tls \S+ (\d+)$/.exec(line)?.[1];
      if (found !== undefined) port = Number(found);
      if (line.startsWith('next: ')) break;
    }
    if (port === undefined) throw new Error('posthorn did not start');
    child.stdout.resume();
    return new StormServer(child, port, performance.now() - startMs);
  }

  /** Processor time of all its threads so far, microseconds. */
  get processorUs(): number {
    return processorTime(this.#child.pid ?? 0, 'saturating').mainUs;
  }

  /** The most memory it ever had, bytes. */
  get peakResidentBytes(): number {
    const status = readFileSync(`/proc/${this.#child.pid ?? 0}/status`, 'utf8');
    return Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) * 1024;
  }

  /** Stops it in order; resolves with how long that took, milliseconds. */
  async stop(): Promise<number> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return 0;
    const startMs = performance.now();
    this.#child.kill('SIGTERM');
    await once(this.#child, 'close');
    return performance.now() - startMs;
  }
}
