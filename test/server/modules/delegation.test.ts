import { expect } from 'chai';

import { ComponentStage, type ComponentPlayer } from '../../support/component-stage.ts';
import type { Actor } from '../../support/core.ts';

const PUBSUB = 'pubsub.example.com';
const MOOD = 'http://jabber.org/protocol/pubsub';
const DISCO = 'http://jabber.org/protocol/disco';

describe('a component to which namespaces are delegated (XEP-0355)', () => {
  let stage: ComponentStage;
  let juliet: Actor;
  let component: ComponentPlayer;
  let welcome: string;

  beforeEach(async () => {
    const delegated = [
      { namespace: MOOD },
      { namespace: 'jabber:iq:private', attributes: ['node'] },
      { namespace: 'urn:xmpp:delegation:2:bare:disco#items:*' },
      { namespace: 'urn:xmpp:delegation:2:bare:disco#info:*' },
    ];
    const privileges = { iq: [{ namespace: MOOD, type: 'both' }] };
    stage = await ComponentStage.open(
      ['juliet@example.com', 'romeo@example.com', 'nurse@example.net'],
      [{ domain: PUBSUB, name: 'PubSub', delegated, ...privileges }],
    );
    juliet = await stage.play.actor('juliet@example.com/balcony');
    await juliet.enter();
    component = stage.connect();
    welcome = await component.enter(PUBSUB);
    await component.answerPings();
  });

  const request = (payload: string, attributes = ''): string => `<iq id='pep1' type='get'${attributes}>${payload}</iq>`;
  const mood = `<pubsub xmlns='${MOOD}'/>`;

  /** What the component is sent because of it. */
  async function delegate(stanza: string, who = juliet): Promise<string> {
    await who.send(stanza);
    component.connection.flush();
    return component.connection.take();
  }

  /** The component answers what came; what Juliet hears. */
  async function answer(came: string, inner: string, type = 'result'): Promise<string> {
    const id = /^<iq [^>]*id='([^']+)'/.exec(came)?.[1] ?? '';
    await component.send(
      `<iq from='${PUBSUB}' to='example.com' id='${id}' type='${type}'><delegation xmlns='urn:xmpp:delegation:2'>` +
        `<forwarded xmlns='urn:xmpp:forward:0'>${inner}</forwarded></delegation></iq>`,
    );
    return juliet.take().join('');
  }
  const result = (attributes = `to='juliet@example.com/balcony' id='pep1' type='result'`, payload = mood): string =>
    `<iq xmlns='jabber:client' ${attributes}>${payload}</iq>`;

  it('Example 1: is told which', () => {
    expect(welcome)
      .to.include(`<delegated namespace='${MOOD}'/>`)
      .and.include(`<delegated namespace='jabber:iq:private'><attribute name='node'/></delegated>`);
  });

  for (const attributes of ['', ` to='juliet@example.com'`, ` to='example.com'`]) {
    it(`Examples 3 to 5: answers a request${attributes} in place of the server`, async () => {
      const came = await delegate(request(mood, attributes));
      expect(came).to.match(
        /^<iq to='pubsub.example.com' from='example.com' id='[^']+' type='set'><delegation xmlns='urn:xmpp:delegation:2'><forwarded xmlns='urn:xmpp:forward:0'><iq xmlns='jabber:client' [^>]*from='juliet@example.com\/balcony' id='pep1' type='get'><pubsub /,
      );
      expect(juliet.take()).to.deep.equal([]);
      expect(await answer(came, result())).to.match(
        /^<iq to='juliet@example.com\/balcony' from='[^']+' id='pep1' type='result'><pubsub xmlns='http:\/\/jabber.org\/protocol\/pubsub'\/><\/iq>$/,
      );
    });
  }

  for (const [why, inner, type] of [
    ['another recipient', result(`to='nurse@example.net' id='pep1' type='result'`), 'result'],
    ['another sender', result(`to='juliet@example.com/balcony' from='a@b' id='pep1' type='result'`), 'result'],
    ['another id', result(`to='juliet@example.com/balcony' id='x' type='result'`), 'result'],
    ['no result inside', result(`to='juliet@example.com/balcony' id='pep1' type='error'`), 'result'],
    ['nothing', '', 'result'],
    ['an error', '', 'error'],
  ] as const) {
    it(`Juliet is told service-unavailable where it answers with ${why}`, async () => {
      expect(await answer(await delegate(request(mood)), inner, type)).to.match(/type='error'.*<service-unavailable/);
    });
  }

  it('Juliet is told service-unavailable where it is away, or goes away', async () => {
    await delegate(request(mood));
    component.connection.close(new Error('reset'));
    await stage.play.settle();
    expect(juliet.take().join('')).to.match(/type='error'.*<service-unavailable/);
    await juliet.send(request(mood));
    expect(juliet.take().join('')).to.match(/type='error'.*<service-unavailable/);
  });

  it('is given only what has the attribute, is of its domain, and is not its own', async () => {
    const settings = `<query xmlns='jabber:iq:private'><a xmlns='urn:a'/></query>`;
    expect(await delegate(request(settings))).to.equal('');
    expect(juliet.take().join('')).to.include(`type='result'`);
    expect(await delegate(request(settings.replace('<query', `<query node='n'`)))).to.include('<delegation');
    const nurse = await stage.play.actor('nurse@example.net/house');
    expect(await delegate(request(mood), nurse)).to.equal('');
    const own = await component.send(
      `<iq from='${PUBSUB}' to='juliet@example.com' id='own' type='get'><pubsub xmlns='${MOOD}'/></iq>`,
    );
    expect(own)
      .to.match(/id='own' type='error'/)
      .and.not.include('<delegation');
  });

  it('is not given what it asks itself in the name of an account (XEP-0356): it would ask itself for ever', async () => {
    const came = await component.send(
      `<iq from='${PUBSUB}' to='juliet@example.com' id='own' type='get'><privileged_iq xmlns='urn:xmpp:privilege:2'>` +
        `<iq xmlns='jabber:client' id='in' type='get'>${mood}</iq></privileged_iq></iq>`,
    );
    expect(came)
      .to.match(/id='own' type='result'.*id='in' type='error'.*<service-unavailable/)
      .and.not.include('<delegation');
  });

  it('is given what somebody else sends under the id of a request that it has made in the name of an account', async () => {
    await component.send(
      `<iq from='${PUBSUB}' to='juliet@example.com' id='own' type='get'><privileged_iq xmlns='urn:xmpp:privilege:2'>` +
        `<iq xmlns='jabber:client' id='in' type='get' to='montague@example.org'>${mood}</iq></privileged_iq></iq>`,
    );
    const [abroad = ''] = stage.play.takeAbroad();
    const id = / id='([^']+)'/.exec(abroad)?.[1] ?? '';
    expect(id).not.to.equal('');
    expect(await delegate(request(mood).replace('pep1', id))).to.include('<delegation');
  });

  it('is given so many requests of one person at a time that it has time for the others', async () => {
    const romeo = await stage.play.actor('romeo@example.com/orchard');
    let came = '';
    for (let n = 0; n < 100; n++) came = await delegate(request(mood));
    expect(juliet.take()).to.deep.equal([]);
    expect(await delegate(request(mood))).to.equal('');
    expect(juliet.take().join('')).to.match(/type='error'.*<resource-constraint/);
    expect(await delegate(request(mood), romeo)).to.include('<delegation');
    expect(await answer(came, result())).to.include(`type='result'`);
    expect(await delegate(request(mood))).to.include('<delegation');
  });

  it('answers service discovery of accounts, but for what the server says itself', async () => {
    const info = (node: string): string => request(`<query xmlns='${DISCO}#info'${node}/>`, ` to='juliet@example.com'`);
    expect(await delegate(info(''))).to.equal('');
    expect(juliet.take().join('')).to.include(`category='account'`);
    expect(await delegate(info(` node='urn:xmpp:microblog:0'`))).to.include('<delegation');
    expect(await delegate(request(`<query xmlns='${DISCO}#items'/>`, ` to='juliet@example.com'`))).to.include(
      '<delegation',
    );
  });

  it('"Nesting": its features are the server’s, as long as it is there', async () => {
    const [, id = ''] =
      /id='([^']+)' type='get'><query xmlns='[^']+' node='urn:xmpp:delegation:2::http:[^']+pubsub'/.exec(welcome) ?? [];
    await component.send(
      `<iq from='${PUBSUB}' to='example.com' id='${id}' type='result'><query xmlns='${DISCO}#info'><feature var='${MOOD}'/><feature var='${MOOD}#publish'/><feature var='urn:xmpp:ping'/></query></iq>`,
    );
    const ask = async (): Promise<string> => {
      await juliet.send(request(`<query xmlns='${DISCO}#info'/>`, ` to='example.com'`));
      return juliet.take().join('');
    };
    const told = await ask();
    expect(told).to.include(`<feature var='${MOOD}#publish'/>`).and.include(`<feature var='urn:xmpp:delegation:2'/>`);
    expect(told.match(/urn:xmpp:ping/g)).to.have.length(1);
    component.connection.close();
    await stage.play.settle();
    expect(await ask()).not.to.include(MOOD);
  });
});
