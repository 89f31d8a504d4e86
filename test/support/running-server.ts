import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '../../config/load.ts';
import type { Clock } from '../../server/clock.ts';
import { deriveCredentials } from '../../server/sasl/scram-keys.ts';
import { startServer, type RunningServer } from '../../server/server.ts';
import type { AccountRecord } from '../../storage/accounts.ts';
import { MemoryStore } from '../../storage/backends/memory.ts';
import type { OrderedStore } from '../../storage/ordered-store.ts';
import { storageOver } from '../../storage/storage.ts';
import { silentLog } from './silent-log.ts';
import { TestClient } from './test-client.ts';

export const PASSWORD = 'wherefore-art-thou';
const credentials = deriveCredentials(PASSWORD, { iterations: 4096, random: (length) => randomBytes(length) });

export interface ServerForTests {
  readonly server: RunningServer;
  /** Connects, logs in without TLS and is ready to bind. */
  authenticated(username: string): Promise<TestClient>;
  /** The same with a resource bound. */
  login(username: string, resource: string): Promise<TestClient>;
  /** Cuts every client and stops the server. */
  stop(): Promise<void>;
}

export interface ServerForTestsOptions {
  readonly store?: OrderedStore;
  readonly clock?: Clock;
  /** Options as environment variables, over those for tests. */
  readonly environment?: Readonly<Record<string, string>>;
}

/** A server of localhost over a store in memory, with a plain listener on loopback, and accounts for Juliet and Romeo. */
export async function serverForTests({
  store,
  clock,
  environment,
}: ServerForTestsOptions = {}): Promise<ServerForTests> {
  const storage = storageOver(store ?? new MemoryStore());
  const directory = await mkdtemp(join(tmpdir(), 'posthorn-test-'));
  const config = loadConfig({
    environment: {
      POSTHORN_DATA_DIRECTORY: directory,
      POSTHORN_C2S_PORT: '0',
      POSTHORN_C2S_TLS_PORT: 'false',
      POSTHORN_C2S_ADDRESSES: '127.0.0.1',
      POSTHORN_C2S_ALLOW_PLAINTEXT_AUTHENTICATION: 'true',
      POSTHORN_HTTP_PORT: 'false',
      POSTHORN_OPERATIONS_PORT: 'false',
      POSTHORN_SASL_SCRAM_ITERATIONS: '4096',
      ...environment,
    },
    workingDirectory: directory,
  });
  for (const name of ['juliet', 'romeo']) {
    const jid = `${name}@localhost`;
    const record: AccountRecord = { createdAt: 0, disabled: false, credentials: await credentials };
    if ((await storage.accounts.get(jid)) === undefined) await storage.accounts.create(jid, record);
  }
  const server = await startServer({ config, log: silentLog, storage, ...(clock !== undefined && { clock }) });
  const { port } = server.listening.find(({ name }) => name === 'c2s')!;
  const clients: TestClient[] = [];
  const authenticated = async (username: string): Promise<TestClient> => {
    const client = await TestClient.connect(port);
    clients.push(client);
    await client.authenticate(username, PASSWORD);
    return client;
  };
  return {
    server,
    authenticated,
    login: async (username, resource) => {
      const client = await authenticated(username);
      await client.bind(resource);
      return client;
    },
    stop: async () => {
      for (const client of clients) client.destroy();
      while (server.operations.status().connections > 0) await new Promise((resolve) => setImmediate(resolve));
      await server.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}
