import { expect } from 'chai';
import { Sequencer } from '../../../server/routing/sequencer.ts';
import { MemoryStore } from '../../../storage/backends/memory.ts';
import { omissionsOf } from '../../../storage/omissions.ts';
import { StoreError, type Key, type Write } from '../../../storage/ordered-store.ts';
import { storageOver, type Storage } from '../../../storage/storage.ts';

const CHAT = 'juliet@example.com romeo@example.net';
/** What a number is given to. */
const MESSAGE: readonly Write[] = [{ type: 'put', key: Buffer.from('message'), value: Buffer.from('body') }];

/** A store whose reads wait until they are let go, and whose writes fail when told to. */
class SlowReader extends MemoryStore {
  failsWriting = false;
  failsReading = false;
  readonly reads: (() => void)[] = [];

  override async getMany(keys: readonly Key[]): Promise<readonly (Uint8Array | undefined)[]> {
    const found = await super.getMany(keys);
    await new Promise<void>((resolve) => this.reads.push(resolve));
    if (this.failsReading) throw new StoreError('failed', 'the disk does not answer');
    return found;
  }

  override async write(batch: readonly Write[]): Promise<void> {
    if (this.failsWriting) throw new StoreError('full', 'the disk is full');
    await super.write(batch);
  }
}

describe('the sequencer', () => {
  let store: SlowReader;
  let storage: Storage;
  let sequencer: Sequencer;
  beforeEach(() => {
    store = new SlowReader();
    storage = storageOver(store);
    sequencer = new Sequencer(storage.sequences, storage.commit, 2);
  });

  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  /** Lets reads go, those as well that begin meanwhile, until the promise settles. */
  const reading = async <T>(done: Promise<T>): Promise<T> => {
    const progress = { isDone: false };
    const settled = done.finally(() => (progress.isDone = true));
    settled.catch(() => undefined);
    while (!progress.isDone) {
      for (const go of store.reads.splice(0)) go();
      await turn();
    }
    return settled;
  };
  /** The next number, with its message on the way to the disk. */
  const give = async (chat = CHAT): Promise<{ n: number; committed: Promise<void> }> => {
    for (;;) {
      const pending = sequencer.prepare(chat);
      if (pending === undefined) break;
      await reading(pending);
    }
    return { n: sequencer.next(chat), committed: storage.commit.write(MESSAGE) };
  };

  it('counts each chat from 1, and goes on where the store has it', async () => {
    expect([(await give()).n, (await give()).n, (await give('lobby@example.com')).n]).to.deep.equal([1, 2, 1]);
    await storage.commit.flush();
    sequencer = new Sequencer(storage.sequences, storage.commit);
    expect((await give()).n).to.equal(3);
  });

  it('gives the number of a refused batch to the next message', async () => {
    await (
      await give()
    ).committed;
    store.failsWriting = true;
    const refused = await give();
    const error = await refused.committed.catch((reason: unknown) => reason);
    expect(error).to.be.instanceOf(StoreError);
    store.failsWriting = false;
    expect([refused.n, (await give()).n]).to.deep.equal([2, 2]);
  });

  it('gives no number twice, though two waited for the chat and others were refused between', async () => {
    const one = sequencer.prepare(CHAT)!;
    await turn();
    await turn();
    const other = sequencer.prepare(CHAT)!;
    await turn();
    await turn();
    store.reads.shift()!();
    await one;
    expect(sequencer.next(CHAT)).to.equal(1);
    await storage.commit.write(MESSAGE);
    store.failsWriting = true;
    await storage.commit.write([{ type: 'delete', key: Buffer.from('other') }]).catch(() => undefined);
    store.failsWriting = false;
    await reading(other);
    expect((await give()).n).to.equal(2);
  });

  it('gives no number twice when a chat is forgotten with one on its way to the disk', async () => {
    const first = await give();
    const second = await give('lobby@example.com');
    const third = await give('garden@example.com'); // capacity is 2
    expect([first.n, second.n, third.n, (await give()).n]).to.deep.equal([1, 1, 1, 2]);
    await Promise.all([first.committed, second.committed, third.committed]);
    expect((await give('lobby@example.com')).n).to.equal(2);
  });

  it('remembers what a side does not keep, also of a chat that is forgotten with a number on its way', async () => {
    const [JULIET, ROMEO] = CHAT.split(' ') as [string, string];
    await reading(sequencer.prepare(CHAT)!);
    await give('lobby@example.com');
    const garden = sequencer.prepare('garden@example.com')!; // capacity is 2
    while (store.reads.length === 0) await turn();
    const first = await give();
    sequencer.omitted(CHAT, JULIET, 10, 'preference');
    sequencer.kept(CHAT, ROMEO, 11);
    store.reads.shift()!();
    await garden;
    await first.committed;
    const open = { from: 1, reason: 'preference' as const };
    expect(await reading(storage.sequences.counter(CHAT))).to.deep.equal({
      number: 1,
      omissions: { owner: open, other: undefined },
    });
    await (
      await give()
    ).committed;
    store.failsWriting = true;
    const refused = await give();
    sequencer.kept(CHAT, JULIET, 12);
    await refused.committed.catch(() => undefined);
    store.failsWriting = false;
    expect(await omissionsOf(store, JULIET, ROMEO), 'ended with a message that was refused').to.deep.equal([]);
    const third = await give();
    sequencer.kept(CHAT, JULIET, 13);
    await third.committed;
    expect(await omissionsOf(store, JULIET, ROMEO)).to.deep.equal([{ ...open, upTo: 2, endedAt: 13 }]);
    expect(await reading(storage.sequences.counter(CHAT))).to.deep.equal({ number: 3, omissions: undefined });
  });

  it('tells all who wait when the store cannot be read, and reads again for the next', async () => {
    store.failsReading = true;
    const waiting = [sequencer.prepare(CHAT)!, sequencer.prepare(CHAT)!];
    const outcomes = await reading(Promise.allSettled(waiting));
    expect(outcomes.map(({ status }) => status)).to.deep.equal(['rejected', 'rejected']);
    store.failsReading = false;
    expect((await give()).n).to.equal(1);
  });
});
