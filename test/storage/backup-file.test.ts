import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { expect } from 'chai';
import { MemoryStore } from '../../storage/backends/memory.ts';
import { BackupError, restoreBackup, verifyBackup, writeBackup } from '../../storage/backup-file.ts';
import type { Entry } from '../../storage/ordered-store.ts';

describe('storage/backup-file', () => {
  let directory: string;
  let file: string;
  let store: MemoryStore;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'posthorn-backup-'));
    file = join(directory, 'posthorn.backup');
    store = new MemoryStore();
    await store.write(
      Array.from({ length: 3000 }, (_, index) => ({
        type: 'put' as const,
        key: Buffer.from(`key ${index}`),
        value: Buffer.alloc(index % 700, index),
      })),
    );
  });

  afterEach(() => rm(directory, { recursive: true, force: true }));

  const contentOf = async (one: MemoryStore): Promise<string[][]> => {
    const entries: Entry[] = [];
    for await (const page of one.snapshot()) entries.push(...page);
    return entries.map(([key, value]) => [Buffer.from(key).toString('hex'), Buffer.from(value).toString('hex')]);
  };

  it('gives back every entry, and counts what it wrote', async () => {
    const reports: number[] = [];
    const written = await writeBackup(store, file, ({ entries }) => reports.push(entries));
    expect(written.entries).to.equal(3000);
    expect(reports).to.deep.equal([1000, 2000, 3000]);
    expect(await verifyBackup(file)).to.deep.equal(written);
    const restored = new MemoryStore();
    expect(await restoreBackup(file, restored)).to.deep.equal(written);
    expect(await contentOf(restored)).to.deep.equal(await contentOf(store));
  });

  it('keeps an empty store', async () => {
    await writeBackup(new MemoryStore(), file);
    expect((await verifyBackup(file)).entries).to.equal(0);
  });

  it('is readable by its owner alone, and leaves nothing else behind', async () => {
    await writeBackup(store, file);
    expect((await stat(file)).mode & 0o777).to.equal(0o600);
    expect(await readdir(directory)).to.deep.equal(['posthorn.backup']);
  });

  it('never overwrites a file', async () => {
    await writeFile(file, 'letters');
    const error = await writeBackup(store, file).catch((reason: unknown) => reason);
    expect(error).to.have.property('code', 'EEXIST');
    expect(await readFile(file, 'utf8')).to.equal('letters');
  });

  it('leaves no file where the store fails in the middle', async () => {
    class Failing extends MemoryStore {
      override async *snapshot(): AsyncGenerator<readonly Entry[]> {
        yield [[Buffer.from('key'), Buffer.from('value')]];
        await Promise.reject(new Error('the disk is gone'));
      }
    }
    const error = await writeBackup(new Failing(), file).catch((reason: unknown) => reason);
    expect(String(error)).to.include('the disk is gone');
    expect(await readdir(directory)).to.deep.equal([]);
  });

  it('refuses a file that was cut anywhere', async () => {
    await writeBackup(store, file);
    const whole = await readFile(file);
    for (const length of [0, 1, 10, 100, whole.length >> 1, whole.length - 9, whole.length - 1]) {
      await writeFile(file, whole.subarray(0, length));
      await expectRefused(length);
    }
    const plain = gunzipSync(whole);
    for (const length of [1, 17, 18, 30, plain.length - 33, plain.length - 1]) {
      await writeFile(file, gzipSync(plain.subarray(0, length)));
      await expectRefused(length);
    }
  });

  it('refuses a file with a changed byte or one too many', async () => {
    await writeBackup(store, file);
    const plain = gunzipSync(await readFile(file));
    for (const at of [3, 20, 26, 1000, plain.length - 40, plain.length - 1]) {
      const changed = Buffer.from(plain);
      changed[at] = changed[at]! ^ 1;
      await writeFile(file, gzipSync(changed));
      await expectRefused(at);
    }
    await writeFile(file, gzipSync(Buffer.concat([plain, Buffer.of(0)])));
    await expectRefused(plain.length);
  });

  async function expectRefused(where: number): Promise<void> {
    const error = await verifyBackup(file).catch((reason: unknown) => reason);
    expect(error, String(where)).to.be.instanceOf(BackupError).with.property('message').that.includes(file);
  }
});
