import { expect } from 'chai';
import { statSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';

import { temporaryDirectory } from '../storage/temporary-directory.ts';
import { PosthornCommand } from '../support/posthorn-command.ts';
import { TestClient } from '../support/test-client.ts';

/** Throws where nothing catches, as often as it is signalled. */
const THROWS_ON_USR2 = `data:text/javascript,process.on('SIGUSR2',()=>setImmediate(()=>{throw new Error('alas')}))`;
const REJECTS_ON_USR2 = `data:text/javascript,process.on('SIGUSR2',()=>void Promise.reject(new Error('alas')))`;
const STORMS_ON_USR2 = `data:text/javascript,process.on('SIGUSR2',()=>{for(let n=0;n<60;n++)setImmediate(()=>{throw new Error('alas')})})`;
/** Tells the server to stop as soon as it hears of it, before it has said what comes next. */
const STOPS_AT_ONCE = `data:text/javascript,process.on('newListener',(event)=>{if(event==='SIGINT')process.emit('SIGTERM')})`;

describe('server/main', function () {
  this.timeout(120_000); // each command is a process of its own, and the machine may be busy

  let posthorn: PosthornCommand;
  let remove: () => Promise<void>;

  beforeEach(async () => {
    const { path, remove: removeDirectory } = await temporaryDirectory();
    remove = removeDirectory;
    posthorn = new PosthornCommand(path);
  });

  afterEach(async () => {
    await posthorn.end();
    await remove();
  });

  it('says where it listens, whom clients trust and what is next; the log is JSON on standard error', async () => {
    const server = await posthorn.start();
    expect(server.lines).to.deep.equal([
      `listening: c2s 127.0.0.1 ${server.port('c2s')}`,
      `clients trust: ${join(posthorn.directory, 'certificates', 'local_ca.pem')}`,
      'next: npx posthorn user add juliet@localhost',
    ]);
    await server.logged('"started"');
    for (const line of server.logLines) expect(JSON.parse(line)).to.include.keys('level', 'time', 'msg');
  });

  it('ends every stream with system-shutdown on SIGTERM, keeps what it has acknowledged, and exits with 0', async () => {
    const added = await posthorn.run(['user', 'add', 'juliet', '--password-stdin'], 'pw\n');
    expect(added).to.include({ status: 0, stdout: 'juliet@localhost: created\n' });
    await posthorn.run(['user', 'add', 'romeo', '--password-stdin'], 'pw\n');
    const server = await posthorn.start();
    expect(server.lines.at(-1)).to.equal('next: npx posthorn status'); // there are accounts
    const juliet = await TestClient.login(server.port('c2s'), 'juliet', 'pw', 'balcony');
    juliet.send(`<enable xmlns='urn:xmpp:sm:3'/><message to='romeo@localhost'><body>hist</body></message>`);
    juliet.send(`<r xmlns='urn:xmpp:sm:3'/>`);
    expect(await juliet.until(/<a [^>]*>/)).to.include(`h='1'`);
    server.signal('SIGTERM');
    await juliet.until(/<system-shutdown[^>]*>/);
    expect(await server.exited).to.equal(0);

    const again = await posthorn.start();
    const romeo = await TestClient.login(again.port('c2s'), 'romeo', 'pw', 'orchard');
    romeo.send('<presence/>');
    await romeo.until(/<body>hist<\/body>/);
    juliet.destroy();
    romeo.destroy();
  });

  it('ends in order when it is told to stop before it has said what is next', async () => {
    const server = posthorn.begin(['--import', STOPS_AT_ONCE]);
    expect(await server.exited).to.equal(0);
    expect(server.logLines.join('\n'))
      .to.include('"stopped"')
      .and.not.match(/"level":"(warn|error)"/);
  });

  it('reads certificates again on SIGHUP and goes on', async () => {
    const server = await posthorn.start();
    const pem = join(posthorn.directory, 'certificates', 'localhost.pem');
    writeFileSync(pem, 'no certificate');
    server.signal('SIGHUP');
    expect(await server.logged('was not replaced')).to.include('localhost.pem');
    (await TestClient.login(server.port('c2s'), 'nobody', 'pw', 'x').catch(() => undefined))?.destroy();
    expect(await posthorn.json('reload'))
      .to.have.property('lines')
      .that.has.length(1);
  });

  it('refuses a second server on the same data, and the first one notices nothing', async () => {
    const server = await posthorn.start();
    const second = await posthorn.run(['start']);
    expect(second.status).to.equal(1);
    expect(second.stdout).to.equal('');
    expect(second.stderr).to.match(/^a server is running already: it answers at .*control\.sock; "posthorn status" /);
    expect(await posthorn.json('status')).to.include({ connections: 0, faults: 0 });
    expect(server.logLines.join('\n')).not.to.include('error');
  });

  it('says what is wrong with the configuration, and exits with 2', async () => {
    const broken = new PosthornCommand(posthorn.directory, { POSTHORN_C2S_PORT: 'many' });
    const { status, stderr } = await broken.run(['start']);
    expect(status).to.equal(2);
    expect(stderr).to.match(/^POSTHORN_C2S_PORT: c2s\.port: found "many", must be a port/);
  });

  for (const [what, fault, logged] of [
    ['an error that nothing catches', THROWS_ON_USR2, 'uncaught exception'],
    ['a rejection that nothing handles', REJECTS_ON_USR2, 'unhandled rejection'],
  ] as const) {
    it(`survives ${what}, logs and counts it, and nobody is disconnected`, async () => {
      const server = await posthorn.start(['--import', fault]);
      const client = await TestClient.connect(server.port('c2s'));
      server.signal('SIGUSR2');
      expect(JSON.parse(await server.logged(logged))).to.include({ level: 'error' });
      client.open();
      await client.until(/<\/stream:features>/);
      expect(await posthorn.json('status')).to.include({ faults: 1, connections: 1 });
      client.destroy();
    });
  }

  it('ends in order, with 1, where defects do not end', async () => {
    const server = await posthorn.start(['--import', STORMS_ON_USR2]);
    const client = await TestClient.connect(server.port('c2s'));
    client.open();
    await client.until(/<\/stream:features>/);
    server.signal('SIGUSR2');
    await client.until(/<system-shutdown[^>]*>/);
    expect(await server.exited).to.equal(1);
    client.destroy();
  });

  it('keeps its control socket to itself, and takes anything that comes over it', async () => {
    const server = await posthorn.start();
    const path = join(posthorn.directory, 'control.sock');
    expect(statSync(path).mode & 0o777).to.equal(0o600);
    const ask = (...chunks: (string | Buffer)[]) =>
      new Promise<string>((resolve) => {
        const socket = connect(path);
        let answer = '';
        socket.on('data', (chunk) => (answer += chunk.toString())).on('error', () => undefined);
        socket.on('close', () => resolve(answer));
        for (const chunk of chunks) socket.write(chunk);
        socket.end();
      });
    expect(await ask('wherefore art thou\n')).to.include('"usage"');
    expect(await ask(Buffer.from([0xff, 0xfe, 0, 10]))).to.include('"usage"');
    expect(await ask('{"command":"user add","arguments":{"jid":"x"}}\n'))
      .to.include('"usage"')
      .and.not.include('"result"');
    expect(await ask('{"command":"__proto__","arguments":{}}\n')).to.include('no such command');
    expect(await ask('x'.repeat(1024 * 1024), 'x'.repeat(10))).to.include('a request is longer than 1048576 bytes');
    // One that never finishes its request keeps nobody else waiting.
    const slow = connect(path);
    slow.on('error', () => undefined).write('{"command":"sta');
    expect(await posthorn.json('status')).to.include({ faults: 0 });
    slow.destroy();
    expect((await posthorn.run(['stop'])).stdout).to.equal('stopped\n');
    expect(await server.exited).to.equal(0);
    expect((await posthorn.run(['status'])).status).to.equal(3);
  });
});
