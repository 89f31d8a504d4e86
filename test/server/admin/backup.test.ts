import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';

const MAIN = new URL('../../../server/main.ts', import.meta.url).pathname;
const TSX = `--import=${import.meta.resolve('tsx')}`;

interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly error: string;
}

describe('posthorn backup and restore', function () {
  this.timeout(60_000);
  let directory: string;
  let server: ChildProcess | undefined;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'posthorn-backup-'));
  });

  afterEach(async () => {
    if (server !== undefined && server.exitCode === null) {
      server.kill('SIGKILL');
      await once(server, 'exit');
    }
    server = undefined;
    await rm(directory, { recursive: true, force: true });
  });

  const environment = (data: string): NodeJS.ProcessEnv => ({
    ...process.env,
    NODE_OPTIONS: '', // of whoever runs the tests
    POSTHORN_DATA_DIRECTORY: join(directory, data),
    POSTHORN_C2S_PORT: 'false',
    POSTHORN_C2S_TLS_PORT: 'false',
    POSTHORN_HTTP_PORT: 'false',
    POSTHORN_OPERATIONS_PORT: 'false',
    POSTHORN_SASL_SCRAM_ITERATIONS: '4096',
  });

  function posthorn(data: string, ...words: string[]): Promise<Outcome> {
    return new Promise((resolve) => {
      const options = { env: environment(data), cwd: directory };
      execFile(process.execPath, [TSX, MAIN, ...words], options, (error, out, errors) => {
        resolve({ code: error === null ? 0 : Number(error.code), out, error: errors });
      }).stdin?.end('wherefore-art-thou\n');
    });
  }

  async function start(data: string): Promise<void> {
    const child = spawn(process.execPath, [TSX, MAIN, 'start'], { env: environment(data), cwd: directory });
    server = child;
    await new Promise<void>((resolve, reject) => {
      child.stdout.on('data', (text: Buffer) => {
        if (text.includes('next:')) resolve();
      });
      child.once('exit', () => reject(new Error('the server did not start')));
    });
  }

  it('makes a running server anew elsewhere', async () => {
    await start('first');
    for (const name of ['juliet', 'romeo']) {
      expect((await posthorn('first', 'user', 'add', `${name}@localhost`, '--password-stdin')).code).to.equal(0);
    }
    const backup = await posthorn('first', '--json', 'backup', 'verona.backup');
    expect(backup.error).to.equal('');
    const state = JSON.parse(backup.out) as Record<string, unknown>;
    expect(state).to.include({ state: 'done', file: join(directory, 'verona.backup') });
    expect((await stat(join(directory, 'verona.backup'))).mode & 0o777).to.equal(0o600);

    const again = await posthorn('first', 'backup', 'verona.backup');
    expect(again).to.include({ code: 1 });
    expect(again.error).to.include('exists already');

    const refused = await posthorn('first', 'restore', 'verona.backup');
    expect(refused.code).to.equal(1);
    expect(refused.error).to.include('the server is running');

    const restored = await posthorn('second', 'restore', 'verona.backup');
    expect(restored).to.include({ code: 0, error: '' });
    const users = await posthorn('second', 'user', 'list');
    expect(users.out).to.include('juliet@localhost').and.include('romeo@localhost');
  });

  it('puts aside what is there, and only when told to', async () => {
    for (const [data, name] of [
      ['first', 'juliet'],
      ['second', 'romeo'],
    ] as const) {
      expect((await posthorn(data, 'user', 'add', `${name}@localhost`, '--password-stdin')).code).to.equal(0);
    }
    expect((await posthorn('first', 'backup', 'verona.backup')).code).to.equal(0);
    const refused = await posthorn('second', 'restore', 'verona.backup');
    expect(refused.code).to.equal(1);
    expect(refused.error).to.include('--replace');
    const restored = await posthorn('second', '--json', 'restore', '--replace', 'verona.backup');
    expect(restored).to.include({ code: 0, error: '' });
    expect((await posthorn('second', 'user', 'list')).out)
      .to.include('juliet@')
      .and.not.include('romeo@');
    const { putAside } = JSON.parse(restored.out) as { putAside: string };
    await rm(join(directory, 'third'), { recursive: true, force: true });
    await cp(putAside, join(directory, 'third', 'store'), { recursive: true });
    expect((await posthorn('third', 'user', 'list')).out).to.include('romeo@');
  });

  it('leaves everything as it is where the file is no backup', async () => {
    expect((await posthorn('first', 'user', 'add', 'juliet@localhost', '--password-stdin')).code).to.equal(0);
    await writeFile(join(directory, 'letter'), 'Two households, both alike in dignity');
    const refused = await posthorn('first', 'restore', '--replace', 'letter');
    expect(refused.code).to.equal(1);
    expect(refused.error).to.include(join(directory, 'letter'));
    const missing = await posthorn('first', 'restore', '--replace', 'no-such-file');
    expect(missing.code).to.equal(4);
    expect(await readdir(join(directory, 'first'))).to.deep.equal(['store']);
    expect((await posthorn('first', 'user', 'list')).out).to.include('juliet@');
  });
});
