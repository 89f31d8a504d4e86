import { join } from 'node:path';
import { expect } from 'chai';
import { openLevelStore } from '../../storage/backends/level.ts';
import { MemoryStore } from '../../storage/backends/memory.ts';
import { StoreError } from '../../storage/ordered-store.ts';
import { openStorage } from '../../storage/storage.ts';
import { temporaryDirectory } from './temporary-directory.ts';
import { typedStoresSuite } from './typed-stores.suite.ts';

typedStoresSuite('memory', () => {
  const store = new MemoryStore();
  return Promise.resolve({ store, dispose: () => store.close() });
});

typedStoresSuite('LevelDB', async () => {
  const directory = await temporaryDirectory();
  const store = await openLevelStore({ directory: directory.path, durability: 'process' });
  const dispose = async (): Promise<void> => {
    await store.close();
    await directory.remove();
  };
  return { store, dispose };
});

describe('the storage', () => {
  const record = { createdAt: 1, disabled: false, credentials: {} };

  it('commits what waits when it is closed, and finds it when it is opened again', async () => {
    const directory = await temporaryDirectory();
    const options = { backend: 'level', directory: join(directory.path, 'store'), durability: 'sync' } as const;
    const first = await openStorage(options);
    const created = first.accounts.create('juliet@capulet.example', record);
    const waiting = first.commit.write(first.sequences.putWrites('balcony@rooms.example', 5));
    await created;
    await first.close();
    await waiting;
    const second = await openStorage(options);
    expect(await second.accounts.get('juliet@capulet.example')).to.deep.equal(record);
    expect(await second.sequences.load('balcony@rooms.example')).to.equal(5);
    await second.close();
    await directory.remove();
  });

  it('forgets everything in memory', async () => {
    const options = { backend: 'memory', directory: '/nonexistent', durability: 'sync' } as const;
    const first = await openStorage(options);
    await first.accounts.create('juliet@capulet.example', record);
    await first.close();
    const error = await first.accounts.get('juliet@capulet.example').catch((reason: unknown) => reason);
    expect(error).to.be.instanceOf(StoreError).with.property('code', 'closed');
    const second = await openStorage(options);
    expect(await second.accounts.get('juliet@capulet.example')).to.equal(undefined);
    await second.close();
  });

  it('leaves alone, and lets go of, a database that is not of Posthorn', async () => {
    const directory = await temporaryDirectory();
    const foreign = await openLevelStore({ directory: directory.path, durability: 'process' });
    await foreign.write([{ type: 'put', key: Buffer.from('a key'), value: Buffer.from('of somebody else') }]);
    await foreign.close();
    const options = { backend: 'level', directory: directory.path, durability: 'process' } as const;
    for (let attempt = 0; attempt < 2; attempt++) {
      const error = await openStorage(options).catch((reason: unknown) => reason);
      expect(error).to.be.instanceOf(StoreError).with.property('code', 'corrupt');
    }
    await directory.remove();
  });
});
