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
    await migrate(store, [step('1 to 2')]);
    await migrate(store, [step('1 to 2')]);
    expect(ran).to.deep.equal([]);
  });

  it('run in order, each once, from the version they find', async () => {
    await migrate(store, []);
    await migrate(store, [step('1 to 2')]);
    await migrate(store, [step('1 to 2'), step('2 to 3'), step('3 to 4')]);
    await migrate(store, [step('1 to 2'), step('2 to 3'), step('3 to 4')]);
    expect(ran).to.deep.equal(['1 to 2', '2 to 3', '3 to 4']);
  });

  it('go on with the step that was interrupted', async () => {
    await migrate(store, []);
    const interrupted: Migration = () => Promise.reject(new StoreError('full', 'the disk is full'));
    const error = await migrate(store, [step('1 to 2'), interrupted]).catch((reason: unknown) => reason);
    expect(error).to.be.instanceOf(StoreError).with.property('code', 'full');
    await migrate(store, [step('1 to 2'), step('2 to 3')]);
    expect(ran).to.deep.equal(['1 to 2', '2 to 3']);
  });

  it('refuse what a newer Posthorn has written', async () => {
    await migrate(store, [step('1 to 2'), step('2 to 3')]);
    const error = await migrate(store, [step('1 to 2')]).catch((reason: unknown) => reason);
    expect(error).to.be.instanceOf(StoreError).with.property('code', 'failed');
    expect((error as StoreError).message)
      .to.include('layout 3')
      .and.to.include('up to 2');
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
