import { stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { expect } from 'chai';
import { openLevelStore } from '../../../storage/backends/level.ts';
import { StoreError } from '../../../storage/ordered-store.ts';
import type { Entry, OrderedStore, Write } from '../../../storage/ordered-store.ts';
import { orderedStoreSuite } from '../ordered-store.suite.ts';
import { temporaryDirectory } from '../temporary-directory.ts';
import { Faults } from './level-faults.ts';

for (const durability of ['process', 'sync'] as const) {
  orderedStoreSuite(`LevelDB (${durability})`, async () => {
    const directory = await temporaryDirectory();
    const store = await openLevelStore({ directory: join(directory.path, 'store'), durability });
    const dispose = async (): Promise<void> => {
      await store.close();
      await directory.remove();
    };
    return { store, dispose };
  });
}

describe('LevelDB', () => {
  let directory: { path: string; remove: () => Promise<void> };

  beforeEach(async () => {
    directory = await temporaryDirectory();
  });

  afterEach(() => directory.remove());

  it('makes its directory readable for its own user only', async () => {
    const path = join(directory.path, 'deep', 'store');
    const store = await openLevelStore({ directory: path, durability: 'process' });
    await store.close();
    expect((await stat(path)).mode & 0o777).to.equal(0o700);
    expect((await stat(join(directory.path, 'deep'))).mode & 0o777).to.equal(0o700);
  });

  it('keeps what was written when it is opened again', async () => {
    const first = await openLevelStore({ directory: directory.path, durability: 'process' });
    await first.write([put('a', '1')]);
    await first.close();
    const second = await openLevelStore({ directory: directory.path, durability: 'process' });
    expect(await read(second, 'a')).to.equal('1');
    await second.close();
  });

  it('says which directory somebody else holds', async () => {
    const holder = await openLevelStore({ directory: directory.path, durability: 'process' });
    const error = await openLevelStore({ directory: directory.path, durability: 'process' }).catch(
      (reason: unknown) => reason,
    );
    await holder.close();
    expect(error).to.be.instanceOf(StoreError).with.property('code', 'locked');
    expect((error as StoreError).message).to.include(directory.path);
  });

  it('says that it cannot have a directory where a file is', async () => {
    const path = join(directory.path, 'file');
    await writeFile(path, '');
    const error = await openLevelStore({ directory: path, durability: 'process' }).catch((reason: unknown) => reason);
    expect(error).to.be.instanceOf(StoreError).with.property('code', 'failed');
  });

  it('says that a database is damaged', async () => {
    const first = await openLevelStore({ directory: directory.path, durability: 'process' });
    await first.write([put('a', '1')]);
    await first.close();
    await writeFile(join(directory.path, 'CURRENT'), 'MANIFEST-999999');
    const error = await openLevelStore({ directory: directory.path, durability: 'process' }).catch(
      (reason: unknown) => reason,
    );
    expect(error).to.be.instanceOf(StoreError).with.property('code', 'corrupt');
  });

  describe('after a write that failed', () => {
    it('goes on reading, and opens the database anew for the next write', async () => {
      const faults = new Faults();
      const store = await faults.open(directory.path);
      await store.write([put('a', '1')]);
      faults.failNextWrite = 'IO error: 000003.log: No space left on device';
      const error = await store.write([put('a', '2')]).catch((reason: unknown) => reason);
      expect(error).to.be.instanceOf(StoreError).with.property('code', 'full');
      expect(await read(store, 'a')).to.equal('1');
      expect(faults.opened).to.equal(1);
      await store.write([put('b', '3')]);
      expect(faults.opened).to.equal(2);
      expect(await read(store, 'a')).to.equal('1');
      expect(await read(store, 'b')).to.equal('3');
      await store.close();
    });

    it('leaves the database open to readers until there is room', async () => {
      const faults = new Faults();
      const store = await faults.open(directory.path);
      await store.write([put('a', '1')]);
      faults.failNextWrite = 'IO error: 000003.log: No space left on device';
      await store.write([put('a', '2')]).catch((reason: unknown) => reason);
      for (const words of ['ENOSPC: no space left on device, write', 'EDQUOT: disk quota exceeded, write']) {
        faults.lackOfRoom = new Error(words);
        const error = await store.write([put('a', '3')]).catch((reason: unknown) => reason);
        expect(error).to.be.instanceOf(StoreError).with.property('code', 'full');
        expect(await read(store, 'a')).to.equal('1');
      }
      expect(faults.opened).to.equal(1);
      faults.lackOfRoom = undefined;
      await store.write([put('a', '4')]);
      expect(await read(store, 'a')).to.equal('4');
      await store.close();
    });

    it('undoes what the disk has kept of the batch it reported as failed', async () => {
      const faults = new Faults();
      const store = await faults.open(directory.path);
      await store.write([put('a', '1'), put('gone', '1'), put('x1', '1'), put('x2', '1')]);
      faults.failNextWrite = 'IO error: 000003.log: Input/output error';
      faults.keepsFailedWrite = true;
      const error = await store
        .write([
          put('a', '2'),
          put('new', '2'),
          { type: 'delete', key: text('gone') },
          { type: 'deleteRange', from: text('x'), to: text('y') },
        ])
        .catch((reason: unknown) => reason);
      expect(error).to.be.instanceOf(StoreError).with.property('code', 'failed');
      await store.write([put('next', '3')]);
      expect(faults.kept).to.equal(5);
      const values = await Promise.all(['a', 'new', 'gone', 'x1', 'x2', 'next'].map((key) => read(store, key)));
      expect(values).to.deep.equal(['1', undefined, '1', '1', '1', '3']);
      await store.close();
    });

    it('answers readers whom the reopening interrupts', async () => {
      const faults = new Faults();
      const store = await faults.open(directory.path);
      const keys = Array.from({ length: 40 }, (_, index) => `key ${index + 10}`);
      const value = new Uint8Array(100_000);
      await store.write(keys.map((key): Write => ({ type: 'put', key: text(key), value })));
      faults.failNextWrite = 'IO error: disk';
      await store.write([put('key 10', 'refused')]).catch((reason: unknown) => reason);
      // A page of so many bytes takes several steps; the database is closed while it is between two of them.
      const pages: Promise<readonly Entry[]>[] = [];
      faults.beforeClose = async () => {
        await turn();
        pages.push(store.page({ from: text('a'), to: text('z') }, 100));
        for (let count = 0; count < 200; count++) await turn();
      };
      pages.push(store.page({ from: text('a'), to: text('z') }, 100));
      await store.write([put('zenith', '2')]);
      expect(faults.opened).to.equal(2);
      expect(pages).to.have.lengthOf(2);
      for (const page of await Promise.all(pages)) {
        expect(page.map(([key, read]) => `${Buffer.from(key).toString()}: ${read.length}`)).to.deep.equal(
          keys.map((key) => `${key}: 100000`),
        );
      }
      faults.beforeClose = undefined;
      await store.close();
    });

    it('tries to open again when opening failed too', async () => {
      const faults = new Faults();
      const store = await faults.open(directory.path);
      await store.write([put('a', '1')]);
      faults.failNextWrite = 'IO error: disk';
      await store.write([put('a', '2')]).catch((reason: unknown) => reason);
      faults.failNextOpen = true;
      const refused = await store.write([put('a', '3')]).catch((reason: unknown) => reason);
      expect(refused).to.be.instanceOf(StoreError).with.property('code', 'failed');
      expect(await read(store, 'a')).to.equal('1');
      await store.write([put('a', '4')]);
      expect(await read(store, 'a')).to.equal('4');
      await store.close();
    });
  });
});

async function read(store: OrderedStore, key: string): Promise<string | undefined> {
  const [value] = await store.getMany([text(key)]);
  return value && new TextDecoder().decode(value);
}

function put(key: string, value: string): Write {
  return { type: 'put', key: text(key), value: text(value) };
}

function text(value: string): Uint8Array {
  return new TextEncoder().encode(value);
}
