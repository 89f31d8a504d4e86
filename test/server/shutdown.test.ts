import { randomBytes } from 'node:crypto';
import { expect } from 'chai';

import { loadConfig } from '../../config/load.ts';
import { deriveCredentials } from '../../server/sasl/scram-keys.ts';
import { startServer, type RunningServer } from '../../server/server.ts';
import { MemoryStore } from '../../storage/backends/memory.ts';
import type { OrderedStore, Write } from '../../storage/ordered-store.ts';
import { storageOver } from '../../storage/storage.ts';
import { temporaryDirectory } from '../storage/temporary-directory.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { silentLog } from '../support/silent-log.ts';
import { TestClient } from '../support/test-client.ts';

const PASSWORD = 'wherefore-art-thou';

/** A store whose writes wait while it is held. */
class GatedStore extends MemoryStore implements OrderedStore {
  #gate: Promise<void> | undefined;
  #open = (): void => undefined;
  /** Resolves when a write has come to the gate. */
  arrived: Promise<void> = Promise.resolve();
  #arrive = (): void => undefined;

  hold(): void {
    this.#gate = new Promise((resolve) => (this.#open = resolve));
    this.arrived = new Promise((resolve) => (this.#arrive = resolve));
  }

  release(): void {
    this.#gate = undefined;
    this.#open();
  }

  override async write(writes: readonly Write[]): Promise<void> {
    this.#arrive();
    await this.#gate;
    await super.write(writes);
  }
}

describe('server/shutdown', () => {
  let store: GatedStore;
  let server: RunningServer;
  let juliet: TestClient;
  let clock: ManualClock;
  let removeDirectory: () => Promise<void>;

  beforeEach(async () => {
    const { path, remove } = await temporaryDirectory();
    removeDirectory = remove;
    store = new GatedStore();
    clock = new ManualClock();
    const config = loadConfig({
      environment: {
        POSTHORN_DATA_DIRECTORY: path,
        POSTHORN_C2S_PORT: '0',
        POSTHORN_C2S_TLS_PORT: 'false',
        POSTHORN_C2S_ADDRESSES: '127.0.0.1',
        POSTHORN_HTTP_PORT: 'false',
        POSTHORN_OPERATIONS_PORT: 'false',
      },
      workingDirectory: path,
    });
    const storage = storageOver(store);
    const random = (length: number): Uint8Array => randomBytes(length);
    const credentials = await deriveCredentials(PASSWORD, { iterations: 4096, random });
    for (const name of ['juliet', 'romeo']) {
      await storage.accounts.create(`${name}@localhost`, { createdAt: 0, disabled: false, credentials });
    }
    server = await startServer({ config, log: silentLog, storage, clock });
    juliet = await TestClient.login(server.listening[0]?.port ?? 0, 'juliet', PASSWORD, 'balcony');
    juliet.send(`<enable xmlns='urn:xmpp:sm:3'/>`);
    await juliet.until(/<enabled[^>]*>/);
  });

  afterEach(async () => {
    store.release();
    juliet.destroy();
    await stopped(server.stop());
    await removeDirectory();
  });

  /** Lets the manual clock tick while the server waits for its streams to go. */
  async function stopped(stopping: Promise<void>): Promise<void> {
    const ticking = { isOver: false };
    const over = stopping.finally(() => (ticking.isOver = true));
    while (!ticking.isOver) {
      await new Promise((resolve) => setImmediate(resolve));
      clock.advance(1);
    }
    await over;
  }

  const message = `<message to='romeo@localhost' type='chat'><body>It is my lady</body></message>`;

  it('acknowledges what was being committed before it says system-shutdown', async () => {
    store.hold();
    juliet.send(`${message}<r xmlns='urn:xmpp:sm:3'/>`);
    await store.arrived;
    const stopping = server.stop();
    await new Promise((resolve) => setImmediate(resolve));
    expect(juliet.received).to.equal('');
    store.release();
    const last = await juliet.until(/<system-shutdown[^>]*>/);
    expect(last).to.match(/^<a [^>]*h='1'\/>.*<stream:error><system-shutdown/);
    await stopped(stopping);
  });

  it('acknowledges unasked what was committed while nobody asked', async () => {
    store.hold();
    juliet.send(message);
    await store.arrived;
    const stopping = server.stop();
    store.release();
    expect(await juliet.until(/<system-shutdown[^>]*>/)).to.match(/^<a [^>]*h='1'\/><stream:error>/);
    await stopped(stopping);
  });

  it('acknowledges to a client that may resume, and leaves its stream without a close', async () => {
    const romeo = await TestClient.login(server.listening[0]?.port ?? 0, 'romeo', PASSWORD, 'orchard');
    romeo.send(`<enable xmlns='urn:xmpp:sm:3' resume='true'/>`);
    await romeo.until(/<enabled [^>]*resume='true'[^>]*>/);
    store.hold();
    romeo.send(`<message to='juliet@localhost' type='chat'><body>O speak again</body></message>`);
    await store.arrived;
    const stopping = server.stop();
    store.release();
    await stopped(stopping);
    await romeo.closed();
    expect(romeo.received).to.match(/^<a [^>]*h='1'\/>$/);
  });

  it('takes nothing that comes after it began to stop', async () => {
    store.hold();
    juliet.send(message);
    await store.arrived;
    const stopping = server.stop();
    juliet.send(`${message}${message}`);
    store.release();
    expect(await juliet.until(/<system-shutdown[^>]*>/)).to.match(/^<a [^>]*h='1'\/><stream:error>/);
    await stopped(stopping);
    expect(await storageOver(store).log.pendingUsage('romeo@localhost')).to.include({ count: 1 });
  });

  it('does not wait for a disk that answers no more, and acknowledges nothing then', async () => {
    store.hold();
    juliet.send(`${message}<r xmlns='urn:xmpp:sm:3'/>`);
    await store.arrived;
    const stopping = server.stop();
    await new Promise((resolve) => setImmediate(resolve));
    clock.advance(4999);
    await new Promise((resolve) => setImmediate(resolve));
    expect(juliet.received).not.to.include('system-shutdown');
    clock.advance(1);
    expect(await juliet.until(/<system-shutdown[^>]*>/)).to.match(/^(<a [^>]*h='0'\/>)+<stream:error>/);
    store.release();
    await stopped(stopping);
  });

  it('accepts nobody more', async () => {
    const port = server.listening[0]?.port ?? 0;
    await stopped(server.stop());
    const refused = await TestClient.connect(port).catch((error: unknown) => error);
    expect(refused).to.be.an('error').with.property('code', 'ECONNREFUSED');
  });
});
