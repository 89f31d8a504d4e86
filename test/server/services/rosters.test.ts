import { expect } from 'chai';
import { Account } from '../../../server/routing/account.ts';
import { SlotNumbers } from '../../../server/routing/slot.ts';
import { Roster } from '../../../server/services/roster.ts';
import { Rosters } from '../../../server/services/rosters.ts';
import { Jid } from '../../../stanzas/jid.ts';
import { StanzaError } from '../../../stanzas/stanza-error.ts';
import { MemoryStore } from '../../../storage/backends/memory.ts';
import { StoreError } from '../../../storage/ordered-store.ts';
import type { RosterItem } from '../../../storage/rosters.ts';
import { storageOver } from '../../../storage/storage.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { HeldStore } from '../../storage/held-store.ts';

const JULIET = Jid.parse('juliet@example.com');
function contact(jid: string, state: Partial<RosterItem> = {}): RosterItem {
  const nothing = { subscription: 'none', ask: false, approved: false, request: undefined } as const;
  return { jid, name: '', groups: [], ...nothing, isListed: true, ...state };
}

function accountOf(jid: Jid): Account {
  const events = { sent: () => undefined, receive: () => undefined, overflowed: () => undefined };
  const store = { load: () => Promise.resolve(), page: () => Promise.resolve([]), cursorMoved: () => undefined };
  return new Account(jid, events, store);
}

