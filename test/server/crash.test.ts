import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import { deriveCredentials } from '../../server/sasl/scram-keys.ts';
import { openStorage } from '../../storage/storage.ts';
import { freePort } from '../support/free-ports.ts';
import { TestClient } from '../support/test-client.ts';

const MAIN = new URL('../../server/main.ts', import.meta.url).pathname;
const MESSAGES = 1000;

describe('kill -9', () => {
  let directory: string;
  let port: number;
  let child: ChildProcess;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'posthorn-crash-'));
    port = await freePort();
    const storage = await openStorage({ backend: 'level', directory: join(directory, 'store'), durability: 'process' });
    const credentials = await deriveCredentials('pw', { iterations: 4096, random: (length) => randomBytes(length) });
    for (const jid of ['juliet@localhost', 'romeo@localhost']) {
      await storage.accounts.create(jid, { createdAt: 0, disabled: false, credentials });
    }
    await storage.close();
  });

  afterEach(async () => {
    child.kill('SIGKILL');
    await rm(directory, { recursive: true, force: true });
  });

  async function start(): Promise<void> {
    child = spawn(process.execPath, ['--import=tsx', MAIN, 'start'], {
      env: {
        ...process.env,
        POSTHORN_DATA_DIRECTORY: directory,
        POSTHORN_C2S_PORT: String(port),
        POSTHORN_C2S_ADDRESSES: '127.0.0.1',
        POSTHORN_C2S_TLS_PORT: 'false',
        POSTHORN_HTTP_PORT: 'false',
        POSTHORN_OPERATIONS_PORT: 'false',
        POSTHORN_STORAGE_DURABILITY: 'process',
        POSTHORN_OFFLINE_MAX_MESSAGES: '2000',
        POSTHORN_LOG_LEVEL: 'error',
      },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await new Promise<void>((resolve, reject) => {
      child.stdout!.on('data', (text: Buffer) => {
        if (text.includes('next:')) resolve();
      });
      child.once('exit', () => reject(new Error('the server did not start')));
    });
  }

  it('in the middle of 1000 messages to an absent user loses, doubles and disorders nothing acknowledged', async () => {
    await start();
    const juliet = await TestClient.login(port, 'juliet', 'pw', 'balcony');
    juliet.send(`<enable xmlns='urn:xmpp:sm:3'/>`);
    await juliet.until(/<enabled[^>]*>/);
    let acknowledged = 0;
    const acknowledgements = (async () => {
      for (;;) acknowledged = Number(/h='(\d+)'/.exec(await juliet.until(/<a [^>]*>/))![1]);
    })().catch(() => undefined);
    for (let n = 1; n <= MESSAGES; n++) {
      juliet.send(`<message to='romeo@localhost' type='chat'><body>${n}</body></message><r xmlns='urn:xmpp:sm:3'/>`);
      // In the middle: once a good part is acknowledged, while more is under way.
      if (n % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
      if (acknowledged > MESSAGES / 4) break;
    }
    while (acknowledged < MESSAGES / 4) await new Promise((resolve) => setImmediate(resolve));
    child.kill('SIGKILL');
    await acknowledgements;

    await start();
    const romeo = await TestClient.login(port, 'romeo', 'pw', 'orchard');
    romeo.send('<presence/>');
    await romeo.until(/<presence [^>]*from='romeo@localhost\/orchard'[^>]*>/);
    // What is live comes behind all that waited.
    const again = await TestClient.login(port, 'juliet', 'pw', 'balcony');
    again.send(`<message to='romeo@localhost' type='chat'><body>live</body></message>`);
    const bodies: string[] = [];
    const numbers: number[] = [];
    do {
      const message = await romeo.until(/<message.*?<\/message>/s);
      bodies.push(/<body>(\w+)<\/body>/.exec(message)?.[1] ?? '');
      numbers.push(Number(/ n='(\d+)'/.exec(message)?.[1]));
    } while (bodies.at(-1) !== 'live');
    const count = bodies.length - 1;
    expect(acknowledged).to.be.within(MESSAGES / 4, count);
    expect(bodies).to.deep.equal([...Array.from({ length: count }, (_, index) => String(index + 1)), 'live']);
    expect(numbers).to.deep.equal(Array.from({ length: count + 1 }, (_, index) => index + 1));
    again.destroy();
    romeo.destroy();
  });
});
