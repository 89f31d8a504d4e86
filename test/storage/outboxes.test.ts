import { expect } from 'chai';
import { MemoryStore } from '../../storage/backends/memory.ts';
import { positionKey, textKey } from '../../storage/keys.ts';
import type { OutboxEntry } from '../../storage/outboxes.ts';
import { storageOver } from '../../storage/storage.ts';

const PAIR = { local: 'capulet.example', remote: 'montague.example' };
const entry = (position: number, isHandedOut = false): OutboxEntry => ({
  position,
  at: 1000 + position,
  isHandedOut,
  document: `<message xmlns='jabber:client'><body>${position}</body></message>`,
});

async function everything(storage: ReturnType<typeof storageOver>, skipped: unknown[] = []): Promise<unknown[]> {
  const found: unknown[] = [];
  for await (const item of storage.outboxes.everything((error) => skipped.push(error))) found.push(item);
  return found;
}

describe('outboxes', () => {
  it('give back what was put, in order, for each pair, and know what was removed', async () => {
    const storage = storageOver(new MemoryStore());
    const other = { local: 'capulet.example', remote: 'verona.example' };
    await storage.commit.write([
      ...storage.outboxes.putWrites(PAIR, entry(300)),
      ...storage.outboxes.putWrites(PAIR, entry(2)),
      ...storage.outboxes.putWrites(PAIR, entry(5)),
      ...storage.outboxes.putWrites(other, entry(4)),
    ]);
    await storage.commit.write(storage.outboxes.removeWrites(PAIR, [5]));
    const found = await everything(storage);
    expect(found).to.have.deep.members([
      [PAIR, entry(2)],
      [PAIR, entry(300)],
      [other, entry(4)],
    ]);
    expect(found.findIndex((item) => (item as [unknown, OutboxEntry])[1].position === 2)).to.be.lessThan(
      found.findIndex((item) => (item as [unknown, OutboxEntry])[1].position === 300),
    );
  });

  it('know up to where entries may have been sent', async () => {
    const storage = storageOver(new MemoryStore());
    await storage.commit.write([
      ...[1, 2, 3].flatMap((position) => storage.outboxes.putWrites(PAIR, entry(position))),
      ...storage.outboxes.putWrites(PAIR, entry(4, true)),
      ...storage.outboxes.handOutWrites(PAIR, 2),
    ]);
    const found = (await everything(storage)) as [unknown, OutboxEntry][];
    expect(found.map(([, { isHandedOut }]) => isHandedOut)).to.deep.equal([true, true, false, true]);
  });

  it('forget the mark of a pair when it says nothing any more', async () => {
    const store = new MemoryStore();
    const storage = storageOver(store);
    const marks = async (): Promise<number> => {
      const found = await store.getMany([textKey('outboxMarks', 'capulet.example/montague.example')]);
      return found.filter((value) => value !== undefined).length;
    };
    await storage.commit.write([
      ...storage.outboxes.putWrites(PAIR, entry(1)),
      ...storage.outboxes.handOutWrites(PAIR, 1),
    ]);
    await everything(storage);
    expect(await marks()).to.equal(1);
    await storage.commit.write(storage.outboxes.removeWrites(PAIR, [1]));
    await everything(storage);
    expect(await marks()).to.equal(0);
    await storage.commit.write(storage.outboxes.handOutWrites(PAIR, 1));
    await storage.commit.write(storage.outboxes.removeMarkWrites(PAIR));
    expect(await marks()).to.equal(0);
  });

  it('pass over what cannot be read, and remove it', async () => {
    const store = new MemoryStore();
    const storage = storageOver(store);
    const key = positionKey('outbox', 'capulet.example/montague.example', 7);
    await storage.commit.write([{ type: 'put', key, value: Buffer.from([9]) }]);
    const skipped: unknown[] = [];
    expect(await everything(storage, skipped)).to.deep.equal([]);
    expect(skipped).to.have.length(1);
    expect(await store.getMany([key])).to.deep.equal([undefined]);
  });

  it('take every entry of a pair whose mark cannot be read as perhaps sent', async () => {
    const storage = storageOver(new MemoryStore());
    const key = textKey('outboxMarks', 'capulet.example/montague.example');
    const other = { local: 'capulet.example', remote: 'verona.example' };
    await storage.commit.write([
      { type: 'put', key, value: Buffer.from([9]) },
      ...storage.outboxes.putWrites(PAIR, entry(1)),
      ...storage.outboxes.putWrites(other, entry(2)),
    ]);
    const skipped: unknown[] = [];
    expect(await everything(storage, skipped)).to.have.deep.members([
      [PAIR, entry(1, true)],
      [other, entry(2)],
    ]);
    expect(skipped).to.have.length(1);
  });
});
