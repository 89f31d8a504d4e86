import { spawn, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { openFilesLimit, type ProcessGuard } from '../peers/server-process.ts';
import type { LoadCommand, LoadCommands, LoadRequest, LoadResponse } from './protocol.ts';

interface Waiting {
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** The load generator as the comparison sees it. */
export class LoadGenerator {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, Waiting>();
  #nextId = 0;

  /** Starts the generator's process on a core of its own. */
  constructor(core: number, guard: ProcessGuard) {
    const node = [process.execPath, '--import', 'tsx', join(import.meta.dirname, 'generator.ts')];
    const limits = ['prlimit', `--nofile=${openFilesLimit()}`];
    this.#child = spawn('taskset', ['--cpu-list', String(core), ...limits, ...node], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    guard.watch(this.#child);
    this.#child.on('message', (response: LoadResponse) => this.#answered(response));
    this.#child.on('exit', () => this.#failAll(new Error('the load generator ended')));
    this.#child.on('error', (error) => this.#failAll(error));
  }

  /** Has the generator do something. Rejects with an Error where the load found a fault. */
  run<Name extends LoadCommand>(
    name: Name,
    parameters: LoadCommands[Name]['parameters'],
  ): Promise<LoadCommands[Name]['result']> {
    const request: LoadRequest<Name> = { id: this.#nextId++, name, parameters };
    return new Promise((resolve, reject) => {
      this.#waiting.set(request.id, { resolve: (result) => resolve(result as LoadCommands[Name]['result']), reject });
      this.#child.send(request);
    });
  }

  /** Ends the process, and with it every connection. */
  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.kill('SIGKILL');
    await ended;
  }

  #answered({ id, result, error }: LoadResponse): void {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error === undefined) waiting?.resolve(result);
    else waiting?.reject(new Error(error));
  }

  #failAll(error: Error): void {
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}
