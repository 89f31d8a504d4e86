import { expect } from 'chai';
import { setStage, type Actor, type Stage } from '../../support/module-harness.ts';

const PING = `<ping xmlns='urn:xmpp:ping'/>`;

describe('server/modules/ping (XEP-0199)', () => {
  let stage: Stage;
  let juliet: Actor;

  beforeEach(async () => {
    stage = await setStage();
    juliet = await stage.enter('juliet@capulet.example/balcony');
  });
  afterEach(() => stage.strike());

  it('4.2: answers a ping to the server', async () => {
    const pong = await juliet.ask(`<iq to='capulet.example' id='c2s1' type='get'>${PING}</iq>`);
    expect(pong.toBytes()).to.equal(
      `<iq to='juliet@capulet.example/balcony' from='capulet.example' id='c2s1' type='result'/>`,
    );
  });

  for (const to of ['', `to='juliet@capulet.example'`]) {
    it(`4.2: answers a ping to ${to === '' ? 'nobody' : 'the own bare JID'}`, async () => {
      const pong = await juliet.ask(`<iq ${to} id='c2s2' type='get'>${PING}</iq>`);
      expect([pong.type, pong.from?.full, pong.content]).to.deep.equal(['result', 'juliet@capulet.example', '']);
    });
  }

  it('refuses a ping of type set', async () => {
    const refusal = await juliet.refusalOf(`<iq to='capulet.example' id='c2s3' type='set'>${PING}</iq>`);
    expect(refusal).to.equal('cancel service-unavailable');
  });

  it('RFC 6120 13.11: tells only who has a subscription that an account exists', async () => {
    const romeo = await stage.enter('romeo@montague.example/orchard');
    const tybalt = await stage.enter('tybalt@capulet.example/street');
    const ask = (whom: string) => `<iq to='${whom}@capulet.example' id='p1' type='get'>${PING}</iq>`;
    expect((await romeo.ask(ask('juliet'))).type).to.equal('result');
    const existing = await tybalt.ask(ask('juliet'));
    const absent = await tybalt.ask(ask('rosaline'));
    expect(existing.toBytes().replace('juliet', 'rosaline')).to.equal(absent.toBytes());
    expect(existing.type).to.equal('error');
  });
});
