import { expect } from 'chai';
import fc from 'fast-check';
import { pagesOf, StoreError } from '../../storage/ordered-store.ts';
import type { Entry, OrderedStore, Range, Write } from '../../storage/ordered-store.ts';

/** What a backend's test hands to the suite: an empty store, and the way to take it away. */
export interface OpenedStore {
  readonly store: OrderedStore;
  readonly dispose: () => Promise<void>;
}

const EVERYTHING: Range = { from: Uint8Array.of(), to: new Uint8Array(40).fill(0xff) };

/** What every backend must do; a new one runs this suite (docs/architecture.md). */
export function orderedStoreSuite(name: string, open: () => Promise<OpenedStore>): void {
  describe(`${name} as an ordered store`, () => {
    let opened: OpenedStore;
    let store: OrderedStore;

    beforeEach(async () => {
      opened = await open();
      store = opened.store;
    });

    afterEach(() => opened.dispose());

    it('returns values in the order of the keys asked for, undefined where there is none', async () => {
      await store.write([put('a', '1'), put('b', '2')]);
      const values = await store.getMany([text('b'), text('missing'), text('a'), text('b')]);
      expect(values.map((value) => value && words(value))).to.deep.equal(['2', undefined, '1', '2']);
    });

    it('keeps an empty value apart from none, and every byte as it is', async () => {
      const allBytes = Uint8Array.from({ length: 256 }, (_, index) => index);
      await store.write([
        { type: 'put', key: text('empty'), value: new Uint8Array() },
        { type: 'put', key: allBytes, value: allBytes },
      ]);
      const [empty, bytes] = await store.getMany([text('empty'), allBytes]);
      expect(empty).to.have.lengthOf(0);
      expect([...(bytes ?? [])]).to.deep.equal([...allBytes]);
    });

    it('keeps what it is lent for the time of the call, as it was then', async () => {
      const [key, value] = [Buffer.alloc(1), Buffer.alloc(300)];
      const lent = (name: string): Write => ({
        type: 'put',
        key: text(name),
        value: Buffer.alloc(300, name),
        lend: () => {
          key.write(name);
          return [key, value.fill(name)];
        },
      });
      await store.write([lent('a'), put('x', '1'), lent('b'), lent('c')]);
      key.fill('z');
      value.fill('z');
      const page = await store.page(EVERYTHING, 100);
      expect(page.map(([name]) => words(name)).join('')).to.equal('abcx');
      for (const [name, held] of page.slice(0, 3)) expect(words(held)).to.equal(words(name).repeat(300));
    });

    it('sorts keys by their bytes, unsigned, a prefix before its continuations', async () => {
      const keys = ['ff', '00', '7f', '80', '0000', '00ff', '01', 'feff'].map((hex) => Buffer.from(hex, 'hex'));
      await store.write(keys.map((key): Write => ({ type: 'put', key, value: key })));
      const page = await store.page(EVERYTHING, 100);
      expect(hexKeys(page)).to.deep.equal(['00', '0000', '00ff', '01', '7f', '80', 'feff', 'ff']);
      const reversed = await store.page({ ...EVERYTHING, reverse: true }, 100);
      expect(hexKeys(reversed)).to.deep.equal(hexKeys(page).reverse());
    });

    it('shows everything as it was at one moment, whatever is written meanwhile', async () => {
      const keys = Array.from({ length: 2500 }, (_, index) => String(index).padStart(4, '0'));
      await store.write(keys.map((key) => put(key, 'before')));
      const seen: Entry[] = [];
      for await (const page of store.snapshot()) {
        if (seen.length === 0) {
          await store.write([
            put('2499', 'after'),
            put('9999', 'after'),
            { type: 'deleteRange', from: text('1000'), to: text('2000') },
          ]);
        }
        seen.push(...page);
      }
      expect(keysOf(seen)).to.deep.equal(keys);
      expect(new Set(seen.map(([, value]) => words(value)))).to.deep.equal(new Set(['before']));
      for await (const page of store.snapshot()) {
        expect(page).to.not.be.empty;
        break; // and nothing is left open: the store can be closed
      }
    });

    it('is read through a view as it was, as often as one likes, whatever is written meanwhile', async () => {
      await store.write(['a', 'b', 'c'].map((key) => put(key, 'before')));
      const view = await store.view();
      const later = store.write([put('b', 'after'), put('d', 'after'), { type: 'delete', key: text('a') }]);
      for (let reading = 0; reading < 2; reading++) {
        const page = await view.page(EVERYTHING, 10);
        expect(page.map(([key, value]) => `${words(key)} ${words(value)}`)).to.deep.equal(
          ['a', 'b', 'c'].map((key) => `${key} before`),
        );
        expect(keysOf(await view.page({ ...EVERYTHING, reverse: true }, 2))).to.deep.equal(['c', 'b']);
        const values = await view.getMany([text('d'), text('b'), text('a')]);
        expect(values.map((value) => value && words(value))).to.deep.equal([undefined, 'before', 'before']);
        await later;
      }
      await view.close();
      const error = await view.page(EVERYTHING, 1).catch((reason: unknown) => reason);
      expect(error).to.be.instanceOf(StoreError);
      expect(keysOf(await store.page(EVERYTHING, 10))).to.deep.equal(['b', 'c', 'd']);
      await store.view(); // left open: the store can be closed all the same
    });

    it('pages from the inclusive beginning to the exclusive end, in both directions', async () => {
      await store.write(['a', 'b', 'c', 'd', 'e'].map((key) => put(key, key)));
      const range = { from: text('b'), to: text('e') };
      expect(keysOf(await store.page(range, 10))).to.deep.equal(['b', 'c', 'd']);
      expect(keysOf(await store.page(range, 2))).to.deep.equal(['b', 'c']);
      expect(keysOf(await store.page({ ...range, reverse: true }, 2))).to.deep.equal(['d', 'c']);
      expect(keysOf(await store.page({ from: text('e'), to: text('b') }, 10))).to.deep.equal([]);
      expect(keysOf(await store.page(range, 0))).to.deep.equal([]);
    });

    it('fills a page to its limit however large the values are', async () => {
      const value = new Uint8Array(100_000).fill(7);
      const keys = Array.from({ length: 30 }, (_, index) => text(`key ${String(index).padStart(3, '0')}`));
      await store.write(keys.map((key): Write => ({ type: 'put', key, value })));
      expect(await store.page(EVERYTHING, 25)).to.have.lengthOf(25);
      expect(await store.page({ ...EVERYTHING, reverse: true }, 30)).to.have.lengthOf(30);
    });

    it('walks a range in pages without losing or repeating an entry', async () => {
      const keys = Array.from({ length: 25 }, (_, index) => String(index).padStart(2, '0'));
      await store.write(keys.map((key) => put(key, key)));
      for (const limit of [1, 5, 7, 25, 100]) {
        expect(await walk(store, EVERYTHING, limit)).to.deep.equal(keys);
        expect(await walk(store, { ...EVERYTHING, reverse: true }, limit)).to.deep.equal(keys.toReversed());
      }
    });

    it('applies a batch in its order: the last write of a key wins', async () => {
      await store.write([put('a', '1'), { type: 'delete', key: text('a') }, put('b', '1'), put('b', '2')]);
      expect(keysOf(await store.page(EVERYTHING, 10))).to.deep.equal(['b']);
      expect(words((await store.page(EVERYTHING, 10))[0]?.[1])).to.equal('2');
    });

    it('deletes a range, what the same batch put before it included, and not what it puts behind it', async () => {
      await store.write(['a', 'b', 'c', 'd'].map((key) => put(key, 'old')));
      await store.write([put('bb', 'new'), { type: 'deleteRange', from: text('b'), to: text('d') }, put('c', 'new')]);
      expect(keysOf(await store.page(EVERYTHING, 10))).to.deep.equal(['a', 'c', 'd']);
      expect(words((await store.getMany([text('c')]))[0])).to.equal('new');
    });

    it('deletes ranges longer than any page of its own', async () => {
      const keys = Array.from({ length: 2500 }, (_, index) => String(index).padStart(5, '0'));
      await store.write(keys.map((key) => put(key, '')));
      await store.write([{ type: 'deleteRange', from: text('00001'), to: text('02499') }]);
      expect(keysOf(await store.page(EVERYTHING, 10))).to.deep.equal(['00000', '02499']);
    });

    it('takes deletes of what is not there, empty ranges and empty batches', async () => {
      await store.write([put('a', '1')]);
      await store.write([]);
      await store.write([
        { type: 'delete', key: text('missing') },
        { type: 'deleteRange', from: text('x'), to: text('b') },
      ]);
      expect(keysOf(await store.page(EVERYTHING, 10))).to.deep.equal(['a']);
    });

    it('applies batches in the order of the calls, though nobody waits between them', async () => {
      await Promise.all([
        store.write([put('a', '1'), put('b', '1')]),
        store.write([{ type: 'deleteRange', from: text('a'), to: text('z') }]),
        store.write([put('c', '1')]),
      ]);
      expect(keysOf(await store.page(EVERYTHING, 10))).to.deep.equal(['c']);
    });

    it('keeps nothing the caller can change afterwards, and gives nothing that changes the store', async () => {
      const key = text('key');
      const value = text('value');
      await store.write([{ type: 'put', key, value }]);
      key.fill(0);
      value.fill(0);
      const [entry] = await store.page(EVERYTHING, 1);
      entry?.[0].fill(1);
      entry?.[1].fill(1);
      const [read] = await store.getMany([text('key')]);
      expect(words(read)).to.equal('value');
    });

    it('refuses everything once closed, and finishes what was asked for before', async () => {
      const written = store.write([put('a', '1')]);
      const isClosed = store.close();
      await written;
      await isClosed;
      for (const attempt of [
        () => store.write([put('b', '2')]),
        () => store.getMany([text('a')]),
        () => store.page(EVERYTHING, 1),
      ]) {
        const error = await attempt().catch((reason: unknown) => reason);
        expect(error).to.be.instanceOf(StoreError);
        expect((error as StoreError).code).to.equal('closed');
      }
      await store.close();
    });

    it('agrees with a model whatever is written', async () => {
      const key = fc.array(fc.constantFrom(0, 1, 0x7f, 0x80, 0xff), { minLength: 1, maxLength: 3 });
      const write = fc.oneof(
        { weight: 5, arbitrary: fc.tuple(fc.constant('put' as const), key, key) },
        { weight: 2, arbitrary: fc.tuple(fc.constant('delete' as const), key, key) },
        { weight: 1, arbitrary: fc.tuple(fc.constant('deleteRange' as const), key, key) },
      );
      const batches = fc.array(fc.array(write, { maxLength: 8 }), { minLength: 1, maxLength: 8 });
      await fc.assert(
        fc.asyncProperty(batches, key, key, fc.integer({ min: 0, max: 6 }), async (plan, from, to, limit) => {
          await store.write([{ type: 'deleteRange', from: EVERYTHING.from, to: EVERYTHING.to }]);
          const model = new Map<string, string>();
          for (const batch of plan) {
            await store.write(batch.map(([type, one, other]) => toWrite(type, one, other)));
            for (const [type, one, other] of batch) applyToModel(model, type, hex(one), hex(other));
          }
          const sorted = [...model].sort(([one], [other]) => (one < other ? -1 : 1));
          expect(hexEntries(await store.page(EVERYTHING, 1000))).to.deep.equal(sorted);
          const within = sorted.filter(([found]) => found >= hex(from) && found < hex(to));
          const range = { from: Uint8Array.from(from), to: Uint8Array.from(to) };
          expect(hexEntries(await store.page(range, limit))).to.deep.equal(within.slice(0, limit));
          const backwards = await store.page({ ...range, reverse: true }, limit);
          expect(hexEntries(backwards)).to.deep.equal(within.toReversed().slice(0, limit));
        }),
        { numRuns: 150, seed: 1597 },
      );
    });
  });
}

