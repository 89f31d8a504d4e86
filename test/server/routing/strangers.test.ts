import { expect } from 'chai';
import { Stage } from '../../support/core.ts';

const JULIET = 'juliet@example.com'; // has an account
const ROSALINE = 'rosaline@example.com'; // has none
const TYBALT = 'tybalt@example.org'; // on another server, and in nobody's roster

const iq =
  (content: string, type = 'get') =>
  (to: string) =>
    `<iq from='${TYBALT}/house' to='${to}' type='${type}' id='x'>${content}</iq>`;
const message =
  (type: string, content: string, resource = '') =>
  (to: string) =>
    `<message from='${TYBALT}/house' to='${to}${resource}' type='${type}' id='x'>${content}</message>`;
const presence = (type: string, resource = '') =>
  `<presence from='${TYBALT}' to='WHOM${resource}' type='${type}' id='x'/>`;
const presences =
  (...stanzas: string[]) =>
  (to: string) =>
    stanzas.map((stanza) => stanza.replace('WHOM', to));

const BODY = '<body>What, drawn, and talk of peace?</body>';
const TYPING = `<composing xmlns='http://jabber.org/protocol/chatstates'/>`;
const RECEIPT = `<received xmlns='urn:xmpp:receipts' id='y'/>`;
const ROSTER = `<query xmlns='jabber:iq:roster'><item jid='${TYBALT}'/></query>`;

