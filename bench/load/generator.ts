/*
 * The load generator: a process of its own, pinned to its own core, that plays all clients. It is told what to do over its
 * IPC channel (load-generator.ts holds the other end).
 */
import { createSecureContext } from 'node:tls';
import { exchange, readLastPages } from './archive-load.ts';
import { ChatLoad } from './chat-load.ts';
import { ClientConnection, type Shared } from './client-connection.ts';
import { inTurns, logInAndOut } from './login-load.ts';
import { flushMessages, storeMessages } from './offline-load.ts';
import type { LoadCommand, LoadCommands, LoadRequest, LoadResponse } from './protocol.ts';
import { befriend, comeAndGo } from './roster-load.ts';
import { ScramKeyCache } from './scram-login.ts';
import { sendOnTime } from './timed-load.ts';

const READ_BUFFER_BYTES = 256 * 1024;

type Handlers = {
  readonly [Name in LoadCommand]: (
    parameters: LoadCommands[Name]['parameters'],
  ) => LoadCommands[Name]['result'] | Promise<LoadCommands[Name]['result']>;
};

function createHandlers(): Handlers {
  const shared: Shared = {
    readBuffer: Buffer.alloc(READ_BUFFER_BYTES),
    secureContext: createSecureContext({ minVersion: 'TLSv1.2' }),
    keys: new ScramKeyCache(),
  };
  let connections: ClientConnection[] = [];
  let chat: ChatLoad | undefined;
  const running = (): ChatLoad => {
    if (chat === undefined) throw new Error('no chat was started');
    return chat;
  };
  const reset = (): void => {
    for (const connection of connections) connection.reset();
    connections = [];
  };
  return {
    open: async ({ endpoint, from, count, atOnce, arrives }) => {
      const opened = new Array<ClientConnection>(count);
      const seconds = await timed(() =>
        inTurns(count, atOnce, async (index) => {
          opened[index] = await ClientConnection.open(from + index, endpoint, shared, { arrives });
        }),
      );
      connections.push(...opened);
      return { seconds, tlsVersion: opened[0]?.tlsVersion ?? null };
    },
    reset: () => {
      reset();
      return {};
    },
    startChat: ({ pairs, window }) => {
      chat = new ChatLoad(connections, pairs, window);
      chat.start();
      return {};
    },
    readChat: () => {
      running().assertSound();
      return { delivered: running().delivered, atMs: performance.now(), processorUs: processorUs() };
    },
    endChat: async () => {
      await running().end();
      return { delivered: running().delivered };
    },
    sendOnTime: (options) => sendOnTime(connections, options),
    logIn: async (options) => {
      const before = processorUs();
      const { seconds, resumed } = await logInAndOut(options, shared);
      return { seconds, resumed, processorUs: processorUs() - before };
    },
    storm: async ({ endpoint }) => {
      const users = connections.map(({ user }) => user);
      const seconds = await timed(async () => {
        reset();
        connections = await Promise.all(
          users.map((user) => ClientConnection.open(user, endpoint, shared, { arrives: true })),
        );
      });
      return { seconds };
    },
    storeOffline: async (away) => ({ seconds: await timed(() => storeMessages(connections[0]!, away)) }),
    flushOffline: async ({ endpoint, atOnce, ...away }) => ({
      seconds: await timed(async () => {
        connections.push(...(await flushMessages(away, atOnce, endpoint, shared)));
      }),
    }),
    befriend: async ({ endpoint, user, from, count }) => {
      await befriend({ endpoint, user }, connections.slice(from, from + count), shared);
      return {};
    },
    comeAndGo: (options) => comeAndGo(options, shared),
    exchange: (options) => exchange(connections, options),
    readLastPages: (options) => readLastPages(connections[1]!, options),
  };
}

async function timed(task: () => Promise<void>): Promise<number> {
  const start = performance.now();
  await task();
  return (performance.now() - start) / 1000;
}

function processorUs(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

async function answer<Name extends LoadCommand>(handlers: Handlers, request: LoadRequest<Name>): Promise<LoadResponse> {
  const { id, name, parameters } = request;
  try {
    return { id, result: await handlers[name](parameters) };
  } catch (error) {
    return { id, error: error instanceof Error ? error.message : String(error) };
  }
}

const handlers = createHandlers();
process.on('message', (request: LoadRequest) => {
  void answer(handlers, request).then((response) => process.send?.(response));
});
process.on('disconnect', () => process.exit(0));
