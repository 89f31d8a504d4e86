import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';

import { connectToServer, type ControlClient } from '../../server/admin/control-client.ts';
import { deriveCredentials } from '../../server/sasl/scram-keys.ts';
import { openStorage } from '../../storage/storage.ts';
import { TestClient } from '../support/test-client.ts';

const MAIN = new URL('../../server/main.ts', import.meta.url).pathname;
const PASSWORD = 'wherefore-art-thou';
const MIB = 1024 * 1024;
const HEADER = `<stream:stream to='localhost' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>`;
const STARTTLS = `<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>`;

/** What an attack may make the server send or keep at most; each attack would take far more, were it let. */
const ATTACK_BYTES = 256 * MIB;
/** How much more memory the server may have used at its worst than before the attacks. */
const GROWTH_BYTES = 256 * MIB;

describe('hostile clients', () => {
  let directory: string;
  let child: ChildProcess;
  let control: ControlClient;
  let port: number;
  let clients: TestClient[];
  let attackers: Set<Socket>;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'posthorn-hostile-'));
    clients = [];
    attackers = new Set();
    const storage = await openStorage({ backend: 'level', directory: join(directory, 'store'), durability: 'process' });
    const credentials = await deriveCredentials(PASSWORD, {
      iterations: 4096,
      random: (length) => randomBytes(length),
    });
    for (const name of ['juliet', 'romeo', 'tybalt', 'sampson']) {
      await storage.accounts.create(`${name}@localhost`, { createdAt: 0, disabled: false, credentials });
    }
    await storage.close();
    child = spawn(process.execPath, ['--import=tsx', MAIN, 'start'], {
      env: {
        ...process.env,
        POSTHORN_DATA_DIRECTORY: directory,
        POSTHORN_C2S_PORT: '0',
        POSTHORN_C2S_ADDRESSES: '127.0.0.1',
        POSTHORN_C2S_TLS_PORT: 'false',
        POSTHORN_C2S_ALLOW_PLAINTEXT_AUTHENTICATION: 'true',
        POSTHORN_C2S_AUTHENTICATION_TIMEOUT_SECONDS: '3',
        POSTHORN_C2S_TLS_TIMEOUT_SECONDS: '1',
        POSTHORN_C2S_CLOSE_TIMEOUT_SECONDS: '1',
        // The limits that are not on trial here, out of the way of the attacks.
        POSTHORN_C2S_BYTES_PER_SECOND: String(16 * MIB),
        POSTHORN_C2S_BURST_BYTES: String(16 * MIB),
        POSTHORN_C2S_MAX_CONNECTIONS_PER_ADDRESS: '20000',
        POSTHORN_C2S_CONNECTIONS_PER_MINUTE_PER_ADDRESS: '0',
        POSTHORN_LIMITS_MAX_QUEUE_BYTES: String(MIB),
        POSTHORN_HTTP_PORT: 'false',
        POSTHORN_OPERATIONS_PORT: 'false',
        POSTHORN_STORAGE_DURABILITY: 'process',
        POSTHORN_LOG_LEVEL: 'warn',
      },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await new Promise<void>((resolve, reject) => {
      child.stdout!.on('data', (text: Buffer) => {
        if (text.includes('next:')) resolve();
      });
      child.once('exit', () => reject(new Error('the server did not start')));
    });
    control = (await connectToServer(join(directory, 'control.sock')))!;
    const { listening } = await status();
    port = Number(
      listening
        .find((line) => line.startsWith('c2s '))
        ?.split(' ')
        .at(-1),
    );
  });

  afterEach(async () => {
    for (const client of clients) client.destroy();
    for (const socket of attackers) socket.destroy();
    control.close();
    child.kill('SIGKILL');
    await once(child, 'exit');
    await rm(directory, { recursive: true, force: true });
  });

  async function status(): Promise<{ listening: string[]; connections: number; sessions: number }> {
    return (await control.ask('status', {})) as { listening: string[]; connections: number; sessions: number };
  }

  /** The most memory the server ever had, where the system tells; else what it has. */
  async function peakBytes(): Promise<number> {
    const file = `/proc/${child.pid}/status`;
    const line = existsSync(file) ? /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(file, 'utf8'))?.[1] : undefined;
    if (line !== undefined) return Number(line) * 1024;
    return ((await control.ask('status', {})) as { residentBytes: number }).residentBytes;
  }

  async function login(username: string, resource: string): Promise<TestClient> {
    const client = await TestClient.connect(port);
    clients.push(client);
    await client.authenticate(username, PASSWORD);
    await client.bind(resource);
    return client;
  }

  async function dial(): Promise<Socket> {
    const socket = connect(port, '127.0.0.1');
    attackers.add(socket);
    socket.on('error', () => undefined).on('close', () => attackers.delete(socket));
    await once(socket, 'connect');
    return socket;
  }

  /** Writes a piece again and again until the server has closed the connection. Throws where it takes everything. */
  async function flood(write: (bytes: string) => boolean, socket: Socket, piece: string): Promise<void> {
    for (let sent = 0; sent < ATTACK_BYTES; sent += piece.length) {
      if (socket.destroyed) return;
      if (!write(piece)) await either(socket, 'drain');
    }
    throw new Error('the server took all of it');
  }

  /** Connects, begins with this and goes on with that, reading what comes, until the server closes. */
  async function attack(begin: string, piece: string): Promise<void> {
    const socket = await dial();
    socket.resume();
    socket.write(begin);
    await flood((bytes) => socket.write(bytes), socket, piece);
  }

  /** Logs in and sends on without ever reading, until the server closes. */
  async function neverRead(username: string, begin: string, piece: string): Promise<void> {
    const client = await login(username, 'mask');
    const { socket } = client;
    client.send(begin);
    socket.pause();
    await flood((bytes) => socket.write(bytes), socket, piece);
  }

  /** A byte now and then, as if there were more to come. */
  async function oneByteAtATime(): Promise<void> {
    const socket = await dial();
    socket.resume();
    for (let at = 0; !socket.destroyed; at++) {
      socket.write(HEADER[at % HEADER.length] ?? ' ');
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  /** Asks for TLS and then says nothing. */
  async function halfOpenTls(): Promise<void> {
    const socket = await dial();
    socket.resume();
    socket.write(HEADER + STARTTLS);
    await either(socket, 'close');
  }

  async function openAndDrop(count: number): Promise<void> {
    for (let done = 0; done < count; done += 100) {
      await Promise.all(
        Array.from({ length: 100 }, async (_, index) => {
          const socket = await dial();
          if (index % 2 === 0) socket.write(HEADER);
          if (index % 3 === 0) socket.resetAndDestroy();
          else socket.destroy();
        }),
      );
    }
  }

  it('get nowhere: two people talk on in order, memory is bounded, and nothing is left of the others', async function () {
    this.timeout(60_000);
    const [juliet, romeo] = [await login('juliet', 'balcony'), await login('romeo', 'orchard')];
    romeo.send('<presence/>');
    await romeo.until(/<presence [^>]*>/);
    let isOver = false;
    const said: number[] = [];
    const heard: number[] = [];
    const talk = async (): Promise<void> => {
      while (!isOver || heard.length < said.length) {
        while (!isOver && said.length - heard.length < 8) {
          said.push(said.length + 1);
          juliet.send(`<message to='romeo@localhost' type='chat'><body>${said.length}</body></message>`);
        }
        heard.push(Number(/<body>(\d+)<\/body>/.exec(await romeo.until(/<\/message>/))?.[1]));
      }
    };
    const talking = talk();
    while (heard.length < 100) await new Promise(setImmediate); // warm
    const before = await peakBytes();
    const heardBefore = heard.length;

    const times = (count: number, attackOnce: () => Promise<void>): Promise<void>[] =>
      Array.from({ length: count }, attackOnce);
    const kilobyte = 'x'.repeat(1024);
    const presences = '<presence/>'.repeat(10_000);
    await Promise.all([
      ...times(10, () => attack(`<stream:stream to='`, kilobyte.repeat(16))),
      ...times(10, () => attack(`${HEADER}<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>`, kilobyte.repeat(16))),
      ...times(10, () => attack(HEADER, '<a>'.repeat(10_000))),
      ...times(10, () => attack(HEADER, presences)), // a million
      ...times(10, () => attack(HEADER, `<compress xmlns='http://jabber.org/protocol/compress'/>`.repeat(100))),
      ...times(200, oneByteAtATime),
      ...times(100, halfOpenTls),
      neverRead('tybalt', `<enable xmlns='urn:xmpp:sm:3'/>`, `<r xmlns='urn:xmpp:sm:3'/>`.repeat(1000)),
      neverRead('sampson', '', `<iq id='p' type='get' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>`.repeat(100)),
      openAndDrop(10_000),
    ]);
    const growth = (await peakBytes()) - before;
    const heardMeanwhile = heard.length - heardBefore;
    isOver = true;
    await talking;

    expect(heard).to.deep.equal(said);
    expect(heardMeanwhile, 'messages heard during the attacks').to.be.greaterThan(100);
    expect(growth, 'growth of memory').to.be.lessThan(GROWTH_BYTES);
    while ((await status()).connections > 2) await new Promise((resolve) => setTimeout(resolve, 50));
    expect((await status()).sessions).to.equal(2);
  });
});

/** Resolves with the event or the end of the connection, whichever comes first; never rejects. */
function either(socket: Socket, event: 'drain' | 'close'): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      socket.removeListener(event, done).removeListener('close', done);
      resolve();
    };
    if (socket.destroyed) resolve();
    else socket.on(event, done).on('close', done);
  });
}
