import { expect } from 'chai';
import { MemoryStore } from '../../../storage/backends/memory.ts';
import { StoreError } from '../../../storage/ordered-store.ts';
import { HeldStore } from '../../storage/held-store.ts';
import { Stage, type Actor } from '../../support/core.ts';

const JULIET = 'juliet@example.com';
const ROMEO = 'romeo@example.net';
describe('RFC 6121 2: the roster', () => {
  let stage: Stage;
  let balcony: Actor;
  let chamber: Actor;
  beforeEach(async () => {
    stage = await Stage.open([JULIET, ROMEO], {
      environment: { POSTHORN_ROSTER_MAX_ITEMS: '3', POSTHORN_ROSTER_MAX_NAME_BYTES: '16' },
    });
    balcony = await stage.actor(`${JULIET}/balcony`);
    chamber = await stage.actor(`${JULIET}/chamber`);
  });

  const set = (actor: Actor, items: string, id = 'set'): Promise<void> =>
    actor.send(`<iq id='${id}' type='set'><query xmlns='jabber:iq:roster'>${items}</query></iq>`);
  const get = async (actor: Actor, ver?: string): Promise<string> => {
    const attribute = ver === void 0 ? '' : ` ver='${ver}'`;
    await actor.send(`<iq id='get' type='get'><query xmlns='jabber:iq:roster'${attribute}/></iq>`);
    return actor.take().at(-1) ?? '';
  };

  const expectError = (stanzas: readonly string[], condition: string): void => {
    expect(stanzas).to.have.length(1);
    expect(stanzas[0]).to.include(`type='error'`).and.include(`<${condition} `);
  };

  it('2.1.4: a roster without contacts is a query without items', async () => {
    expect(await get(balcony)).to.match(
      /^<iq [^>]*type='result'[^>]*><query xmlns='jabber:iq:roster' ver='0'\/><\/iq>$/,
    );
  });

  it('2.3.2: adding pushes to every resource that has asked for the roster, and to no other', async () => {
    const garden = await stage.actor(`${JULIET}/garden`);
    await balcony.enter();
    await get(chamber);
    await set(balcony, `<item jid='nurse@example.com' name='Nurse'><group>Servants</group></item>`);
    const item = `<item jid='nurse@example.com' name='Nurse' subscription='none'><group>Servants</group></item>`;
    const query = `<query xmlns='jabber:iq:roster' ver='1'>${item}</query>`;
    expect(chamber.take()).to.deep.equal([`<iq to='${JULIET}/chamber' id='push-1' type='set'>${query}</iq>`]);
    const [push, result] = balcony.take();
    expect(push).to.equal(`<iq to='${JULIET}/balcony' id='push-1' type='set'>${query}</iq>`);
    expect(result).to.include(`id='set'`).and.include(`type='result'`);
    expect(garden.take()).to.deep.equal([]);
    expect(await get(garden)).to.include(query);
  });

  it('2.4: an update replaces name and groups and keeps the subscription', async () => {
    await balcony.enter();
    await balcony.send(`<presence to='${ROMEO}' type='subscribe'/>`);
    await set(balcony, `<item jid='${ROMEO}' name='Romeo'><group>Friends</group><group>Lovers</group></item>`);
    await set(balcony, `<item jid='${ROMEO}'><group>Lovers</group></item>`);
    expect(await get(balcony)).to.include(
      `<item jid='${ROMEO}' subscription='none' ask='subscribe'><group>Lovers</group></item>`,
    );
  });

  it('2.1.2: a client sets neither subscription nor ask nor approval', async () => {
    await balcony.enter();
    await set(balcony, `<item jid='${ROMEO}' subscription='both' ask='subscribe' approved='true'/>`);
    expect(await get(balcony)).to.include(`<item jid='${ROMEO}' subscription='none'/>`);
  });

  for (const [what, items, condition] of [
    ['more than one item', `<item jid='nurse@example.com'/><item jid='mother@example.com'/>`, 'bad-request'],
    ['no item', '', 'bad-request'],
    ['an item of another namespace', `<item xmlns='urn:x' jid='nurse@example.com'/>`, 'bad-request'],
    ['no JID', `<item name='Nurse'/>`, 'bad-request'],
    ['a malformed JID', `<item jid='@example.com'/>`, 'bad-request'],
    [
      'an oversized handle',
      `<item jid='nurse@example.com' name='a name too long'/>`.replace('a name', 'a very long name'),
      'not-acceptable',
    ],
    ['duplicate groups', `<item jid='nurse@example.com'><group>A</group><group>A</group></item>`, 'bad-request'],
    ['an empty group', `<item jid='nurse@example.com'><group></group></item>`, 'not-acceptable'],
    [
      'an oversized group name',
      `<item jid='nurse@example.com'><group>the servants of the house</group></item>`,
      'not-acceptable',
    ],
    ['the own address', `<item jid='${JULIET}'/>`, 'not-allowed'],
    [
      'the removal of who is not there (2.5.3)',
      `<item jid='nurse@example.com' subscription='remove'/>`,
      'item-not-found',
    ],
  ] as const) {
    it(`2.3.3: ${what} is ${condition}, and changes nothing`, async () => {
      await balcony.enter();
      await set(balcony, items);
      expectError(balcony.take(), condition);
      expect(await get(balcony)).to.include(`ver='0'/>`);
    });
  }

  it('2.3.3: a roster set by a contact is forbidden, changes nothing, and by a stranger is no service', async () => {
    const romeo = await stage.actor(`${ROMEO}/orchard`);
    const steal = `<iq id='x' to='${JULIET}' type='set'><query xmlns='jabber:iq:roster'><item jid='${ROMEO}'/></query></iq>`;
    await romeo.send(steal);
    expectError(romeo.take(), 'service-unavailable');
    await romeo.send(`<presence to='${JULIET}' type='subscribe'/>`);
    await balcony.send(`<presence to='${ROMEO}' type='subscribed'/>`);
    const before = await get(balcony);
    romeo.take();
    await romeo.send(steal);
    expectError(romeo.take(), 'forbidden');
    expect(await get(balcony)).to.equal(before);
  });

  it('holds so many contacts, and lets those that are there be changed', async () => {
    for (const name of ['nurse', 'mercutio', 'benvolio']) await set(balcony, `<item jid='${name}@example.com'/>`);
    balcony.take();
    await set(balcony, `<item jid='paris@example.com'/>`);
    expectError(balcony.take(), 'not-allowed');
    await set(balcony, `<item jid='nurse@example.com' name='Nurse'/>`);
    expect(balcony.take().join('')).to.include(`type='result'`);
  });

  it('2.5.2: removing a contact of a mutual subscription sends unsubscribe and unsubscribed', async () => {
    const romeo = await stage.actor(`${ROMEO}/orchard`);
    await balcony.enter();
    await romeo.enter();
    for (const [one, other] of [
      [balcony, romeo],
      [romeo, balcony],
    ] as const) {
      const to = other === romeo ? ROMEO : JULIET;
      const from = other === romeo ? JULIET : ROMEO;
      await one.send(`<presence to='${to}' type='subscribe'/>`);
      await other.send(`<presence to='${from}' type='subscribed'/>`);
    }
    balcony.take();
    romeo.take();
    await set(balcony, `<item jid='${ROMEO}' subscription='remove'/>`);
    const [push] = balcony.take();
    expect(push).to.include(`<item jid='${ROMEO}' subscription='remove'/>`);
    const seen = romeo
      .take()
      .map((stanza) => /<(?:item|presence)[^>]* (?:type|subscription)='(\w+)'/.exec(stanza)?.[1]);
    // 3.3.3 and 3.2.3: each stanza before its push
    expect(seen).to.deep.equal(['unavailable', 'unsubscribe', 'to', 'unsubscribed', 'none']);
    expect(await get(balcony)).not.to.include(ROMEO);
  });

  it('2.6.3: a client that has the current version gets an empty result, and the pushes that follow', async () => {
    await set(balcony, `<item jid='nurse@example.com'/>`);
    balcony.take();
    expect(await get(balcony, '1')).to.match(/^<iq [^>]*type='result'\/>$/);
    await set(chamber, `<item jid='nurse@example.com' name='Nurse'/>`);
    expect(balcony.take().join('')).to.include(`ver='2'`).and.include(`name='Nurse'`);
    expect(await get(chamber, '1'))
      .to.include(`ver='2'`)
      .and.include(`name='Nurse'`);
    expect(await get(chamber, '')).to.include(`name='Nurse'`);
  });

  it('2.6.3: each push has the version of its own change, though several were under way', async () => {
    await balcony.enter();
    stage.put(
      chamber.session,
      `<iq id='a' type='set'><query xmlns='jabber:iq:roster'><item jid='nurse@example.com'/></query></iq>`,
    );
    stage.put(
      chamber.session,
      `<iq id='b' type='set'><query xmlns='jabber:iq:roster'><item jid='paris@example.com'/></query></iq>`,
    );
    await stage.settle();
    const pushes = balcony.take().map((push) => [/ver='(\d+)'/.exec(push)?.[1], /jid='(\w+)/.exec(push)?.[1]]);
    expect(pushes).to.deep.equal([
      ['1', 'nurse'],
      ['2', 'paris'],
    ]);
  });

  describe('2.6: while the disk has not answered', () => {
    let store: HeldStore;
    beforeEach(async () => {
      store = new HeldStore(new MemoryStore());
      const opening = Stage.open([JULIET], { store });
      await (await held()).land();
      stage = await opening;
      balcony = await stage.actor(`${JULIET}/balcony`);
    });
    const held = async (): Promise<(typeof store.held)[number]> => {
      while (store.held.length === 0) await new Promise((resolve) => setImmediate(resolve));
      return store.held.shift()!;
    };
    const put = (id: string, type: string, content: string, actor = balcony): void =>
      stage.put(actor.session, `<iq id='${id}' type='${type}'><query xmlns='jabber:iq:roster'>${content}</query></iq>`);

    it('a client that asks behind a change is shown it with its version, and not pushed it again', async () => {
      put('a', 'set', `<item jid='nurse@example.com'/>`);
      put('b', 'get', '');
      const batch = await held();
      expect(balcony.take()).to.deep.equal([]);
      await batch.land();
      await stage.settle();
      const stanzas = balcony.take();
      expect(stanzas).to.have.length(2);
      expect(stanzas.find((stanza) => stanza.includes(`id='b'`)))
        .to.include(`ver='1'`)
        .and.include('nurse');
      put('c', 'set', `<item jid='nurse@example.com' name='Nurse'/>`);
      await (await held()).land();
      await stage.settle();
      expect(balcony.take()[0]).to.include(`ver='2'`).and.include(`name='Nurse'`);
    });

    it('a client that asks is not shown what is refused, nor its version', async () => {
      put('a', 'set', `<item jid='nurse@example.com'/>`);
      put('b', 'get', '');
      (await held()).fail(new StoreError('full', 'the disk is full'));
      await stage.settle();
      const stanzas = balcony.take();
      expect(stanzas.find((stanza) => stanza.includes(`id='b'`))).to.match(/<query [^>]*ver='0'\/>/);
      put('c', 'set', `<item jid='paris@example.com'/>`);
      await (await held()).land();
      await stage.settle();
      expect(balcony.take()[0]).to.include(`ver='2'`);
    });
  });

  it('offers versioning and pre-approval on the stream (2.6.1, 3.4)', () => {
    const features = stage.core.streamFeatures.map((feature) => feature().toBytes());
    expect(features).to.include(`<ver xmlns='urn:xmpp:features:rosterver'/>`);
    expect(features).to.include(`<sub xmlns='urn:xmpp:features:pre-approval'/>`);
  });

  it('takes back what the store refused, and tells nobody of it', async () => {
    const store = new HeldStore(new MemoryStore());
    const opening = Stage.open([JULIET], { store });
    while (store.held.length === 0) await new Promise((resolve) => setImmediate(resolve));
    await store.held.shift()!.land();
    stage = await opening;
    balcony = await stage.actor(`${JULIET}/balcony`);
    await get(balcony);
    stage.put(
      balcony.session,
      `<iq id='a' type='set'><query xmlns='jabber:iq:roster'><item jid='nurse@example.com'/></query></iq>`,
    );
    while (store.held.length === 0) await new Promise((resolve) => setImmediate(resolve));
    store.held.shift()!.fail(new StoreError('full', 'the disk is full'));
    await stage.settle();
    expectError(balcony.take(), 'resource-constraint');
    expect(await get(balcony)).not.to.include('nurse');
  });
});
