import { connect, type Socket } from 'node:net';

import { LineCutter, MAX_REPLY_BYTES, replySchema } from './control-protocol.ts';
import { CommandError, isFailureCode } from './exit-codes.ts';

/** A connection to the running server's control socket. */
export interface ControlClient {
  /** Asks and resolves to the result. @throws CommandError with the server's reason, or where the connection broke */
  ask(command: string, input: unknown): Promise<unknown>;
  close(): void;
}

/** Connects; undefined where no server listens. @throws CommandError where the socket may not be opened */
export async function connectToServer(path: string): Promise<ControlClient | undefined> {
  const socket = await new Promise<Socket | undefined>((resolve, reject) => {
    const attempt = connect(path);
    attempt.once('connect', () => resolve(attempt));
    attempt.once('error', (error: NodeJS.ErrnoException) => {
      // No such file, nobody listens, or a path too long to ever have been listened on.
      if (['ENOENT', 'ECONNREFUSED', 'ENOTDIR', 'EINVAL', 'ENOTSOCK'].includes(error.code ?? '')) resolve(undefined);
      else if (error.code === 'EACCES') {
        const message = `${path} belongs to another user: run this command as the user the server runs as`;
        reject(new CommandError('failed', message, { cause: error }));
      } else
        reject(new CommandError('failed', `cannot reach the server at ${path}: ${error.message}`, { cause: error }));
    });
  });
  return socket === undefined ? undefined : new SocketClient(socket);
}

class SocketClient implements ControlClient {
  readonly #socket: Socket;
  readonly #cutter = new LineCutter(MAX_REPLY_BYTES);
  /** Those who wait for a reply, in the order of their requests. */
  readonly #waiting: { resolve: (line: string) => void; reject: (error: CommandError) => void }[] = [];
  #isClosed = false;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk) => {
      try {
        for (const line of this.#cutter.push(chunk)) this.#waiting.shift()?.resolve(line);
      } catch {
        socket.destroy();
      }
    });
    socket.on('error', () => undefined); // 'close' follows
    socket.on('close', () => {
      this.#isClosed = true;
      for (const { reject } of this.#waiting.splice(0)) reject(broken());
    });
  }

  async ask(command: string, input: unknown): Promise<unknown> {
    const line = await new Promise<string>((resolve, reject) => {
      if (this.#isClosed) {
        reject(broken());
        return;
      }
      this.#waiting.push({ resolve, reject });
      this.#socket.write(`${JSON.stringify({ command, arguments: input })}\n`);
    });
    const reply = replySchema.parse(JSON.parse(line));
    if (!('error' in reply)) return reply.result;
    const { code, message } = reply.error;
    throw new CommandError(isFailureCode(code) ? code : 'failed', message);
  }

  close(): void {
    this.#socket.end();
  }
}

function broken(): CommandError {
  return new CommandError('failed', 'the server closed the connection before it answered; see its log');
}
