import { expect } from 'chai';
import { MemoryStore } from '../../storage/backends/memory.ts';
import { textKey } from '../../storage/keys.ts';
import { migrate } from '../../storage/migrations.ts';
import { StoreError } from '../../storage/ordered-store.ts';
import type { Migration } from '../../storage/migrations.ts';

describe('migrations', () => {
  let store: MemoryStore;
  let ran: string[];

  beforeEach(() => {
    store = new MemoryStore();
    ran = [];
  });

  function step(name: string): Migration {
    return async () => {
      ran.push(name);
      await Promise.resolve();
    };
  }

  it('mark an empty store and have nothing to do in it', async () => {
    await migrate(store, [step('2 to 3')]);
    await migrate(store, [step('2 to 3')]);
    expect(ran).to.deep.equal([]);
  });

  it('run in order, each once, from the version they find', async () => {
    await migrate(store, []);
    await migrate(store, [step('2 to 3')]);
    await migrate(store, [step('2 to 3'), step('3 to 4'), step('4 to 5')]);
    await migrate(store, [step('2 to 3'), step('3 to 4'), step('4 to 5')]);
    expect(ran).to.deep.equal(['2 to 3', '3 to 4', '4 to 5']);
  });

  it('go on with the step that was interrupted', async () => {
    await migrate(store, []);
    const interrupted: Migration = () => Promise.reject(new StoreError('full', 'the disk is full'));
    const error = await migrate(store, [step('2 to 3'), interrupted]).catch((reason: unknown) => reason);
    expect(error).to.be.instanceOf(StoreError).with.property('code', 'full');
    await migrate(store, [step('2 to 3'), step('3 to 4')]);
    expect(ran).to.deep.equal(['2 to 3', '3 to 4']);
  });

  it('refuse what a newer Posthorn has written', async () => {
    await migrate(store, [step('2 to 3'), step('3 to 4')]);
    const error = await migrate(store, [step('2 to 3')]).catch((reason: unknown) => reason);
    expect(error).to.be.instanceOf(StoreError).with.property('code', 'failed');
    expect((error as StoreError).message)
      .to.include('layout 4')
      .and.to.include('up to 3');
  });

  it('refuse what was written before the first release, and say what to do', async () => {
    await migrate(store, []);
    const one = Buffer.of(1, 0, 0, 0, 0, 0, 0, 0, 1);
    await store.write([{ type: 'put', key: textKey('layout', ''), value: one }]);
    const error = await migrate(store, []).catch((reason: unknown) => reason);
    expect(error).to.be.instanceOf(StoreError).with.property('code', 'failed');
    expect((error as StoreError).message)
      .to.include('layout 1')
      .and.to.include('empty data directory');
  });

  it('refuse data without a version, and a version that cannot be', async () => {
    const key = textKey('accounts', 'juliet@capulet.example');
    await store.write([{ type: 'put', key, value: Buffer.of(1) }]);
    const error = await migrate(store).catch((reason: unknown) => reason);
    expect(error).to.be.instanceOf(StoreError).with.property('code', 'corrupt');
    const zero = Buffer.of(1, 0, 0, 0, 0, 0, 0, 0, 0);
    await store.write([{ type: 'put', key: textKey('layout', ''), value: zero }]);
    const impossible = await migrate(store).catch((reason: unknown) => reason);
    expect(impossible).to.be.instanceOf(StoreError).with.property('code', 'corrupt');
  });
});