function toWrite(type: Write['type'], one: readonly number[], other: readonly number[]): Write {
  const key = Uint8Array.from(one);
  const second = Uint8Array.from(other);
  if (type === 'put') return { type, key, value: second };
  return type === 'delete' ? { type, key } : { type, from: key, to: second };
}

/** Hexadecimal digits sort as the bytes do. */
function applyToModel(model: Map<string, string>, type: Write['type'], one: string, other: string): void {
  if (type === 'put') model.set(one, other);
  else if (type === 'delete') model.delete(one);
  else for (const key of [...model.keys()]) if (key >= one && key < other) model.delete(key);
}

async function walk(store: OrderedStore, range: Range, limit: number): Promise<string[]> {
  const keys: string[] = [];
  for await (const page of pagesOf(store, range, limit)) keys.push(...keysOf(page));
  return keys;
}

function put(key: string, value: string): Write {
  return { type: 'put', key: text(key), value: text(value) };
}

function text(value: string): Uint8Array {
  return new TextEncoder().encode(value);
}

function words(value: Uint8Array | undefined): string {
  return new TextDecoder().decode(value);
}

function hex(bytes: Iterable<number>): string {
  return Buffer.from([...bytes]).toString('hex');
}

function keysOf(entries: readonly Entry[]): string[] {
  return entries.map(([key]) => words(key));
}

function hexKeys(entries: readonly Entry[]): string[] {
  return entries.map(([key]) => hex(key));
}

function hexEntries(entries: readonly Entry[]): [string, string][] {
  return entries.map(([key, value]) => [hex(key), hex(value)]);
}
