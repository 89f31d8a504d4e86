import { expect } from 'chai';
import { Returns, type Returned } from '../../../server/federation/returns.ts';
import type { Replaced } from '../../../server/routing/returned-errors.ts';
import type { Log } from '../../../server/log.ts';
import { Stanza } from '../../../stanzas/stanza.ts';
import { StanzaError } from '../../../stanzas/stanza-error.ts';
import { MemoryStore } from '../../../storage/backends/memory.ts';
import { partsOf } from '../../../storage/keys.ts';
import { StoreError, type Write } from '../../../storage/ordered-store.ts';
import { FederationStage } from '../../support/federation-stage.ts';
import { ManualClock } from '../../support/manual-clock.ts';

/** Remembers of each batch how large it was, and what it wrote of outbox and log. */
class WatchedStore extends MemoryStore {
  readonly batches: { readonly bytes: number; readonly removed: number; readonly logged: number }[] = [];

  override async write(batch: readonly Write[]): Promise<void> {
    const of = (type: Write['type'], table: string): number =>
      batch.filter((write) => write.type === type && write.type !== 'deleteRange' && partsOf(write.key).table === table)
        .length;
    const bytes = batch.reduce((sum, write) => sum + (write.type === 'put' ? write.value.length : 0), 0);
    this.batches.push({ bytes, removed: of('delete', 'outbox'), logged: of('put', 'log') });
    await super.write(batch);
  }
}

describe('very much that comes back at once', () => {
  it('is written in batches of a bounded size, each error with what it takes the place of', async () => {
    const store = new WatchedStore();
    const stage = await FederationStage.open({ store, environment: { POSTHORN_S2S_PATIENCE_SECONDS: '0' } });
    await stage.pass(1);
    const count = 2500;
    const id = 'm'.repeat(5000); // an error gives the id back
    for (let n = 0; n < count; n++) {
      const message = `<message to='romeo@montague.example' type='chat' id='${id}${n}'><body>line ${n}</body></message>`;
      stage.stage.put(stage.juliet.session, message);
      if (n % 500 === 499) await stage.stage.settle();
    }
    await stage.juliet.leave();
    store.batches.length = 0;
    for (let passes = 0; passes < 40 && (await stage.stored()) > 0; passes++) await stage.pass(30);
    expect(await stage.waiting()).to.equal(count);
    expect(Math.max(...store.batches.map(({ bytes }) => bytes))).to.be.lessThan(9 * 1024 * 1024);
    for (const { removed, logged } of store.batches) expect(removed).to.equal(logged);
  });

  describe('and is refused by the store', () => {
    const pair = { local: 'example.com', remote: 'montague.example' };
    const error = new StanzaError('remote-server-timeout');
    const items = Array.from({ length: 20 }, (_, n) => ({
      stanza: Stanza.create('message', { id: `m${n}` }),
      position: n,
    }));

    /** All are refused with this, again and again. */
    function refusing(failure: StoreError) {
      const clock = new ManualClock();
      const lines: string[] = [];
      const given: (string | undefined)[] = [];
      const left: number[] = [];
      const ignore = (): void => undefined;
      const log: Log = { debug: ignore, info: ignore, warn: ignore, error: (_fields, text) => void lines.push(text) };
      const refused: (() => void)[] = [];
      const giveBack = (stanza: Stanza, _error: StanzaError, { listener }: Replaced): void => {
        given.push(stanza.id);
        refused.push(() => listener.refused(failure));
      };
      const refuse = (): void => {
        for (const one of refused.splice(0)) one();
      };
      const returns = new Returns({ outboxes: { removeWrites: () => [] }, clock, log, router: { giveBack } });
      const owner = { returned: ignore, leftBehind: ({ position }: Returned) => void left.push(position ?? -1) };
      returns.give(pair, items, error, owner);
      return { clock, lines, given, left, refuse };
    }

    it('is tried again in its order by one timer, and is one line in the log', () => {
      const { clock, lines, given, refuse } = refusing(new StoreError('failed', 'the disk is full'));
      for (let attempt = 0; attempt < 3; attempt++) {
        expect(given.splice(0)).to.deep.equal(items.map(({ stanza }) => stanza.id));
        refuse();
        expect(clock.scheduled).to.equal(1);
        clock.advance(10_000);
      }
      expect(lines).to.have.length(1);
    });

    it('is left in the outbox when the store is closed, with one line in the log', async () => {
      const { clock, lines, left, refuse } = refusing(new StoreError('closed', 'the store is closed'));
      refuse();
      await new Promise((resolve) => setImmediate(resolve));
      expect(left).to.deep.equal(items.map(({ position }) => position));
      expect([lines.length, clock.scheduled]).to.deep.equal([1, 0]);
    });
  });
});
