import { expect } from 'chai';

import { fromByteString } from '../../../stanzas/byte-string.ts';
import { frameOf } from '../../stanzas/scanner-events.ts';
import { header, nextTurn, plainAuth, StreamStage, type StreamPlayer } from '../../support/stream-stage.ts';

describe('server/streams: what a client sends once it is in (RFC 6120 8, 11)', () => {
  let stage: StreamStage;
  let juliet: StreamPlayer;
  let romeo: StreamPlayer;

  beforeEach(async () => {
    stage = await StreamStage.open();
    juliet = stage.connectSecurely();
    await juliet.enter('juliet', 'balcony');
    romeo = stage.connectSecurely();
    await romeo.enter('romeo', 'orchard');
  });

  const to = `to='romeo@capulet.example/orchard'`;

  // The errors of 4.9.3 and 11 that a client can provoke here; what opens a stream is in stream-opening.test.ts.
  const REFUSED: readonly (readonly [what: string, bytes: string, condition: string])[] = [
    ['4.9.3.9: another sender', `<message from='nurse@capulet.example' ${to}/>`, 'invalid-from'],
    ['4.9.3.9: another resource', `<message from='juliet@capulet.example/chamber' ${to}/>`, 'invalid-from'],
    ['4.9.3.9: the domain', `<iq from='capulet.example' id='1' type='get' ${to}/>`, 'invalid-from'],
    ['4.9.3.9: a sender that is no address', `<message from='@' ${to}/>`, 'invalid-from'],
    ['4.9.3.13: no closing tag', `<message ${to}><body>No closing tag!</message>`, 'not-well-formed'],
    ['4.9.3.18: a comment', `<message ${to}><!--<subject/>--><body/></message>`, 'restricted-xml'],
    ['11.1: a processing instruction', `<?xml-stylesheet href='a'?>`, 'restricted-xml'],
    ['11.1: an entity', `<message ${to}><body>&romeo;</body></message>`, 'restricted-xml'],
    ['11.1: a document type', '<!DOCTYPE message>', 'restricted-xml'],
    ['4.9.3.1: text between elements', 'Romeo, Romeo', 'bad-format'],
    ['4.9.3.24: SASL', plainAuth('juliet'), 'unsupported-stanza-type'],
    [
      '4.9.3.24: compression, which is not offered',
      `<compress xmlns='http://jabber.org/protocol/compress'><method>zlib</method></compress>`,
      'unsupported-stanza-type',
    ],
    ['4.9.3.24: features', '<stream:features/>', 'unsupported-stanza-type'],
    ['4.3.3: another header', header().replace(/^<\?.*?\?>/, ''), 'bad-format'],
  ];
  for (const [what, bytes, condition] of REFUSED) {
    it(`${what}: ${condition}; what came before is delivered, what comes behind is not`, async () => {
      juliet.send(`<message ${to} id='before'><body/></message>${bytes}<message ${to} id='behind'><body/></message>`);
      expect(await juliet.refusal()).to.equal(condition);
      await romeo.until(/<message [^>]*id='before'/);
      expect(await romeo.fence()).not.to.match(/<message/);
      expect(stage.core.table.sessionCount).to.equal(1);
    });
  }

  it('11.6: bytes that are no UTF-8: unsupported-encoding', async () => {
    juliet.connection.send(`<message ${to}><body>\xe9</body></message>`);
    expect(await juliet.refusal()).to.equal('unsupported-encoding');
    expect(await romeo.fence()).not.to.include('<message');
  });

  it('comes from the full JID, whether it says so or not, or says the bare one (8.1.2.1)', async () => {
    for (const from of ['', `from='juliet@capulet.example'`, `from='JULIET@capulet.example/balcony'`]) {
      juliet.send(`<message ${from} ${to}><body/></message>`);
      expect(await romeo.until(/<message [^>]*>/)).to.include(`from='juliet@capulet.example/balcony'`);
    }
  });

  describe('limits (13.12, XEP-0478)', () => {
    const message = (bytes: number): string => {
      const around = `<message ${to}><body></body></message>`;
      return around.replace('<body>', `<body>${'x'.repeat(bytes - around.length)}`);
    };

    it('are kept as announced: the largest stanza is delivered, one byte more is policy-violation', async () => {
      juliet.send(message(262_144));
      await romeo.until(/<\/message>/);
      juliet.send(message(262_145));
      expect(await juliet.refusal()).to.equal('policy-violation');
      expect(await romeo.fence()).not.to.include('<message');
    });

    it('are lower before the login', async () => {
      const auth = (bytes: number): string => {
        const around = `<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'></auth>`;
        return around.replace('><', `>${'A'.repeat(bytes - around.length)}<`);
      };
      const client = stage.connectSecurely();
      await client.open();
      client.send(auth(65_536));
      await client.until(/<failure.*<\/failure>/);
      client.send(auth(65_537));
      expect(await client.refusal()).to.equal('policy-violation');
    });

    it('hold for a header too', async () => {
      const client = stage.connect();
      client.send(header({ id: 'x'.repeat(70_000) }));
      expect(await client.refusal()).to.equal('policy-violation');
    });

    it('hold for depth and attributes', async () => {
      for (const bytes of [
        '<message>' + '<a>'.repeat(64),
        `<message ${Array.from({ length: 65 }, (_, index) => `a${index}=''`).join(' ')}/>`,
      ]) {
        const client = stage.connectSecurely();
        await client.enter('juliet', 'chamber');
        client.send(bytes);
        expect(await client.refusal()).to.equal('policy-violation');
      }
    });

    it('slow down who sends too much at once, and lose nothing of it', async () => {
      stage = await StreamStage.open({
        environment: { POSTHORN_C2S_BYTES_PER_SECOND: '10000', POSTHORN_C2S_BURST_BYTES: '10000' },
      });
      const [sender, reader] = [stage.connectSecurely(), stage.connectSecurely()];
      await sender.enter('juliet', 'balcony');
      await reader.enter('romeo', 'orchard');
      for (let n = 0; n < 30; n++) sender.send(`<message ${to} id='n${n}'><body>${'x'.repeat(1000)}</body></message>`);
      expect(sender.connection.paused).to.equal(true);
      const early = await reader.fence();
      expect(early).to.include(`id='n0'`).and.not.include(`id='n29'`);
      let late = '';
      for (let second = 0; second < 5 && !late.includes(`id='n29'`); second++) {
        stage.pass(1);
        await nextTurn();
        late += await reader.fence();
      }
      const ids = [...(early + late).matchAll(/<message [^>]*id='n(\d+)'/g)].map(([, n]) => Number(n));
      expect(ids).to.deep.equal(Array.from({ length: 30 }, (_, n) => n));
    });

    it('end who sends on without reading the answers, with resource-constraint (4.9.3.17)', async () => {
      juliet.send(`<enable xmlns='urn:xmpp:sm:3'/>`);
      await juliet.until(/<enabled[^>]*>/);
      juliet.connection.stalledBytes = 16 * 1024 * 1024 + 1;
      juliet.send(`<r xmlns='urn:xmpp:sm:3'/>`);
      expect(await juliet.refusal()).to.equal('resource-constraint');
      expect(stage.core.table.sessionCount).to.equal(1);
    });
  });
});