describe('RFC 6120 13.11, RFC 6121 8.5.1: to a stranger, somebody who is away and nobody look alike', () => {
  const probing: readonly (readonly [what: string, stanzas: (to: string) => string | string[], answer: string])[] = [
    ['a probe', presences(presence('probe')), 'unsubscribed'],
    ['a probe of a resource', presences(presence('probe', '/balcony')), 'unsubscribed'],
    ['a request and a probe', presences(presence('subscribe'), presence('probe')), 'unsubscribed'],
    ['a request', presences(presence('subscribe')), ''],
    ['a request that is taken back', presences(presence('subscribe'), presence('unsubscribe')), ''],
    ['an approval', presences(presence('subscribed')), ''],
    ['a cancellation', presences(presence('unsubscribed')), ''],
    ['presence of an unknown type', presences(presence('invisible')), 'bad-request'],
    ['available presence', (to) => `<presence from='${TYBALT}/house' to='${to}' id='x'/>`, ''],
    ['unavailable presence', presences(presence('unavailable')), ''],
    ['a request that nobody knows', iq(`<query xmlns='urn:example:unknown'/>`), 'service-unavailable'],
    ['a ping', iq(`<ping xmlns='urn:xmpp:ping'/>`), 'service-unavailable'],
    ['a request with two children', iq(`<a xmlns='urn:a'/><b xmlns='urn:b'/>`), 'service-unavailable'],
    ['a request without a child', iq(''), 'service-unavailable'],
    ['a roster get', iq(`<query xmlns='jabber:iq:roster'/>`), 'service-unavailable'],
    ['a roster set', iq(ROSTER, 'set'), 'service-unavailable'],
    ['a malformed roster set', iq(`<query xmlns='jabber:iq:roster'/>`, 'set'), 'service-unavailable'],
    ['an IQ result', iq('', 'result'), ''],
    ['a headline', message('headline', BODY), ''],
    ['a headline for a resource', message('headline', BODY, '/balcony'), ''],
    ['a groupchat message', message('groupchat', BODY), 'service-unavailable'],
    ['a groupchat message for a resource', message('groupchat', BODY, '/balcony'), ''],
    ['a message of type error', message('error', BODY), ''],
    ['a chat state', message('chat', TYPING), ''],
    ['a chat state for a resource', message('chat', TYPING, '/balcony'), ''],
    ['a receipt', message('normal', RECEIPT), ''],
    ['a receipt for a resource', message('normal', RECEIPT, '/balcony'), ''],
    ['a message of nothing', message('normal', ''), ''],
    ['a message for a resource', message('normal', BODY, '/balcony'), 'service-unavailable'],
    ['a message not to be stored', message('chat', `${BODY}<no-store xmlns='urn:xmpp:hints'/>`), 'service-unavailable'],
  ];

  for (const [what, stanzas, expected] of probing) {
    it(`${what}: ${expected === '' ? 'no answer' : expected}`, async () => {
      const stage = await Stage.open([JULIET]);
      const answers: string[] = [];
      for (const to of [JULIET, ROSALINE]) {
        for (const stanza of [stanzas(to)].flat()) await stage.receive(stanza);
        answers.push(stage.takeAbroad().join('').replaceAll(to, 'WHOM'));
      }
      expect(answers[0]).to.equal(answers[1]);
      if (expected === '') expect(answers[0]).to.equal('');
      else expect(answers[0]).to.include(expected);
    });
  }

  it('requests beyond those that are kept are dropped without a word', async () => {
    const stage = await Stage.open([JULIET]);
    for (let n = 0; n < 251; n++) {
      await stage.receive(`<presence from='stranger-${n}@example.org' to='${JULIET}' type='subscribe'/>`);
    }
    expect(stage.takeAbroad()).to.deep.equal([]);
  }).timeout(20_000);

  // 8.5.3.1, 8.5.3.2.1: what has a body shows itself where it arrives
  for (const [type, content] of [
    ['headline', BODY],
    ['groupchat', BODY],
    ['normal', TYPING],
    ['chat', TYPING],
  ] as const) {
    it(`13.10.2: a resource that is there and one that is not look alike to a ${type} message of ${content.slice(1, 5)}`, async () => {
      const stage = await Stage.open([JULIET]);
      const balcony = await stage.actor(`${JULIET}/balcony`);
      await stage.receive(message(type, content, '/balcony')(JULIET));
      expect(balcony.take()).to.have.length(1);
      await stage.receive(message(type, content, '/chamber')(JULIET));
      expect(balcony.take()).to.deep.equal([]);
      expect(stage.takeAbroad()).to.deep.equal([]);
    });
  }

  it('8.1: who sees the presence of an account is told which resource is not there', async () => {
    const stage = await Stage.open([JULIET]);
    const balcony = await stage.actor(`${JULIET}/balcony`);
    await stage.receive(`<presence from='${TYBALT}' to='${JULIET}' type='subscribe'/>`);
    await balcony.send(`<presence to='${TYBALT}' type='subscribed'/>`);
    stage.takeAbroad();
    for (const type of ['normal', 'groupchat', 'headline']) {
      await stage.receive(message(type, BODY, '/chamber')(JULIET));
      expect(stage.takeAbroad().join(''), type).to.include('<service-unavailable ');
    }
    await stage.receive(iq(ROSTER, 'set')(JULIET));
    expect(stage.takeAbroad().join('')).to.include('<forbidden '); // 2.3.3
  });

  it('4.3.2: a suspended account is away to its subscribers, and not there to anybody else', async () => {
    const stage = await Stage.open([JULIET]);
    const balcony = await stage.actor(`${JULIET}/balcony`);
    await stage.receive(`<presence from='mercutio@example.org' to='${JULIET}' type='subscribe'/>`);
    await balcony.send(`<presence to='mercutio@example.org' type='subscribed'/>`);
    await stage.storage.accounts.update(JULIET, (record) => ({ ...record, disabled: true }));
    await stage.core.table.retire(JULIET, (session) => stage.core.table.end(session));
    await stage.settle();
    stage.takeAbroad();
    for (const [from, type] of [
      ['mercutio@example.org', 'unavailable'],
      [TYBALT, 'unsubscribed'],
    ] as const) {
      await stage.receive(`<presence from='${from}' to='${JULIET}' type='probe' id='probe1'/>`);
      expect(stage.takeAbroad()).to.deep.equal([
        `<presence to='${from}' from='${JULIET}' id='probe1' type='${type}'/>`,
      ]);
    }
    await stage.receive(message('chat', BODY)(JULIET));
    expect(stage.takeAbroad().join('')).to.include('<service-unavailable ');
  });
});
