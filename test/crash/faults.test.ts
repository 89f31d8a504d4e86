import { execFileSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { freePort } from '../support/free-ports.ts';
import { TestClient } from '../support/test-client.ts';
import { makeAccounts, PASSWORD, ServerProcess, type ServerProcessOptions } from './server-process.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const MAIN = join(ROOT, 'dist/server/main.js');
const SM = `xmlns='urn:xmpp:sm:3'`;
const MIB = 1024 * 1024;

describe('faults around a real server process', function () {
  this.timeout(120_000);
  let directory: string;
  let port: number;
  let server: ServerProcess;
  let clients: TestClient[];

  beforeEach(async () => {
    clients = [];
    directory = await mkdtemp(join(tmpdir(), 'posthorn-faults-'));
    port = await freePort();
  });

  afterEach(async () => {
    for (const client of clients) client.destroy();
    await server.end();
    await rm(directory, { recursive: true, force: true });
  });

  async function start(options: Partial<ServerProcessOptions> = {}): Promise<void> {
    server = new ServerProcess({ main: MAIN, directory, port, durability: 'sync', ...options });
    server.start();
    await server.listening();
  }

  async function login(name: string, resource: string): Promise<TestClient> {
    const client = await TestClient.connect(port);
    clients.push(client);
    await client.authenticate(name, PASSWORD);
    await client.bind(resource);
    client.send(`<enable ${SM} resume='true'/>`);
    await client.until(/<enabled[^>]*>/);
    return client;
  }

  /** Everything that waits for an account, as bodies and numbers, up to the answer to a ping behind it. */
  async function collect(name: string, count: number): Promise<{ bodies: string[]; numbers: number[] }> {
    const client = await login(name, 'collector');
    client.send('<presence/>');
    const bodies: string[] = [];
    const numbers: number[] = [];
    while (bodies.length < count) {
      const message = await client.until(/<message.*?<\/message>|<r [^>]*>/s);
      if (message.endsWith('</message>')) {
        bodies.push(/<body>([^<]*)<\/body>/.exec(message)?.[1] ?? '');
        numbers.push(Number(/<sequence [^>]* n='(\d+)'/.exec(message)?.[1]));
      } else client.send(`<a ${SM} h='${bodies.length + 1}'/>`);
    }
    return { bodies, numbers };
  }

  it('a full disk: what is refused is not delivered, what is acknowledged is, and room is enough to go on', async () => {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=80m', 'tmpfs', directory]);
    try {
      await makeAccounts(directory, ['juliet', 'romeo']);
      await start();
      const juliet = await login('juliet', 'balcony');
      const filler = join(directory, 'filler');
      await fill(directory, filler);
      const text = 'x'.repeat(40_000);
      let sent = 0;
      const refused = new Set<number>();
      const say = async (): Promise<void> => {
        const n = ++sent;
        juliet.send(
          `<message to='romeo@localhost' type='chat' id='m${n}'><body>${n} ${text}</body></message><r ${SM}/>`,
        );
        const answer = await juliet.until(new RegExp(`<a [^>]*h='${n}'/>`));
        const error = new RegExp(`<message[^>]*id='m${n}'[^>]*type='error'.*?</message>`, 's').exec(answer)?.[0];
        if (error === undefined) return;
        expect(error).to.include('<resource-constraint ').and.include(`type='wait'`);
        refused.add(n);
      };
      while (refused.size < 3 && sent < 2000) await say();
      expect(refused.size, 'the disk was full').to.equal(3);
      await rm(filler);
      const before = refused.size;
      for (let n = 0; n < 5; n++) await say();
      expect(refused.size, 'refused with room').to.equal(before);
      juliet.destroy();
      await server.kill();
      server.start();
      await server.listening();
      const expected = Array.from({ length: sent }, (_, index) => index + 1).filter((n) => !refused.has(n));
      const { bodies, numbers } = await collect('romeo', expected.length);
      expect(bodies.map((body) => Number(body.split(' ')[0]))).to.deep.equal(expected);
      expect(numbers).to.deep.equal(expected.map((_, index) => index + 1));
      await server.audit();
    } finally {
      for (const client of clients) client.destroy();
      await server.end();
      execFileSync('umount', [directory]);
    }
  });

  it('a reader that stops: memory stays bounded, others go on, and everything waits in order', async () => {
    await makeAccounts(directory, ['juliet', 'romeo', 'nurse']);
    await start({ durability: 'process', environment: { POSTHORN_OFFLINE_MAX_BYTES: String(512 * MIB) } });
    const romeo = await login('romeo', 'orchard');
    romeo.send('<presence/>');
    await romeo.until(/<presence [^>]*>/);
    romeo.pause();
    const juliet = await login('juliet', 'balcony');
    const before = await residentBytes(server.processId);
    const text = 'x'.repeat(20_000);
    const count = 3000; // 60 MB
    for (let n = 1; n <= count; n++) {
      juliet.send(`<message to='romeo@localhost' type='chat'><body>${n} ${text}</body></message>`);
      if (n % 50 !== 0) continue;
      juliet.send(`<r ${SM}/>`);
      await juliet.until(new RegExp(`<a [^>]*h='${n}'/>`));
    }
    const grown = (await residentBytes(server.processId)) - before;
    expect(grown / MIB, 'MiB more than before').to.be.lessThan(150);
    const nurse = await login('nurse', 'house');
    nurse.send(`<presence/>`);
    await nurse.until(/<presence [^>]*>/);
    juliet.send(`<message to='nurse@localhost' type='chat'><body>Nurse!</body></message>`);
    await nurse.until(/Nurse!/);
    romeo.destroy();
    const { bodies, numbers } = await collect('romeo', count);
    expect(bodies.map((body) => Number(body.split(' ')[0]))).to.deep.equal(numbers);
    expect(numbers).to.deep.equal(Array.from({ length: count }, (_, index) => index + 1));
    await server.audit();
  });

  it('a connection that is dead without a word: its session is there when the client comes back', async () => {
    await makeAccounts(directory, ['juliet', 'romeo']);
    await start({ environment: { POSTHORN_C2S_IDLE_SECONDS: '10', POSTHORN_C2S_PING_TIMEOUT_SECONDS: '1' } });
    const romeo = await TestClient.connect(port);
    clients.push(romeo);
    await romeo.authenticate('romeo', PASSWORD);
    await romeo.bind('orchard');
    romeo.send(`<enable ${SM} resume='true'/>`);
    const id = / id='([^']+)'/.exec(await romeo.until(/<enabled[^>]*>/))![1]!;
    romeo.send('<presence/>');
    await romeo.until(/<presence [^>]*>/);
    const juliet = await login('juliet', 'balcony');
    juliet.send(`<message to='romeo@localhost' type='chat'><body>Art thou there?</body></message><r ${SM}/>`);
    await juliet.until(/<a [^>]*>/);
    await romeo.closed(); // says nothing more, so the server gives the connection up
    const again = await TestClient.connect(port);
    clients.push(again);
    await again.authenticate('romeo', PASSWORD);
    again.open();
    await again.until(/<\/stream:features>/);
    again.send(`<resume ${SM} previd='${id}' h='1'/>`);
    await again.until(/<resumed /);
    await again.until(/Art thou there\?/);
    await server.audit();
  });

  it('a clock that is set back and forth: order and numbers go on', async () => {
    const time = join(directory, 'time');
    await writeFile(time, '@2026-01-02 12:00:00\n');
    await makeAccounts(directory, ['juliet', 'romeo']);
    await start({
      environment: {
        FAKETIME_TIMESTAMP_FILE: time,
        FAKETIME_NO_CACHE: '1',
        FAKETIME_DONT_FAKE_MONOTONIC: '1',
        LD_PRELOAD: faketimeLibrary(),
      },
    });
    const juliet = await login('juliet', 'balcony');
    const clocks = [
      '2026-01-02 12:00:00',
      '2026-01-02 11:00:00',
      '2025-12-31 00:00:00',
      '2026-01-03 00:00:00',
      '1999-12-31 23:59:59',
    ];
    let sent = 0;
    for (const clock of clocks) {
      await writeFile(time, `@${clock}\n`);
      for (let n = 0; n < 3; n++) {
        juliet.send(`<message to='romeo@localhost' type='chat'><body>${++sent}</body></message><r ${SM}/>`);
        await juliet.until(new RegExp(`<a [^>]*h='${sent}'/>`));
      }
    }
    const { bodies, numbers } = await collect('romeo', sent);
    expect(bodies.map(Number)).to.deep.equal(Array.from({ length: sent }, (_, index) => index + 1));
    expect(numbers).to.deep.equal(bodies.map(Number));
    await server.audit();
  });

  it('durability "sync": the system has confirmed the disk before the acknowledgement is sent', async () => {
    const trace = join(directory, 'trace');
    await makeAccounts(directory, ['juliet', 'romeo']);
    const calls = 'read,readv,write,writev,sendmsg,fsync,fdatasync';
    await start({ wrapper: ['strace', '-f', '-qq', '-s', '300', '-e', `trace=${calls}`, '-o', trace] });
    const juliet = await login('juliet', 'balcony');
    for (let n = 1; n <= 5; n++) {
      juliet.send(`<message to='romeo@localhost' type='chat'><body>marked-${n}</body></message><r ${SM}/>`);
      await juliet.until(new RegExp(`<a [^>]*h='${n}'/>`));
    }
    await server.kill();
    const lines = (await readFile(trace, 'utf8')).split('\n');
    for (let n = 1; n <= 5; n++) {
      const received = lines.findIndex(
        (line) => / read\(|readv\(|<\.\.\. read/.test(line) && line.includes(`marked-${n}<`),
      );
      const acknowledged = lines.findIndex((line) => /write|sendmsg/.test(line) && line.includes(`h='${n}'/>`));
      const between = lines.slice(received, acknowledged);
      expect(received, `message ${n} was read`).to.be.at.least(0);
      expect(acknowledged, `message ${n} was acknowledged`).to.be.greaterThan(received);
      expect(
        between.some((line) => line.includes(`marked-${n}<`) && / write\(/.test(line)),
        `${n} was written`,
      ).to.equal(true);
      const synced = between.some((line) => /(fsync|fdatasync)(\(\d+\)| resumed>\)) += 0/.test(line));
      expect(synced, `the disk had message ${n}`).to.equal(true);
    }
    await server.audit();
  });
});

/** Leaves about a megabyte. */
async function fill(directory: string, filler: string): Promise<void> {
  const line = execFileSync('df', ['--output=avail', '-B1', directory], { encoding: 'utf8' })
    .trim()
    .split('\n')
    .at(-1)!;
  await writeFile(filler, Buffer.alloc(Math.max(0, Number(line) - 2 * MIB), 1));
}

async function residentBytes(processId: number): Promise<number> {
  const status = await readFile(`/proc/${processId}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) * 1024;
}

/** Debian's package faketime. */
function faketimeLibrary(): string {
  return execFileSync('sh', ['-c', 'ls /usr/lib/*/faketime/libfaketimeMT.so.1'], { encoding: 'utf8' }).trim();
}
