import { expect } from 'chai';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { temporaryDirectory } from '../../storage/temporary-directory.ts';
import { PosthornCommand, type PosthornServer } from '../../support/posthorn-command.ts';
import { TestClient } from '../../support/test-client.ts';

describe('the command line', function () {
  this.timeout(180_000); // each command is a process of its own, and the machine may be busy

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

  const withPassword = (command: string, jid: string, password: string) =>
    posthorn.run(['user', command, jid, '--password-stdin'], `${password}\n`);

  describe('while the server is up', () => {
    beforeEach(async () => {
      await posthorn.start();
    });

    it('adds, shows, changes, disables, enables and removes an account', async () => {
      expect(await withPassword('add', 'juliet', 'pw')).to.include({
        status: 0,
        stdout: 'juliet@localhost: created\n',
      });
      const again = await withPassword('add', 'juliet@localhost', 'pw');
      expect(again.status).to.equal(1);
      expect(again.stderr).to.include('"user passwd" changes its password');
      expect((await withPassword('passwd', 'juliet', 'pw2')).status).to.equal(0);
      expect((await posthorn.run(['user', 'disable', 'juliet'])).stdout).to.equal('juliet@localhost: disabled\n');
      expect(await posthorn.json('user', 'show', 'juliet')).to.deep.include({
        jid: 'juliet@localhost',
        disabled: true,
        mechanisms: ['SCRAM-SHA-1', 'SCRAM-SHA-256', 'SCRAM-SHA-512'],
        sessions: [],
      });
      expect((await posthorn.run(['user', 'enable', 'juliet'])).status).to.equal(0);
      expect(await posthorn.json('user', 'list')).to.have.nested.property('accounts[0].disabled', false);
      expect((await posthorn.run(['user', 'remove', 'juliet'])).stdout).to.equal('juliet@localhost: removed\n');
      const gone = await posthorn.run(['user', 'show', 'juliet', '--json']);
      expect(gone).to.include({ status: 4, stdout: '' });
      expect(JSON.parse(gone.stderr)).to.deep.equal({
        error: { code: 'not-found', message: 'there is no account juliet@localhost' },
      });
    });

    it('imports a list, reports the lines it refuses, and exports what imports again', async () => {
      const file = join(posthorn.directory, 'house.csv');
      const lines = [
        'jid,password',
        'juliet,pw',
        'not an address,pw',
        'romeo@montague.example,pw',
        'nurse,',
        'juliet,pw',
      ];
      await writeFile(file, `${lines.join('\r\n')}\r\n`);
      const tried = await posthorn.run(['user', 'import', file, '--dry-run', '--json']);
      expect(tried.status).to.equal(5);
      expect(JSON.parse(tried.stdout)).to.include({ created: 1, dryRun: true });
      const done = await posthorn.run(['user', 'import', file, '--json']);
      expect(done.status).to.equal(5);
      const report = JSON.parse(done.stdout) as { created: number; refused: { line: number }[] };
      expect(report.created).to.equal(1);
      expect(report.refused.map(({ line }) => line)).to.deep.equal([3, 4, 5, 6]);
      expect(`${done.stdout}${done.stderr}`).not.to.include('pw');

      const exported = await posthorn.run(['user', 'export']);
      expect(exported.stdout).to.match(
        /^jid,disabled,created_at,keys\r\njuliet@localhost,false,[^,]+,\S+ \S+ \S+\r\n$/,
      );
      await writeFile(file, exported.stdout);
      await posthorn.run(['user', 'remove', 'juliet']);
      expect((await posthorn.run(['user', 'import', file])).stdout).to.equal('1 created, 0 refused\n');
      const [account] = (await posthorn.json('user', 'export')) as Record<string, unknown>[];
      expect(account).to.include({ jid: 'juliet@localhost', disabled: false });
    });
  });

  it('works on the store itself while the server is down', async () => {
    expect(await withPassword('add', 'juliet', 'pw')).to.include({ status: 0, stdout: 'juliet@localhost: created\n' });
    expect((await posthorn.run(['user', 'disable', 'juliet'])).stdout).to.equal('juliet@localhost: disabled\n');
    const exported = await posthorn.run(['user', 'export']);
    expect(exported.stdout).to.match(/\r\njuliet@localhost,true,/);
    expect((await posthorn.run(['user', 'remove', 'juliet'])).stdout).to.equal('juliet@localhost: removed\n');
    const imported = await posthorn.run(['user', 'import', '-'], `${exported.stdout}a,b,c,d,e\r\n`);
    expect(imported).to.include({ status: 5 });
    expect(imported.stdout).to.match(/^line 3: .*\n1 created, 1 refused\n$/);
  });

  describe('with clients logged in', () => {
    let server: PosthornServer;
    let juliet: TestClient;

    beforeEach(async () => {
      await withPassword('add', 'juliet', 'pw');
      server = await posthorn.start();
      juliet = await TestClient.login(server.port('c2s'), 'juliet', 'pw', 'balcony');
      juliet.send('<presence/>');
      await juliet.until(/<presence[^>]*>/);
    });

    afterEach(() => juliet.destroy());

    it('lists them, writes to them and ends them', async () => {
      expect(await posthorn.json('session', 'list')).to.have.nested.property(
        'sessions[0].jid',
        'juliet@localhost/balcony',
      );
      expect((await posthorn.run(['send', 'juliet', 'The more I have'])).stdout).to.equal('sent to juliet@localhost\n');
      expect(await juliet.until(/<\/message>/))
        .to.include('The more I have')
        .and.include(`from='localhost'`);
      expect((await posthorn.run(['send', 'nobody', 'hist'])).status).to.equal(4);
      const kicked = await posthorn.run(['session', 'kick', 'juliet', '--reason', 'The lark']);
      expect(kicked.stdout).to.equal('1 session ended\n');
      expect(await juliet.until(/<\/stream:error>/))
        .to.include('policy-violation')
        .and.include('The lark');
      await juliet.closed();
      expect((await posthorn.run(['session', 'kick', 'juliet'])).status).to.equal(4);
    });

    it('ends the sessions of an account that is disabled, and lets it in no more', async () => {
      expect((await posthorn.run(['user', 'disable', 'juliet'])).status).to.equal(0);
      expect(await juliet.until(/<\/stream:error>/)).to.include('not-authorized');
      await juliet.closed();
      const refused = await TestClient.login(server.port('c2s'), 'juliet', 'pw', 'balcony').catch(
        (error: unknown) => error,
      );
      expect(refused).to.be.an('error');
      expect((await posthorn.run(['doctor', '--json'])).status).to.be.oneOf([0, 6]);
    });
  });

  it('says that a message was refused, and why', async () => {
    const narrow = new PosthornCommand(posthorn.directory, { POSTHORN_OFFLINE_MAX_MESSAGES: '1' });
    await withPassword('add', 'juliet', 'pw');
    await narrow.start();
    try {
      expect((await narrow.run(['send', 'juliet', 'The more I give to thee'])).status).to.equal(0);
      const { status, stdout, stderr } = await narrow.run(['send', 'juliet', 'The more I have']);
      expect([status, stdout]).to.deep.equal([1, '']);
      expect(stderr).to.include('the message was refused: service-unavailable: The recipient has no room');
    } finally {
      await narrow.end();
    }
  });

  it('exits with 3 for what only a running server can do, and with 2 for what it does not understand', async () => {
    for (const words of [['status'], ['send', 'juliet', 'hist']]) {
      const { status, stderr } = await posthorn.run(words);
      expect(status, words.join(' ')).to.equal(3);
      expect(stderr).to.include('the server is not running');
    }
    expect((await posthorn.run(['user', 'sing'])).status).to.equal(2);
    expect((await posthorn.run(['user', 'show', 'juliet@elsewhere.example'])).status).to.equal(2);
  });

  it('prints the reference, checks the configuration, and examines a machine on which nothing has run', async () => {
    const reference = await posthorn.run(['config', 'reference']);
    const file = join(posthorn.directory, 'reference.toml');
    await writeFile(file, reference.stdout);
    expect(await posthorn.json('config', 'check', '--config', file)).to.deep.equal({ file, mistakes: [] });
    const examined = await posthorn.run(['doctor']);
    expect(examined.stdout)
      .to.match(/^ok {6}server: is not running/)
      .and.include('ports: c2s.port: ');
    expect(await readFile(file, 'utf8')).to.equal(reference.stdout);
  });
});
