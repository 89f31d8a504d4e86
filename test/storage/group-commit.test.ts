import { setImmediate as turn } from 'node:timers/promises';
import { expect } from 'chai';
import fc from 'fast-check';
import { MemoryStore } from '../../storage/backends/memory.ts';
import { GroupCommit } from '../../storage/group-commit.ts';
import { StoreError } from '../../storage/ordered-store.ts';
import type { Write } from '../../storage/ordered-store.ts';
import { HeldStore } from './held-store.ts';
import type { HeldBatch } from './held-store.ts';

const FULL = new StoreError('full', 'the disk is full');

describe('the group commit', () => {
  let store: HeldStore;
  let commit: GroupCommit;
  let heard: string[];
  let reported: unknown[];

  beforeEach(() => {
    store = new HeldStore(new MemoryStore());
    reported = [];
    commit = new GroupCommit(store, { maxBytes: 1000, reportError: (error) => reported.push(error) });
    heard = [];
  });

  /** Adds one write and hears `name` and what became of it. */
  function add(name: string): void {
    commit.add([put(name)], {
      committed: () => heard.push(`${name} committed`),
      refused: (error) => heard.push(`${name} refused: ${error.code}`),
    });
  }

  /** The batch that is on its way: one turn for the outcome of the last one to be heard, one to gather. */
  async function batch(index: number): Promise<HeldBatch> {
    await turn();
    await turn();
    const held = store.held[index];
    if (held === undefined) throw new Error(`there is no batch ${index}`);
    return held;
  }

  it('commits what one turn adds as one batch, at the end of the turn', async () => {
    add('a');
    await Promise.resolve();
    add('b');
    expect(store.held).to.be.empty;
    const first = await batch(0);
    expect(namesOf(first)).to.deep.equal(['a', 'b']);
    expect(heard).to.be.empty;
    await first.land();
    await turn();
    expect(heard).to.deep.equal(['a committed', 'b committed']);
  });

  it('collects while a batch is in flight, and has never two on their way', async () => {
    add('a');
    const first = await batch(0);
    add('b');
    await turn();
    add('c');
    await turn();
    expect(store.held).to.have.lengthOf(1);
    await first.land();
    const second = await batch(1);
    expect(namesOf(second)).to.deep.equal(['b', 'c']);
    expect(heard).to.deep.equal(['a committed']);
    await second.land();
    await turn();
    expect(heard).to.deep.equal(['a committed', 'b committed', 'c committed']);
    expect(store.held).to.have.lengthOf(2);
  });

  it('tells listeners only what the store holds', async () => {
    const seen: (Uint8Array | undefined)[] = [];
    const read = new Promise<void>((resolve, reject) => {
      commit.add([put('a')], {
        committed: () => {
          store.getMany([Buffer.from('a')]).then(([value]) => {
            seen.push(value);
            resolve();
          }, reject);
        },
        refused: reject,
      });
    });
    await (await batch(0)).land();
    await read;
    expect(seen[0]).to.not.equal(undefined);
  });

  it('refuses what gathered behind a failed batch, and starts anew', async () => {
    commit.onRefused(() => heard.push('numbers forgotten'));
    add('a');
    const first = await batch(0);
    add('b');
    add('c');
    first.fail(FULL);
    await turn();
    expect(heard).to.deep.equal(['numbers forgotten', 'a refused: full', 'b refused: full', 'c refused: full']);
    add('d');
    const second = await batch(1);
    expect(namesOf(second)).to.deep.equal(['d']);
    await second.land();
    await turn();
    expect(heard.at(-1)).to.equal('d committed');
  });

  it('takes what a refused listener adds into the new batch', async () => {
    let again = '';
    commit.add([put('a')], {
      committed: () => expect.fail('it was refused'),
      refused: () => commit.add([put('again')], { committed: () => (again = 'committed'), refused: () => undefined }),
    });
    (await batch(0)).fail(FULL);
    const second = await batch(1);
    expect(namesOf(second)).to.deep.equal(['again']);
    await second.land();
    await turn();
    expect(again).to.equal('committed');
  });

  it('remembers why it was refused until it has written again', async () => {
    expect(commit.lastFailure).to.equal(undefined);
    add('a');
    (await batch(0)).fail(FULL);
    await turn();
    expect(commit.lastFailure).to.equal(FULL);
    await commit.flush();
    expect(commit.lastFailure).to.equal(FULL);
    add('b');
    await (await batch(1)).land();
    await turn();
    expect(commit.lastFailure).to.equal(undefined);
  });

  it('wraps what is no StoreError', async () => {
    add('a');
    (await batch(0)).fail(new TypeError('a bug'));
    await turn();
    expect(heard).to.deep.equal(['a refused: failed']);
  });

  it('lets a listener that throws harm no other', async () => {
    const thrown = new Error('thrown by a listener');
    const throwing = (): never => {
      throw thrown;
    };
    commit.onRefused(throwing);
    commit.add([put('a')], { committed: throwing, refused: throwing });
    add('b');
    await (await batch(0)).land();
    await turn();
    expect(heard).to.deep.equal(['b committed']);
    expect(reported).to.deep.equal([thrown]);
    commit.add([put('c')], { committed: throwing, refused: throwing });
    add('d');
    (await batch(1)).fail(FULL);
    await turn();
    expect(heard).to.deep.equal(['b committed', 'd refused: full']);
    expect(reported).to.deep.equal([thrown, thrown, thrown]);
  });

  it('is full past its bound, what is in flight included, until there is room', async () => {
    expect(commit.isFull).to.be.false;
    await commit.whenRoom();
    const large: Write = { type: 'put', key: Buffer.from('large'), value: new Uint8Array(700) };
    const written = commit.write([large]);
    expect(commit.isFull).to.be.false;
    const first = await batch(0);
    const writtenToo = commit.write([large]);
    expect(commit.isFull).to.be.true;
    let isRoom = false;
    const room = commit.whenRoom().then(() => (isRoom = true));
    await turn();
    expect(isRoom).to.be.false;
    await first.land();
    await room;
    expect(commit.isFull).to.be.false;
    await written;
    await (await batch(1)).land();
    await writtenToo;
  });

  it('has room again after a refusal', async () => {
    const large: Write = { type: 'put', key: Buffer.from('large'), value: new Uint8Array(2000) };
    const refusals = Promise.allSettled([commit.write([large]), commit.write([large])]);
    expect(commit.isFull).to.be.true;
    const room = commit.whenRoom();
    (await batch(0)).fail(FULL);
    await room;
    expect((await refusals).map(({ status }) => status)).to.deep.equal(['rejected', 'rejected']);
    expect(commit.isFull).to.be.false;
  });

  it('counts deletes too', () => {
    for (let index = 0; index < 10; index++) {
      commit.add([{ type: 'delete', key: new Uint8Array(10) }], ignore());
      commit.add([{ type: 'deleteRange', from: new Uint8Array(10), to: new Uint8Array(10) }], ignore());
    }
    expect(commit.isFull).to.be.true;
  });

  it('keeps the place of a listener without writes, and asks the store nothing for it alone', async () => {
    add('a');
    commit.add([], { committed: () => heard.push('place'), refused: () => heard.push('place refused') });
    add('b');
    await (await batch(0)).land();
    await turn();
    expect(heard).to.deep.equal(['a committed', 'place', 'b committed']);
    await commit.write([]);
    expect(store.held).to.have.lengthOf(1);
  });

  it('flushes what was added before, whether committed or refused', async () => {
    add('a');
    const first = await batch(0);
    add('b');
    const flushed = commit.flush().then(() => heard.push('flushed'));
    await first.land();
    await (await batch(1)).land();
    await flushed;
    expect(heard).to.deep.equal(['a committed', 'b committed', 'flushed']);
    add('c');
    const flushedAgain = commit.flush();
    (await batch(2)).fail(FULL);
    await flushedAgain;
    expect(heard.at(-1)).to.equal('c refused: full');
  });

  it('commits what waits when it is closed, and refuses what comes after, later than the call', async () => {
    add('a');
    const closed = commit.close();
    add('b');
    expect(heard).to.be.empty;
    await (await batch(0)).land();
    await closed;
    await turn();
    expect(heard).to.have.members(['a committed', 'b refused: closed']);
    const error = await commit.write([put('c')]).catch((reason: unknown) => reason);
    expect(error).to.be.instanceOf(StoreError).with.property('code', 'closed');
  });

  it('settles everything once, in order, whatever fails (no number is jumped over)', async () => {
    const step = fc.constantFrom('add', 'turn', 'land', 'fail');
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const memory = new MemoryStore();
        const held = new HeldStore(memory);
        const counter = new GroupCommit(held);
        let next = 1;
        let last = 0;
        const settled: number[] = [];
        const added: number[] = [];
        // An owner of a counter, as the sequences are: forgets what was refused and goes on from what is stored.
        counter.onRefused(() => (next = last + 1));
        const settle = async (outcome: string): Promise<void> => {
          const on = held.held.shift();
          if (outcome === 'fail') on?.fail(FULL);
          else await on?.land();
          await turn();
        };
        for (const action of steps) {
          if (action === 'turn') await turn();
          else if (action !== 'add') await settle(action);
          else {
            const number = next++;
            const order = added.push(number) - 1;
            const value = Buffer.of(number);
            counter.add([{ type: 'put', key: Buffer.of(number), value }], {
              committed: () => {
                settled.push(order);
                last = number;
              },
              refused: () => settled.push(order),
            });
          }
        }
        await turn();
        while (held.held.length > 0) await settle('land');
        expect(settled).to.deep.equal(added.map((_, order) => order));
        const stored = await memory.page({ from: Buffer.of(), to: Buffer.of(0xff) }, 1000);
        expect(stored.map(([key]) => key[0])).to.deep.equal(Array.from({ length: last }, (_, index) => index + 1));
      }),
      { numRuns: 200, seed: 1595 },
    );
  });
});

function ignore(): { committed: () => void; refused: () => void } {
  return { committed: () => undefined, refused: () => undefined };
}

function put(name: string): Write {
  return { type: 'put', key: Buffer.from(name), value: Buffer.from(name) };
}

function namesOf(batch: HeldBatch): string[] {
  return batch.writes.map((write) => (write.type === 'put' ? Buffer.from(write.key).toString() : write.type));
}