for (const history of ['on', 'off']) {
  describe(`server/streams: how a client writes a message, with history ${history}`, () => {
    const to = `to='romeo@capulet.example/orchard'`;
    let stage: StreamStage;
    let juliet: StreamPlayer;
    let romeo: StreamPlayer;

    beforeEach(async () => {
      stage = await StreamStage.open({ environment: { POSTHORN_MESSAGES_HISTORY: history } });
      juliet = stage.connectSecurely();
      await juliet.enter('juliet', 'balcony', { lang: 'en' });
      romeo = stage.connectSecurely();
      await romeo.enter('romeo', 'orchard');
    });

    it('is its own affair: it is the same message', async () => {
      const body = '<body>Ay me \u2665</body>';
      for (const [index, tag] of [
        `${to} type='chat'>`,
        `type="chat" to="romeo@capulet.example/orchard">`,
        `\n${to}\n\ttype='chat' >`,
        `to='Romeo@CAPULET.example/orchard' type='chat'>`,
        `to='romeo@capulet.example&#x2F;orchard' type='chat'>`,
        `xmlns='jabber:client' ${to} type='chat'>`,
        `from='juliet@capulet.example' ${to} type='chat'>`,
        `xml:lang='en' ${to} type='chat'>`,
      ].entries()) {
        juliet.send(`<message id='${index}' ${tag}${body}</message>`);
        const {
          name,
          to: whom,
          from,
          id,
          type,
          lang,
          others,
          content,
        } = frameOf(await romeo.until(/<message .*<\/message>/s));
        expect({ name, whom, from, id, type, lang, others }, tag).to.deep.equal({
          name: 'message',
          whom: 'romeo@capulet.example/orchard',
          from: 'juliet@capulet.example/balcony',
          id: String(index),
          type: 'chat',
          lang: 'en',
          others: '',
        });
        expect(fromByteString(content).startsWith(body), tag).to.equal(true);
      }
    });

    it('has the language of its stream unless it says another (RFC 6120 8.1.5)', async () => {
      for (const [lang, expected] of [
        ['', 'en'],
        [`xml:lang='it'`, 'it'],
      ] as const) {
        juliet.send(`<message ${lang} ${to}><body/></message>`);
        expect(frameOf(await romeo.until(/<message .*<\/message>/)).lang).to.equal(expected);
      }
    });

    it('keeps attributes and prefixes that nobody here knows', async () => {
      juliet.send(`<message ${to} xmlns:a='urn:a' a:b='"'><a:c/><body>.</body></message>`);
      const { others, children } = frameOf(await romeo.until(/<message .*<\/message>/));
      expect(others).to.equal(` xmlns:a='urn:a' a:b='"'`);
      expect(children[0]).to.include({ name: 'c', namespace: 'urn:a' });
    });

    it('goes where each says, also where that is the same text in another case', async () => {
      for (const name of ['romeo', 'juliet', 'ROMEO', 'romeo', 'JULIET']) {
        const isOwn = name.toLowerCase() === 'juliet';
        juliet.send(
          `<message to='${name}@capulet.example/${isOwn ? 'balcony' : 'orchard'}'><body>${name}</body></message>`,
        );
        const received = await (isOwn ? juliet : romeo).until(/<message .*<\/message>/);
        expect(received).to.include(`<body>${name}</body>`);
      }
    });
  });
}
