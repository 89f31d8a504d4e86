import { expect } from 'chai';
import { setStage, type Actor, type Stage } from '../../support/module-harness.ts';

const query = (content: string, type: string, id: string, to = '') =>
  `<iq type='${type}' id='${id}' ${to}><query xmlns='jabber:iq:private'>${content}</query></iq>`;
const prefs = (nick: string) => `<exodus xmlns='exodus:prefs'><defaultnick>${nick}</defaultnick></exodus>`;

describe('server/modules/private-xml (XEP-0049)', () => {
  let stage: Stage;
  let juliet: Actor;

  beforeEach(async () => {
    stage = await setStage({ POSTHORN_LIMITS_MAX_PRIVATE_XML_BYTES: '400' });
    juliet = await stage.enter('juliet@capulet.example/balcony');
  });
  afterEach(() => stage.strike());

  const set = (content: string, id = '1001') => juliet.ask(query(content, 'set', id));
  const refusal = (content: string, type = 'set') => juliet.refusalOf(query(content, type, '1003'));
  const get = async (content = `<exodus xmlns='exodus:prefs'/>`, id = '1002') =>
    (await juliet.answerTo(query(content, 'get', id))).children.map((child) => child.toBytes()).join('');

  it('Examples 1 and 2: stores and gives back, to every device of the owner', async () => {
    const answer = await set(prefs('Giulietta Ψ &amp; co'));
    expect([answer.type, answer.content]).to.deep.equal(['result', '']);
    const phone = await stage.enter('juliet@capulet.example/phone');
    const found = await phone.answerTo(query(`<exodus xmlns='exodus:prefs'/>`, 'get', '1'));
    expect(found.child('exodus', 'exodus:prefs')?.child('defaultnick')?.text).to.equal('Giulietta Ψ & co');
  });

  it('gives back what was asked for, empty, where nothing is stored', async () => {
    expect(await get(`<roster xmlns='roster:delimiter'/>`)).to.equal(`<roster xmlns='roster:delimiter'/>`);
  });

  it('replaces what is stored, and keeps names and namespaces apart', async () => {
    await set(prefs('Hamlet'));
    await set(`<exodus xmlns='exodus:other'/><other xmlns='exodus:prefs'>x</other>`);
    await set(prefs('Ophelia'));
    expect(await get()).to.equal(prefs('Ophelia'));
    expect(await get(`<other xmlns='exodus:prefs'/>`)).to.equal(`<other xmlns='exodus:prefs'>x</other>`);
  });

  it('RFC 6120 10.1: who asks behind a write sees it without waiting for its answer', async () => {
    const [, found] = [set(prefs('Hamlet'), 'a'), get(undefined, 'b')];
    expect(await found).to.equal(prefs('Hamlet'));
  });

  for (const type of ['get', 'set']) {
    it(`Example 3: ${type} is for the owner alone`, async () => {
      await set(prefs('Hamlet'));
      const romeo = await stage.enter('romeo@montague.example/orchard');
      const request = query(prefs('Macbeth'), type, '1003', `to='juliet@capulet.example'`);
      expect(await romeo.refusalOf(request)).to.equal('cancel service-unavailable');
      expect(await get()).to.equal(prefs('Hamlet'));
    });
  }

  it('2.3: refuses requests without an element, and to store one without a namespace', async () => {
    expect(await refusal('', 'get')).to.equal('modify bad-request');
    expect(await refusal('')).to.equal('modify not-acceptable');
    expect(await refusal(`${prefs('Hamlet')}<bare/>`)).to.equal('modify not-acceptable');
    expect(await refusal(`<a xmlns='urn:a'/><b xmlns='urn:b'/>`, 'get')).to.equal('modify bad-request');
    expect(await refusal(prefs('Hamlet') + prefs('Ophelia'))).to.equal('modify bad-request');
    expect(await get()).to.equal(`<exodus xmlns='exodus:prefs'/>`);
  });

  it('refuses what exceeds the limit, keeps what was there, and takes what fits again', async () => {
    await set(prefs('Hamlet'));
    expect(await refusal(prefs('x'.repeat(400)))).to.equal('wait resource-constraint');
    expect(await refusal(`<a xmlns='urn:a'>${'x'.repeat(300)}</a>`)).to.equal('wait resource-constraint');
    expect(await get()).to.equal(prefs('Hamlet'));
    expect((await set(prefs('Ophelia'))).type).to.equal('result');
  });

  it('stores all elements of a request or none', async () => {
    await set(prefs('Hamlet'));
    const tooMuch = `${prefs('Ophelia')}<a xmlns='urn:a'>${'x'.repeat(300)}</a>`;
    expect(await refusal(tooMuch)).to.equal('wait resource-constraint');
    expect(await get()).to.equal(prefs('Hamlet'));
  });
});
