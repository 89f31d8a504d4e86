import { expect } from 'chai';
import { featuresOf, setStage, type Actor, type Stage } from '../../support/module-harness.ts';

const INFO = 'http://jabber.org/protocol/disco#info';
const ITEMS = 'http://jabber.org/protocol/disco#items';

describe('server/modules/disco (XEP-0030)', () => {
  let stage: Stage;
  let juliet: Actor;
  let romeo: Actor;
  let tybalt: Actor;

  beforeEach(async () => {
    stage = await setStage();
    juliet = await stage.enter('juliet@capulet.example/balcony');
    romeo = await stage.enter('romeo@montague.example/orchard');
    tybalt = await stage.enter('tybalt@capulet.example/street');
  });
  afterEach(() => stage.strike());

  const ask = (to: string, namespace: string, node = '') =>
    `<iq to='${to}' id='info1' type='get'><query xmlns='${namespace}'${node === '' ? '' : ` node='${node}'`}/></iq>`;

  it('Example 2: the server is an instant messaging server and names each feature once', async () => {
    const info = await romeo.answerTo(ask('capulet.example', INFO));
    const identities = info.childrenNamed('identity').map((identity) => identity.toBytes(INFO));
    expect(identities).to.deep.equal([`<identity category='server' type='im' name='Posthorn'/>`]);
    const features = featuresOf(info);
    expect(features).to.include.members([INFO, ITEMS, 'urn:xmpp:ping', 'jabber:iq:version', 'urn:xmpp:time']);
    expect(new Set(features).size).to.equal(features.length);
  });

  it('the server has no items yet and no nodes', async () => {
    expect((await romeo.answerTo(ask('capulet.example', ITEMS))).toBytes()).to.equal(`<query xmlns='${ITEMS}'/>`);
    for (const namespace of [INFO, ITEMS]) {
      const refusal = await romeo.refusalOf(ask('capulet.example', namespace, 'http://jabber.org/protocol/tune'));
      expect(refusal).to.equal('cancel item-not-found');
    }
  });

  for (const [who, client] of [
    ['its owner', () => juliet],
    ['a contact who receives its presence', () => romeo],
  ] as const) {
    it(`Example 6: describes an account to ${who}`, async () => {
      const info = await client().answerTo(ask('juliet@capulet.example', INFO));
      expect(info.child('identity')?.toBytes(INFO)).to.equal(`<identity category='account' type='registered'/>`);
      expect(featuresOf(info)).to.include(INFO);
    });

    it(`lists no items of an account, nor nodes, to ${who}`, async () => {
      const items = await client().answerTo(ask('juliet@capulet.example', ITEMS));
      expect(items.toBytes()).to.equal(`<query xmlns='${ITEMS}'/>`);
      const refusal = await client().refusalOf(ask('juliet@capulet.example', INFO, 'tunes'));
      expect(refusal).to.equal('cancel item-not-found');
    });
  }

  it('section 8: a stranger cannot tell an account from none, with a node or without', async () => {
    for (const namespace of [INFO, ITEMS]) {
      for (const node of ['', 'tunes']) {
        const existing = await tybalt.ask(ask('juliet@capulet.example', namespace, node));
        const absent = await tybalt.ask(ask('rosaline@capulet.example', namespace, node));
        expect(existing.toBytes()).to.include('<service-unavailable ');
        expect(existing.toBytes().replace('juliet', 'rosaline')).to.equal(absent.toBytes());
      }
    }
  });

  it('a subscription in the other direction opens nothing', async () => {
    expect(await juliet.refusalOf(ask('romeo@montague.example', INFO))).to.equal('cancel service-unavailable');
  });
});
