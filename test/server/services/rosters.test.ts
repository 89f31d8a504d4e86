import { expect } from 'chai';
import { Account } from '../../../server/routing/account.ts';
import { SlotNumbers } from '../../../server/routing/slot.ts';
import { Rosters } from '../../../server/services/rosters.ts';
import { Jid } from '../../../stanzas/jid.ts';
import { StanzaError } from '../../../stanzas/stanza-error.ts';
import { MemoryStore } from '../../../storage/backends/memory.ts';
import { StoreError } from '../../../storage/ordered-store.ts';
import type { RosterItem } from '../../../storage/rosters.ts';
import { storageOver } from '../../../storage/storage.ts';
import { HeldStore } from '../../storage/held-store.ts';

const JULIET = Jid.parse('juliet@example.com');
function contact(jid: string, state: Partial<RosterItem> = {}): RosterItem {
  const nothing = { subscription: 'none', ask: false, approved: false, request: undefined } as const;
  return { jid, name: '', groups: [], ...nothing, isListed: true, ...state };
}

function accountOf(jid: Jid): Account {
  const events = { sent: () => undefined, receive: () => undefined, overflowed: () => undefined };
  const pending = { page: () => Promise.resolve([]), cursorMoved: () => undefined };
  return new Account(jid, events, pending, () => Promise.resolve());
}

describe('rosters in memory', () => {
  let store: HeldStore;
  let account: Account;
  let rosters: Rosters;

  beforeEach(() => {
    store = new HeldStore(new MemoryStore());
    account = accountOf(JULIET);
    rosters = new Rosters({ storage: storageOver(store), accountSlots: new SlotNumbers() });
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
    expect(roster.version).to.equal(2);
    const held = await batch();
    expect(events).to.deep.equal([]);
    await held.land();
    while (store.held.length > 0) await (await batch()).land();
    await first;
    expect(await second).to.equal(2);
    const again = accountOf(JULIET);
    await rosters.load(again);
    expect(rosters.of(again).version).to.equal(2);
    expect([...rosters.of(again).items()]).to.deep.equal([contact('nurse@example.com')]);
  });

  it('are as the store has them after a refusal, and no version a client may have seen comes twice', async () => {
    const change = errorOf(rosters.change(account, [contact('romeo@example.net')]));
    (await batch()).fail(new StoreError('full', 'the disk is full'));
    const error = await change;
    expect(error).to.be.instanceOf(StanzaError);
    expect(error).to.include({ condition: 'resource-constraint', type: 'wait' });
    expect(rosters.of(account).item('romeo@example.net')).to.equal(void 0);
    const next = rosters.change(account, [contact('nurse@example.com')]);
    await (await batch()).land();
    expect(await next).to.equal(2);
  });

  it('keep a change that is made while refused ones are taken back', async () => {
    const refused = errorOf(rosters.change(account, [contact('romeo@example.net')]));
    const held = await batch();
    const behind = errorOf(rosters.change(account, [contact('paris@example.com')]));
    const page = store.page.bind(store);
    const kept = new Promise<number>((resolve, reject) => {
      store.page = (range, limit) => {
        store.page = page;
        rosters.change(account, [contact('nurse@example.com')]).then(resolve, reject);
        return page(range, limit);
      };
    });
    held.fail(new StoreError('full', 'the disk is full'));
    await (await batch()).land();
    await kept;
    expect(await refused).to.be.instanceOf(StanzaError);
    expect(await behind).to.be.instanceOf(StanzaError);
    expect([...rosters.of(account).items()].map(({ jid }) => jid)).to.deep.equal(['nurse@example.com']);
  });

  it('count contacts and strangers apart; a stranger makes no version (RFC 6121 2.6.3)', () => {
    const stranger = contact('tybalt@example.org', { isListed: false, request: '<presence/>' });
    void rosters.change(account, [stranger]);
    const roster = rosters.of(account);
    expect(roster).to.include({ version: 0, size: 0, strangers: 1 });
    void rosters.change(account, [{ ...stranger, isListed: true }]);
    expect(roster).to.include({ version: 1, size: 1, strangers: 0 });
    void rosters.change(account, [], [stranger.jid]);
    expect(roster).to.include({ version: 2, size: 0, strangers: 0 });
    void rosters.change(account, [], [stranger.jid]);
    expect(roster.version).to.equal(2);
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