describe('rosters in memory', () => {
  let store: HeldStore;
  let account: Account;
  let rosters: Rosters;
  let clock: ManualClock;

  beforeEach(() => {
    store = new HeldStore(new MemoryStore());
    account = accountOf(JULIET);
    clock = new ManualClock();
    rosters = new Rosters({ storage: storageOver(store), accountSlots: new SlotNumbers(), clock });
  });

  /** The next batch on its way to the store. */
  const batch = async (): Promise<NonNullable<(typeof store.held)[number]>> => {
    for (;;) {
      const held = store.held.shift();
      if (held !== undefined) return held;
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  const errorOf = (change: Promise<number>): Promise<unknown> =>
    change.then(
      () => undefined,
      (error: unknown) => error,
    );

  it('change at once, in the order of the calls, and say when that is committed', async () => {
    const events: string[] = [];
    const first = rosters.change(account, [contact('romeo@example.net')]).then(() => events.push('first'));
    const second = rosters.change(account, [contact('nurse@example.com')], ['romeo@example.net']);
    const roster = rosters.of(account);
    expect([...roster.items()].map(({ jid }) => jid)).to.deep.equal(['nurse@example.com']);
    expect(roster.committed()).to.deep.equal({ version: 0, items: [] });
    const settled = roster.whenSettled();
    const held = await batch();
    expect(events).to.deep.equal([]);
    await held.land();
    while (store.held.length > 0) await (await batch()).land();
    await first;
    expect(await second).to.equal(2);
    await settled;
    expect(roster.whenSettled()).to.equal(void 0);
    expect(roster.committed()).to.deep.equal({ version: 2, items: [contact('nurse@example.com')] });
    const again = accountOf(JULIET);
    await rosters.load(again);
    expect(rosters.of(again).committed().version).to.equal(2);
    expect([...rosters.of(again).items()]).to.deep.equal([contact('nurse@example.com')]);
  });

  it('are as they were after a refusal, and its version is not used again', async () => {
    const change = errorOf(rosters.change(account, [contact('romeo@example.net')]));
    (await batch()).fail(new StoreError('full', 'the disk is full'));
    const error = await change;
    expect(error).to.be.instanceOf(StanzaError);
    expect(error).to.include({ condition: 'resource-constraint', type: 'wait' });
    expect(rosters.of(account).committed()).to.deep.equal({ version: 0, items: [] });
    const next = rosters.change(account, [contact('nurse@example.com')]);
    await (await batch()).land();
    expect(await next).to.equal(2);
  });

  it('lose what was refused and nothing else, whatever was changed before and after', async () => {
    const stored = contact('romeo@example.net', { name: 'Romeo' });
    const saved = rosters.change(account, [stored]);
    await (await batch()).land();
    await saved;
    const outcomes = [
      rosters.change(account, [{ ...stored, name: 'Montague' }]),
      rosters.change(account, [contact('paris@example.com')], ['romeo@example.net']),
    ].map(errorOf);
    const refused = await batch();
    outcomes.push(errorOf(rosters.change(account, [{ ...stored, name: 'Pilgrim' }])));
    const roster = rosters.of(account);
    expect(roster).to.include({ size: 2 });
    expect(roster.committed()).to.deep.equal({ version: 1, items: [stored] });
    refused.fail(new StoreError('full', 'the disk is full'));
    for (const outcome of outcomes) expect(await outcome).to.be.instanceOf(StanzaError);
    expect(roster.committed()).to.deep.equal({ version: 1, items: [stored] });
    expect([...roster.items()]).to.deep.equal([stored]);
    const next = rosters.change(account, [contact('nurse@example.com')]);
    await (await batch()).land();
    expect(await next).to.equal(5);
    expect(roster.committed().items).to.have.length(2);
  });

  it('keep a change that is made on top of one that is then taken back', () => {
    const roster = new Roster();
    const refused = roster.apply([contact('romeo@example.net', { name: 'Romeo' })], [], 0);
    const kept = roster.apply([contact('romeo@example.net', { name: 'Montague' })], [], 0);
    roster.takeBack(refused);
    expect(roster.item('romeo@example.net')?.name).to.equal('Montague');
    expect(roster.committed().items).to.deep.equal([]);
    roster.landed(kept);
    expect(roster.committed()).to.deep.equal({
      version: 2,
      items: [contact('romeo@example.net', { name: 'Montague' })],
    });
  });

  it('RFC 6121 2.6: no version comes again with another account of the same name, nor after a restored copy', async () => {
    clock.advance(-clock.now() + 1_000_000); // later than the epoch
    const first = rosters.change(account, [contact('romeo@example.net')]);
    const second = rosters.change(account, [contact('nurse@example.com')]);
    while (store.held.length === 0) await new Promise((resolve) => setImmediate(resolve));
    await (await batch()).land();
    const seen = [await first, await second];
    clock.advance(1000);
    const again = accountOf(JULIET); // removed and made again: nothing is stored
    const other = rosters.change(again, [contact('paris@example.com')]);
    await (await batch()).land();
    expect(seen).to.deep.equal([1_000_000, 1_000_001]);
    expect(await other).to.equal(1_001_000);
  });

  it('count contacts and strangers apart; a stranger makes no version (RFC 6121 2.6.3)', async () => {
    const landed = async (): Promise<number> => {
      await (await batch()).land();
      await rosters.of(account).whenSettled();
      return rosters.of(account).committed().version;
    };
    const stranger = contact('tybalt@example.org', { isListed: false, request: '<presence/>' });
    void rosters.change(account, [stranger]);
    const roster = rosters.of(account);
    expect(roster).to.include({ size: 0, strangers: 1 });
    expect(await landed()).to.equal(0);
    void rosters.change(account, [{ ...stranger, isListed: true }]);
    expect(roster).to.include({ size: 1, strangers: 0 });
    expect(await landed()).to.equal(1);
    void rosters.change(account, [], [stranger.jid]);
    expect(roster).to.include({ size: 0, strangers: 0 });
    expect(await landed()).to.equal(2);
    void rosters.change(account, [], [stranger.jid]);
    expect(await landed()).to.equal(2);
  });

  it('list whoever has a subscription, whatever the record says', async () => {
    const saved = rosters.change(account, [contact('romeo@example.net', { subscription: 'from', isListed: false })]);
    await (await batch()).land();
    await saved;
    const again = accountOf(JULIET);
    await rosters.load(again);
    expect(rosters.of(again).item('romeo@example.net')?.isListed).to.equal(true);
  });

  for (const [subscription, sees] of [
    ['none', false],
    ['to', false],
    ['from', true],
    ['both', true],
  ] as const) {
    it(`${subscription}: the contact ${sees ? 'sees' : 'does not see'} the presence of the account`, () => {
      void rosters.change(account, [contact('romeo@example.net', { subscription })]);
      expect(rosters.hasSubscriptionFrom(account, 'romeo@example.net')).to.equal(sees);
      expect(rosters.sharesPresenceWith(account, 'romeo@example.net')).to.equal(sees);
    });
  }

  it('share presence with their owner', () => {
    expect(rosters.sharesPresenceWith(account, JULIET.bare)).to.equal(true);
    expect(rosters.hasSubscriptionFrom(account, JULIET.bare)).to.equal(false);
  });
});
