import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';

const DEADLINE_MS = 60_000;
const POLL_MS = 50;
const MAX_LOG_LENGTH = 6000;

/** A server program in the foreground, which is ready once it listens. */
export class PeerProcess {
  readonly #command: readonly [string, ...string[]];
  readonly #environment: Readonly<Record<string, string>>;
  readonly #directory: string;
  readonly #listensAt: { readonly host: string; readonly port: number };
  #child: ChildProcess | undefined;
  #output = '';

  constructor(
    command: readonly [string, ...string[]],
    environment: Readonly<Record<string, string>>,
    directory: string,
    listensAt: { readonly host: string; readonly port: number },
  ) {
    this.#command = command;
    this.#environment = environment;
    this.#directory = directory;
    this.#listensAt = listensAt;
  }

  async start(): Promise<void> {
    const [program, ...parameters] = this.#command;
    const child = spawn(program, parameters, {
      cwd: this.#directory,
      env: { ...process.env, ...this.#environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk: Buffer) => (this.#output = (this.#output + chunk.toString()).slice(-MAX_LOG_LENGTH)));
    }
    let failure: string | undefined;
    child.on('error', (error) => (failure = `cannot run ${program} (${error.message}): apt-get install ${program}`));
    const until = performance.now() + DEADLINE_MS;
    while (!(await listens(this.#listensAt))) {
      if (child.exitCode !== null) failure ??= `${program} ended with ${child.exitCode}`;
      if (performance.now() > until) failure ??= `${program} does not listen after ${DEADLINE_MS} ms`;
      if (failure !== undefined) throw new Error(`${failure}\n${this.#output}`);
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const child = this.#child;
    if (child?.exitCode !== null || child.signalCode !== null) return;
    const force = setTimeout(() => child.kill('SIGKILL'), DEADLINE_MS / 6);
    child.kill(signal);
    await once(child, 'close');
    clearTimeout(force);
  }

  log(): string {
    return this.#output;
  }
}

function listens(at: { readonly host: string; readonly port: number }): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(at);
    const answer = (isThere: boolean) => (): void => {
      socket.destroy();
      resolve(isThere);
    };
    socket.once('connect', answer(true)).once('error', answer(false));
  });
}
