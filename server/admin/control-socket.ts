import { chmod, mkdir, unlink } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { dirname } from 'node:path';

import { StanzaError } from '../../stanzas/stanza-error.ts';
import { StoreError } from '../../storage/ordered-store.ts';
import type { Log } from '../log.ts';
import type { AnyCommand, CommandContext } from './command.ts';
import { LineCutter, MAX_PATH_BYTES, MAX_REQUEST_BYTES, requestSchema, type Reply } from './control-protocol.ts';
import { CommandError } from './exit-codes.ts';

const MAX_CONNECTIONS = 16;
/** A client that asks nothing for this long is let go. */
const IDLE_MS = 60_000;

/** Options of openControlSocket. */
export interface ControlSocketOptions {
  readonly path: string;
  readonly commands: ReadonlyMap<string, AnyCommand>;
  readonly context: CommandContext;
  readonly log: Log;
}

/** The open control socket. */
export interface ControlSocket {
  /** Answers what is being answered, then closes and removes the socket. */
  close(): Promise<void>;
}

/**
 * Listens for commands on a Unix socket that only the user of this process can open (mode 0600). A socket that a crash
 * left behind is replaced. @throws CommandError where another server answers there or the path cannot be used
 */
export async function openControlSocket(options: ControlSocketOptions): Promise<ControlSocket> {
  const { path } = options;
  if (Buffer.byteLength(path) > MAX_PATH_BYTES) {
    const advice = 'set admin.control_socket to a shorter one, such as "/run/posthorn/control.sock"';
    throw new CommandError(
      'failed',
      `the path of the control socket, ${path}, exceeds ${MAX_PATH_BYTES} bytes: ${advice}`,
    );
  }
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const connections = new Set<ControlConnection>();
  const server = createServer((socket) => {
    const connection = new ControlConnection(socket, options, () => connections.delete(connection));
    connections.add(connection);
  });
  server.maxConnections = MAX_CONNECTIONS;
  try {
    await listen(server, path);
  } catch (error) {
    if (codeOf(error) !== 'EADDRINUSE') throw unusable(path, error);
    if (await isAnswered(path)) {
      throw new CommandError('failed', `a server is running already: it answers at ${path}`, { cause: error });
    }
    options.log.warn({ path }, 'a crash left a control socket behind; it is replaced');
    await unlink(path).catch(() => undefined);
    await listen(server, path).catch((again: unknown) => {
      throw unusable(path, again);
    });
  }
  await chmod(path, 0o600);
  return {
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const connection of connections) connection.finish();
      await closed;
    },
  };
}

/** Binds with a umask that lets nobody else in, not even for the moment before chmod. Binding happens in this call. */
function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (error: Error): void => reject(error);
    server.once('error', fail);
    const before = process.umask(0o177);
    try {
      server.listen(path, () => {
        server.off('error', fail);
        resolve();
      });
    } finally {
      process.umask(before);
    }
  });
}

/** Whether a process listens at the path. */
function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path, () => {
      socket.destroy();
      resolve(true);
    });
    // Anything but a refusal may be a busy server: its socket is not ours to remove.
    socket.once('error', (error) => resolve(!['ECONNREFUSED', 'ENOENT'].includes(codeOf(error))));
  });
}

function unusable(path: string, error: unknown): CommandError {
  const message = `cannot listen on the control socket ${path} (${codeOf(error)})`;
  return new CommandError('failed', `${message}: set admin.control_socket to a path that can be written`, {
    cause: error,
  });
}

/** One client: its requests are answered one after the other, and nothing more is read meanwhile. */
class ControlConnection {
  readonly #socket: Socket;
  readonly #options: ControlSocketOptions;
  readonly #cutter = new LineCutter(MAX_REQUEST_BYTES);
  readonly #waiting: string[] = [];
  #isBusy = false;
  #isFinishing = false;

  constructor(socket: Socket, options: ControlSocketOptions, ended: () => void) {
    this.#socket = socket;
    this.#options = options;
    socket.setTimeout(IDLE_MS, () => {
      if (!this.#isBusy) socket.destroy();
    });
    socket.on('data', (chunk) => this.#receive(chunk));
    socket.on('error', () => socket.destroy());
    socket.on('close', ended);
  }

  /** Ends the connection once the request in work is answered. */
  finish(): void {
    this.#isFinishing = true;
    this.#waiting.length = 0;
    if (!this.#isBusy) this.#endNow();
  }

  #receive(chunk: Buffer): void {
    if (this.#isFinishing) return;
    try {
      this.#waiting.push(...this.#cutter.push(chunk));
    } catch {
      this.#reply({ error: { code: 'usage', message: `a request is longer than ${MAX_REQUEST_BYTES} bytes` } });
      this.finish();
      return;
    }
    if (!this.#isBusy && this.#waiting.length > 0) void this.#answerWaiting();
  }

  async #answerWaiting(): Promise<void> {
    this.#isBusy = true;
    this.#socket.pause();
    for (let line = this.#waiting.shift(); line !== undefined; line = this.#waiting.shift()) {
      this.#reply(await answer(line, this.#options));
    }
    this.#isBusy = false;
    this.#socket.resume();
    if (this.#isFinishing) this.#endNow();
  }

  #reply(reply: Reply): void {
    if (this.#socket.writable) this.#socket.write(`${JSON.stringify(reply)}\n`);
  }

  /** A client that does not read its last reply keeps no server from stopping. */
  #endNow(): void {
    this.#socket.end();
    this.#socket.setTimeout(1000, () => this.#socket.destroy());
    this.#socket.destroySoon();
  }
}

async function answer(line: string, { commands, context, log }: ControlSocketOptions): Promise<Reply> {
  let content: unknown;
  try {
    content = JSON.parse(line);
  } catch {
    // Not the parser's words: they quote the line.
    return { error: { code: 'usage', message: 'a request must be one JSON object on one line' } };
  }
  const request = requestSchema.safeParse(content);
  if (!request.success) return { error: { code: 'usage', message: 'a request must have a command and its arguments' } };
  const command = commands.get(request.data.command);
  if (command === undefined) return { error: { code: 'usage', message: 'the server knows no such command' } };
  try {
    const result = await command.runUnchecked(context, request.data.arguments);
    if (command.name.startsWith('user ') && !/ (list|show|export)$/.test(command.name)) {
      log.info({ command: command.name }, 'an administrator changed accounts');
    }
    return { result };
  } catch (error) {
    if (error instanceof CommandError) return { error: { code: error.code, message: error.message } };
    const known = error instanceof StoreError || error instanceof StanzaError;
    if (!known) log.error({ command: command.name, error: String(error) }, 'a command failed');
    return { error: { code: 'failed', message: error instanceof Error ? error.message : 'see the log of the server' } };
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error);
}
