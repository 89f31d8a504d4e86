import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';

const MAIN = new URL('../../server/main.ts', import.meta.url).pathname;

/** What a command left behind. */
export interface CommandResult {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The real `posthorn` over a data directory of its own, on any free ports of loopback. */
export class PosthornCommand {
  readonly directory: string;
  readonly #environment: NodeJS.ProcessEnv;
  readonly #started: PosthornServer[] = [];

  constructor(directory: string, environment: Readonly<Record<string, string>> = {}) {
    this.directory = directory;
    this.#environment = {
      ...process.env,
      POSTHORN_DATA_DIRECTORY: directory,
      POSTHORN_C2S_PORT: '0',
      POSTHORN_C2S_TLS_PORT: 'false',
      POSTHORN_C2S_ADDRESSES: '127.0.0.1',
      POSTHORN_HTTP_PORT: 'false',
      POSTHORN_OPERATIONS_PORT: 'false',
      POSTHORN_SASL_SCRAM_ITERATIONS: '4096',
      POSTHORN_STORAGE_DURABILITY: 'process',
      ...environment,
    };
  }

  /** Runs one command to its end. */
  async run(words: readonly string[], input = ''): Promise<CommandResult> {
    const child = this.#spawn(words, []);
    child.stdin?.on('error', () => undefined); // a command that reads nothing may be gone already
    child.stdin?.end(input);
    let [stdout, stderr] = ['', ''];
    child.stdout?.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr?.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    const status = await new Promise<number | null>((resolve) => child.once('close', resolve));
    return { status, stdout, stderr };
  }

  /** Runs a command with --json that must succeed, and resolves to its result. */
  async json(...words: string[]): Promise<unknown> {
    const { status, stdout, stderr } = await this.run([...words, '--json']);
    if (status !== 0) throw new Error(`posthorn ${words.join(' ')} ended with ${String(status)}: ${stderr}`);
    return JSON.parse(stdout);
  }

  /** Starts the server and resolves once it has said everything it says. */
  async start(nodeOptions: readonly string[] = []): Promise<PosthornServer> {
    const server = this.begin(nodeOptions);
    await server.started;
    return server;
  }

  /** The same without waiting for it. */
  begin(nodeOptions: readonly string[] = []): PosthornServer {
    const server = new PosthornServer(this.#spawn(['start'], nodeOptions));
    server.started.catch(() => undefined);
    this.#started.push(server);
    return server;
  }

  /** Kills what still runs. */
  async end(): Promise<void> {
    for (const server of this.#started) {
      server.signal('SIGKILL');
      await server.exited;
    }
  }

  #spawn(words: readonly string[], nodeOptions: readonly string[]): ChildProcess {
    return spawn(process.execPath, ['--import=tsx', ...nodeOptions, MAIN, ...words], { env: this.#environment });
  }
}

/** A server in a process of its own. */
export class PosthornServer {
  /** The lines of standard output. */
  readonly lines: string[] = [];
  /** The lines of standard error. */
  readonly logLines: string[] = [];
  readonly started: Promise<void>;
  /** The exit code, or the signal that ended it. */
  readonly exited: Promise<number | string | null>;
  readonly #child: ChildProcess;
  #wake = (): void => undefined;

  constructor(child: ChildProcess) {
    this.#child = child;
    this.exited = new Promise((resolve) => child.once('close', (code, signal) => resolve(code ?? signal)));
    this.started = new Promise((resolve, reject) => {
      createInterface({ input: child.stdout! }).on('line', (line) => {
        this.lines.push(line);
        if (line.startsWith('next:')) resolve();
      });
      void this.exited.then((code) => {
        reject(new Error(`the server did not start (${String(code)}): ${this.logLines.join('\n')}`));
      });
    });
    createInterface({ input: child.stderr! }).on('line', (line) => {
      this.logLines.push(line);
      this.#wake();
    });
  }

  get processId(): number {
    return this.#child.pid ?? 0;
  }

  /** The port of a listener, by its name. */
  port(name: string): number {
    return Number(new RegExp(`^listening: ${name} \\S+ (\\d+)$`, 'm').exec(this.lines.join('\n'))?.[1]);
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Resolves to the first line of the log that has this text. */
  async logged(text: string): Promise<string> {
    for (;;) {
      const line = this.logLines.find((candidate) => candidate.includes(text));
      if (line !== undefined) return line;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}
