import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { createInterface } from 'node:readline';
import { clientEvent, type ClientCommand, type ClientEvent, type EventNamed } from './client-events.ts';
import type { ClientKind } from './client-kinds.ts';

/** Far more than anything here takes, so that a loaded machine does not fail a test; only a failure waits for it. */
const DEADLINE_MS = 30_000;
const MAX_COMPLAINT_LENGTH = 4000;
const MAX_LINES_SHOWN = 20;

/** A client in a process of its own, which ends with its standard input. Tests wait for its events, never for a time. */
export class ClientProcess {
  readonly #kind: ClientKind;
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #ended: Promise<void>;
  /** Waits until the next event or the end; the lines are only shown when something fails. */
  readonly #waiting = new Set<() => void>();
  readonly #lines: string[] = [];
  #events: ClientEvent[] = [];
  #complaints = '';
  #end: string | undefined;
  #lastId = 0;

  /** @param caFile the only authority a Node.js client trusts beside those it was built with; others are told at login */
  constructor(kind: ClientKind, caFile: string) {
    this.#kind = kind;
    const [program, ...parameters] = kind.program;
    const environment = { ...process.env, NODE_EXTRA_CA_CERTS: caFile, PYTHONDONTWRITEBYTECODE: '1' };
    this.#child = spawn(program, parameters, { env: environment });
    createInterface({ input: this.#child.stdout }).on('line', (line) => this.#take(line));
    this.#child.stderr.on('data', (chunk: Buffer) => {
      this.#complaints = (this.#complaints + chunk.toString()).slice(-MAX_COMPLAINT_LENGTH);
    });
    this.#child.stdin.on('error', () => undefined); // its end says more
    this.#ended = new Promise((resolve) => {
      const end = (reason: string): void => {
        this.#end ??= reason;
        this.#wake();
        resolve();
      };
      this.#child.on('error', (error) =>
        end(`cannot run ${program} (${error.message}): apt-get install ${kind.interpreterPackage};`),
      );
      this.#child.on('close', (code, signal) => end(`ended with ${signal ?? `status ${code ?? 0}`}`));
    });
  }

  /**
   * The next event of this name that fits, in the order they came; it is taken out, the others stay.
   * Rejects, with what was seen, when it does not come.
   */
  next<Name extends ClientEvent['event']>(
    name: Name,
    fits: (event: EventNamed<Name>) => boolean = () => true,
  ): Promise<EventNamed<Name>> {
    const isWanted = (event: ClientEvent): event is EventNamed<Name> => event.event === name && fits(event as never);
    return this.#wait(`"${name}"`, isWanted, name !== 'failed');
  }

  /** Has it do something and gives the answer. Rejects where the server, or the client, refused. */
  async perform(command: ClientCommand): Promise<unknown> {
    const id = ++this.#lastId;
    this.#child.stdin.write(`${JSON.stringify({ ...command, id })}\n`);
    const isAnswer = (event: ClientEvent): event is EventNamed<'result'> | EventNamed<'error'> =>
      (event.event === 'result' || event.event === 'error') && event.id === id;
    const answer = await this.#wait(`an answer to ${command.command}`, isAnswer, true);
    if (answer.event === 'error') throw this.#problem(`was refused ${command.command}: ${answer.reason}`);
    return answer.value;
  }

  /** Takes out what came and nobody waited for, such as doubles. */
  takeLeft<Name extends ClientEvent['event']>(name: Name): readonly EventNamed<Name>[] {
    const isLeft = (event: ClientEvent): event is EventNamed<Name> => event.event === name;
    const left = this.#events.filter(isLeft);
    this.#events = this.#events.filter((event) => !isLeft(event));
    return left;
  }

  /** Ends the process; resolves when it has ended. */
  async end(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended;
  }

  async #wait<Wanted extends ClientEvent>(
    what: string,
    isWanted: (event: ClientEvent) => event is Wanted,
    mayNotFail: boolean,
  ): Promise<Wanted> {
    const lateAt = performance.now() + DEADLINE_MS;
    const deadline = setTimeout(() => this.#wake(), DEADLINE_MS + 1);
    try {
      for (;;) {
        const wanted = this.#events.find(isWanted);
        if (wanted !== undefined) {
          this.#events.splice(this.#events.indexOf(wanted), 1);
          return wanted;
        }
        if (mayNotFail && this.#events.some(({ event }) => event === 'failed')) {
          throw this.#problem(`failed before ${what}`);
        }
        if (this.#end !== undefined) throw this.#problem(`${this.#end} before ${what}`);
        if (performance.now() >= lateAt) throw this.#problem(`gave no ${what} within ${DEADLINE_MS} ms`);
        await new Promise<void>((resolve) => this.#waiting.add(resolve));
      }
    } finally {
      clearTimeout(deadline);
    }
  }

  #take(line: string): void {
    this.#lines.push(line);
    if (this.#lines.length > MAX_LINES_SHOWN) this.#lines.shift();
    try {
      const event = clientEvent.parse(JSON.parse(line));
      if (event.event === 'missing') this.#end ??= `needs a package: apt-get install ${event.package};`;
      else this.#events.push(event);
    } catch (error) {
      this.#end ??= `said what is no event (${String(error)})`;
    }
    this.#wake();
  }

  #wake(): void {
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }

  #problem(what: string): Error {
    return new Error(`${this.#kind.name} ${what}\n${this.#lines.join('\n')}\n${this.#complaints}`);
  }
}
