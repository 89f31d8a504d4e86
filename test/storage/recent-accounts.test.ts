import { expect } from 'chai';
import type { Accounts } from '../../storage/accounts.ts';
import { MemoryStore } from '../../storage/backends/memory.ts';
import { StoreError, type Key, type Write } from '../../storage/ordered-store.ts';
import { storageOver, type Storage } from '../../storage/storage.ts';

const JULIET = 'juliet@capulet.example';
const ROMEO = 'romeo@montague.example';

/** Counts what is read, delays it where the test says so, and refuses batches. */
class WatchedStore extends MemoryStore {
  reads = 0;
  /** What was read is handed out when this has settled. */
  gate: Promise<void> = Promise.resolve();
  isRefusing = false;

  override async getMany(keys: readonly Key[]): Promise<readonly (Uint8Array | undefined)[]> {
    this.reads++;
    const { gate } = this;
    const values = await super.getMany(keys);
    await gate;
    return values;
  }

  override write(batch: readonly Write[]): Promise<void> {
    return this.isRefusing ? Promise.reject(new StoreError('failed', 'the disk is gone')) : super.write(batch);
  }
}

describe('accounts that were read lately', () => {
  let store: WatchedStore;
  let accounts: Accounts;
  let storage: Storage;
  const record = { createdAt: 1, disabled: false, credentials: {} };
  const readsOf = async (task: () => Promise<unknown>): Promise<number> => {
    const before = store.reads;
    await task();
    return store.reads - before;
  };

  beforeEach(async () => {
    store = new WatchedStore();
    storage = storageOver(store);
    ({ accounts } = storage);
    await accounts.create(JULIET, record);
  });

  it('are read once, whether there is such an account or not', async () => {
    for (const jid of [JULIET, ROMEO]) {
      expect(await readsOf(() => accounts.get(jid)), jid).to.equal(1);
      expect(await readsOf(() => accounts.get(jid)), jid).to.equal(0);
    }
    expect(await accounts.get(JULIET)).to.deep.equal(record);
    expect(await accounts.get(ROMEO)).to.equal(undefined);
  });

  it('are read once, though thousands come in turn', async () => {
    const jids = Array.from({ length: 5000 }, (_, number) => `user-${number}@capulet.example`);
    await accounts.createMany(jids.slice(0, 4000).map((jid) => ({ jid, record })));
    const found = (): Promise<unknown[]> => Promise.all(jids.map((jid) => accounts.get(jid)));
    const first = await found();
    let again: unknown;
    expect(await readsOf(async () => (again = await found()))).to.equal(0);
    expect(again).to.deep.equal(first);
    expect(accounts.known(jids[0]!)).to.deep.equal({ record });
    expect(accounts.known(jids[4999]!)).to.deep.equal({ record: undefined });
  });

  it('are read again after every change', async () => {
    await accounts.get(JULIET);
    await accounts.get(ROMEO);
    await accounts.update(JULIET, (old) => ({ ...old, disabled: true }));
    expect((await accounts.get(JULIET))?.disabled).to.equal(true);
    await accounts.create(ROMEO, record);
    expect(await accounts.get(ROMEO)).to.deep.equal(record);
    await accounts.remove(JULIET);
    expect(await accounts.get(JULIET)).to.equal(undefined);
  });

  it('are not remembered from a read that was under way during a change', async () => {
    let open: (() => void) | undefined;
    store.gate = new Promise((resolve) => (open = resolve));
    const early = accounts.get(JULIET);
    store.gate = Promise.resolve();
    const changed = accounts.update(JULIET, (old) => ({ ...old, createdAt: 2 }));
    const meanwhile = accounts.get(JULIET);
    await Promise.all([changed, meanwhile]);
    open?.();
    await early;
    expect((await accounts.get(JULIET))?.createdAt).to.equal(2);
  });

  it('are not remembered while the store may take back what it holds', async () => {
    store.isRefusing = true;
    await accounts.update(JULIET, (old) => ({ ...old, createdAt: 2 })).catch(() => undefined);
    await accounts.get(JULIET);
    expect(await readsOf(() => accounts.get(JULIET))).to.equal(1);
    store.isRefusing = false;
    await storage.commit.write(storage.log.cursorWrites(ROMEO, 1)); // of whatever kind: the store writes again
    await accounts.get(JULIET);
    expect(await readsOf(() => accounts.get(JULIET))).to.equal(0);
  });

  it('are not remembered by names as long as strangers like', async () => {
    const name = `${'o'.repeat(500)}@capulet.example`;
    await accounts.get(name);
    expect(await readsOf(() => accounts.get(name))).to.equal(1);
  });
});
