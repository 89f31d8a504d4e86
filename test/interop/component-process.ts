import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface, type Interface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';

const event = z.looseObject({ event: z.string(), problem: z.string().optional() });
type ComponentEvent = z.infer<typeof event>;

const PROGRAM = fileURLToPath(new URL('clients/slixmpp_component.py', import.meta.url));
const DEADLINE_MS = 30_000;

/** A component made with slixmpp in a process of its own. */
export class ComponentProcess {
  readonly #child: ChildProcess;
  readonly #lines: Interface;
  readonly #events: ComponentEvent[] = [];
  #complaints = '';
  #wake: (() => void) | undefined;

  constructor(domain: string, secret: string, port: number) {
    // Debian's own interpreter: its packages are invisible to any other.
    this.#child = spawn('/usr/bin/python3', [PROGRAM, domain, secret, String(port)], {
      env: { ...process.env, PYTHONDONTWRITEBYTECODE: '1' },
    });
    this.#child.stderr?.on('data', (chunk: Buffer) => (this.#complaints += chunk.toString()));
    this.#lines = createInterface({ input: this.#child.stdout! });
    this.#lines.on('line', (line) => {
      this.#events.push(event.parse(JSON.parse(line)));
      this.#wake?.();
    });
  }

  /** The next event of this name; those before it are passed over. Rejects where it does not come. */
  async next(name: string): Promise<ComponentEvent> {
    const deadline = Date.now() + DEADLINE_MS;
    for (;;) {
      for (let next = this.#events.shift(); next !== undefined; next = this.#events.shift()) {
        if (next.event === name) return next;
      }
      if (Date.now() > deadline) throw new Error(`the component did not say "${name}": ${this.#complaints}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 1000);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  /** Asks it to do something; gives its answer. Rejects where it was refused. */
  async perform(command: string, parameters: Readonly<Record<string, unknown>> = {}): Promise<unknown> {
    this.#child.stdin?.write(`${JSON.stringify({ command, ...parameters })}\n`);
    const { value, problem } = await this.next('answer');
    if (problem !== undefined) throw new Error(`${command}: ${problem}`);
    return value;
  }

  async end(): Promise<void> {
    this.#child.kill('SIGKILL');
    if (this.#child.exitCode === null && this.#child.signalCode === null) await once(this.#child, 'close');
    this.#lines.close();
  }
}
