import { expect } from 'chai';

import { header, plainAuth, StreamStage, type HeaderAttributes } from '../../support/stream-stage.ts';

const STREAMS = 'http://etherx.jabber.org/streams';
const SASL = 'urn:ietf:params:xml:ns:xmpp-sasl';

/** The attributes of the response header, which must come first, behind its XML declaration. */
function responseOf(sent: string): Record<string, string> {
  const form = /^<\?xml version='1\.0'\?><stream:stream ([^>]*)>/.exec(sent);
  if (form === null) throw new Error(`no stream header at the beginning of: ${sent}`);
  const pairs = [...(form[1] ?? '').matchAll(/([\w:]+)='([^']*)'/g)];
  return Object.fromEntries(pairs.map(([, name = '', value = '']) => [name, value]));
}

describe('server/streams: opening a stream (RFC 6120 4.2, 4.7, 4.8)', () => {
  let stage: StreamStage;

  beforeEach(async () => {
    stage = await StreamStage.open();
  });

  describe('the response header', () => {
    it('is of the domain that was asked for, in the same namespaces', async () => {
      const sent = await stage.connect().open({ to: 'montague.example' });
      expect(responseOf(sent)).to.include({
        from: 'montague.example',
        version: '1.0',
        'xml:lang': 'en',
        xmlns: 'jabber:client',
        'xmlns:stream': STREAMS,
      });
    });

    it('is addressed to the bare JID that the header is from, and to nobody where it is from nobody (4.7.2)', async () => {
      const named = await stage.connect().open({ from: 'Juliet@Capulet.Example/balcony' });
      expect(responseOf(named)).to.have.property('to', 'juliet@capulet.example');
      expect(responseOf(await stage.connect().open())).not.to.have.property('to');
      expect(responseOf(await stage.connect().open({ from: '@capulet.example' }))).not.to.have.property('to');
    });

    it('has an id that nobody can guess, another for each stream, whatever id the client names (4.7.3)', async () => {
      const ids = new Set<string>();
      for (let count = 0; count < 20; count++) {
        const { id = '' } = responseOf(await stage.connect().open({ id: 'mine' }));
        expect(id).to.match(/^[\w-]{16,}$/);
        ids.add(id);
      }
      expect(ids.size).to.equal(20);
    });

    it('is in the language of the server, whatever the client prefers (4.7.4)', async () => {
      for (const lang of ['de-CH', 'en-GB', undefined]) {
        expect(responseOf(await stage.connect().open({ lang }))).to.have.property('xml:lang', 'en');
      }
    });
  });

  describe('the version (4.7.5)', () => {
    for (const version of ['1.0', '01.0', '1.1', '1.13', '2.0', '11.0']) {
      it(`${version} is answered with the lower of both, and with features`, async () => {
        expect(responseOf(await stage.connect().open({ version }))).to.have.property('version', '1.0');
      });
    }

    for (const [version, answered] of [
      [undefined, undefined],
      ['0.9', '0.9'],
      ['0.10', '0.10'],
      ['1', '1.0'],
      ['x', '1.0'],
      ['', '1.0'],
      ['-1.0', '1.0'],
    ] as const) {
      it(`${version ?? 'that is missing'} is not supported`, async () => {
        const client = stage.connect();
        client.send(header({ version }));
        expect(await client.refusal()).to.equal('unsupported-version');
        expect(responseOf(client.sent).version).to.equal(answered);
        expect(client.sent).not.to.include('<stream:features');
      });
    }
  });

  describe('the domain', () => {
    const UNKNOWN: readonly (readonly [what: string, attributes: HeaderAttributes])[] = [
      ['an unknown domain', { to: 'verona.example' }],
      ['a subdomain', { to: 'rooms.capulet.example' }],
      ['no domain where there are two', { to: undefined }],
      ['an empty domain', { to: '' }],
      ['a bare JID', { to: 'juliet@capulet.example' }],
      ['a domain with a resource', { to: 'capulet.example/balcony' }],
      ['no address', { to: 'capulet..example' }],
    ];
    for (const [what, attributes] of UNKNOWN) {
      it(`${what}: host-unknown, from a domain of ours (4.9.1.3)`, async () => {
        const client = stage.connect();
        client.send(header({ from: 'juliet@capulet.example', ...attributes }));
        expect(await client.refusal()).to.equal('host-unknown');
        expect(responseOf(client.sent)).to.include({ from: 'capulet.example', to: 'juliet@capulet.example' });
      });
    }

    it('is prepared before it is looked up', async () => {
      expect(responseOf(await stage.connect().open({ to: 'MONTAGUE.Example.' }))).to.include({
        from: 'montague.example',
      });
    });

    it('is the only one where the header names none (4.7.2)', async () => {
      const single = await StreamStage.open({ environment: { POSTHORN_DOMAINS: 'capulet.example' } });
      const client = single.connectSecurely();
      expect(responseOf(await client.open({ to: undefined }))).to.have.property('from', 'capulet.example');
      client.send(plainAuth('juliet'));
      await client.until(/<success [^>]*>/);
      expect(await client.bind('balcony', { to: undefined })).to.equal('juliet@capulet.example/balcony');
    });

    it('stays the same over a restart, or that is refused', async () => {
      const stays = stage.connectSecurely();
      await stays.logIn('romeo', { to: 'montague.example' });
      expect(await stays.bind('orchard', { to: undefined })).to.equal('romeo@montague.example/orchard');

      const moves = stage.connectSecurely();
      await moves.logIn('romeo', { to: 'montague.example' });
      moves.send(header({ to: 'capulet.example' }));
      expect(await moves.refusal()).to.equal('not-authorized');
      expect(stage.core.table.sessionCount).to.equal(1);
    });
  });

  describe('who the header is from (4.7.1, 6.4.6)', () => {
    it('may be who logs in, however it is written', async () => {
      const client = stage.connectSecurely();
      const from = 'JULIET@capulet.example/balcony';
      expect(await client.enter('juliet', 'balcony', { from })).to.equal('juliet@capulet.example/balcony');
    });

    it('may not be somebody else under TLS: no success, invalid-from', async () => {
      const client = stage.connectSecurely();
      await client.open({ from: 'romeo@capulet.example' });
      client.send(plainAuth('juliet'));
      expect(await client.refusal()).to.equal('invalid-from');
      expect(client.sent).not.to.include('<success');
    });

    it('may not become somebody else with the restart', async () => {
      const client = stage.connectSecurely();
      await client.logIn('juliet', { from: 'juliet@capulet.example' });
      client.send(header({ from: 'romeo@capulet.example' }));
      expect(await client.refusal()).to.equal('invalid-from');
      expect(client.sent).not.to.include('<bind');
    });

    it('means nothing where it is no address', async () => {
      const client = stage.connectSecurely();
      expect(await client.enter('juliet', 'balcony', { from: '@' })).to.equal('juliet@capulet.example/balcony');
    });

    it('means nothing before TLS (5.4.3.3)', async () => {
      const client = stage.connect();
      await client.open({ from: 'romeo@capulet.example' });
      client.send(`<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>`);
      await client.until(/<proceed[^>]*>/);
      expect(await client.enter('juliet', 'balcony')).to.equal('juliet@capulet.example/balcony');
    });
  });

  describe('namespaces and prefixes (4.8)', () => {
    // What is refused, with the condition that the RFC gives it.
    const REFUSED: readonly (readonly [what: string, bytes: string, condition: string])[] = [
      [
        '4.8.1: another stream namespace',
        `<stream:stream to='capulet.example' version='1.0' xmlns='jabber:client' xmlns:stream='http://wrong.namespace.example.org/'>`,
        'invalid-namespace',
      ],
      [
        '4.8.2: the stream namespace as content namespace',
        `<stream:stream to='capulet.example' version='1.0' xmlns='${STREAMS}' xmlns:stream='${STREAMS}'>`,
        'invalid-namespace',
      ],
      [
        '4.8.3: the content namespace of servers',
        `<stream:stream to='capulet.example' version='1.0' xmlns='jabber:server' xmlns:stream='${STREAMS}'>`,
        'invalid-namespace',
      ],
      [
        '4.8.3: another content namespace',
        `<stream:stream to='capulet.example' version='1.0' xmlns='jabber:component:accept' xmlns:stream='${STREAMS}'>`,
        'invalid-namespace',
      ],
      [
        '4.8.5: another prefix of the stream namespace',
        `<foobar:stream to='capulet.example' version='1.0' xmlns='jabber:client' xmlns:foobar='${STREAMS}'>`,
        'bad-namespace-prefix',
      ],
      ['a stanza instead of a header', `<message xmlns='jabber:client'/>`, 'invalid-namespace'],
      [
        'another element of the stream namespace',
        `<stream:features xmlns='jabber:client' xmlns:stream='${STREAMS}'>`,
        'bad-format',
      ],
      ['11.3: no XML', 'GET / HTTP/1.1\r\n\r\n', 'not-well-formed'],
      ['11.1: a document type', `<?xml version='1.0'?><!DOCTYPE stream>`, 'restricted-xml'],
      ['11.6: another encoding', `<?xml version='1.0' encoding='UTF-16'?>`, 'unsupported-encoding'],
    ];
    for (const [what, bytes, condition] of REFUSED) {
      it(`${what}: ${condition}, behind our own header (4.9.1.2)`, async () => {
        const client = stage.connect();
        client.send(bytes);
        expect(await client.refusal()).to.equal(condition);
        expect(responseOf(client.sent)).to.include({ from: 'capulet.example', version: '1.0' });
        expect(client.sent.match(/<stream:stream /g)).to.have.length(1);
        expect(client.sent).not.to.include('<stream:features');
      });
    }

    // 4.8.2: two ways to write one stream
    for (const [what, open, end] of [
      ['as the default', `<stream to='capulet.example' version='1.0' xmlns='${STREAMS}'>`, '</stream>'],
      [
        'with a prefix, and no default',
        `<stream:stream to='capulet.example' version='1.0' xmlns:stream='${STREAMS}'>`,
        '</stream:stream>',
      ],
    ] as const) {
      it(`the stream namespace ${what}: each element declares its own (prefix-free canonicalization)`, async () => {
        const romeo = stage.connectSecurely();
        await romeo.enter('romeo', 'orchard');
        const juliet = stage.connectSecurely();
        juliet.send(open);
        await juliet.until(/<\/stream:features>/);
        juliet.send(plainAuth('juliet'));
        await juliet.until(/<success [^>]*>/);
        juliet.send(open);
        await juliet.until(/<\/stream:features>/);
        juliet.send(
          `<iq xmlns='jabber:client' id='b' type='set'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>balcony</resource></bind></iq>`,
        );
        expect(await juliet.until(/<\/iq>/)).to.include('<jid>juliet@capulet.example/balcony</jid>');
        juliet.send(
          `<message xmlns='jabber:client' to='romeo@capulet.example/orchard' type='chat'><body>O Romeo</body><x xmlns='urn:x'><a:b xmlns:a='urn:a'/></x></message>`,
        );
        const message = await romeo.until(/<\/message>/);
        // Delivered on a stream whose default is jabber:client, and nothing of it dangles (4.8.5).
        expect(message).to.match(
          /^<message to='romeo@capulet.example\/orchard' from='juliet@capulet.example\/balcony' /,
        );
        expect(message).to.include(`<body>O Romeo</body><x xmlns='urn:x'><a:b xmlns:a='urn:a'/></x>`);
        juliet.send(end);
        await juliet.until(/<\/stream:stream>$/);
        expect(juliet.connection.ended).to.equal(true);
      });
    }

    it('an element that declares nothing on such a stream is no stanza (4.8.4)', async () => {
      const open = `<stream:stream to='capulet.example' version='1.0' xmlns:stream='${STREAMS}'>`;
      const juliet = stage.connectSecurely();
      juliet.send(open);
      juliet.send(plainAuth('juliet'));
      await juliet.until(/<success [^>]*>/);
      juliet.send(open);
      juliet.send(`<iq xmlns='jabber:client' id='b' type='set'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>`);
      await juliet.until(/<\/iq>/);
      juliet.send(`<message to='romeo@capulet.example'><body/></message>`);
      expect(await juliet.refusal()).to.equal('unsupported-stanza-type');
    });

    const INSIDE: readonly (readonly [what: string, bytes: string, condition: string])[] = [
      [
        '4.8.3: a stanza of servers',
        `<message xmlns='jabber:server' to='romeo@capulet.example'><body/></message>`,
        'invalid-namespace',
      ],
      [
        '4.8.4: what looks like a stanza and is none',
        `<ns2:message xmlns:ns2='http://example.org/ns2' to='romeo@capulet.example'><body/></ns2:message>`,
        'unsupported-stanza-type',
      ],
      [
        '4.8.4: arbitrary XML',
        `<foo xmlns='http://example.org/ns1' to='romeo@capulet.example'/>`,
        'unsupported-stanza-type',
      ],
      ['4.9.3.24: an element that jabber:client has not', `<pubsub xmlns='jabber:client'/>`, 'unsupported-stanza-type'],
      [
        '4.8.5: the content namespace behind a prefix',
        `<foo:message xmlns:foo='jabber:client' to='romeo@capulet.example'><foo:body>foo</foo:body></foo:message>`,
        'bad-namespace-prefix',
      ],
      [
        '4.8.5: a namespace that only the header declares',
        `<message to='romeo@capulet.example'><extra:x/></message>`,
        'invalid-namespace',
      ],
      [
        '4.9.3.13: a prefix that nothing declares',
        `<message to='romeo@capulet.example'><foo:body/></message>`,
        'not-well-formed',
      ],
    ];
    for (const [what, bytes, condition] of INSIDE) {
      it(`${what}: ${condition}, and nobody is told`, async () => {
        const romeo = stage.connectSecurely();
        await romeo.enter('romeo', 'orchard');
        romeo.send('<presence/>');
        await romeo.fence();
        const juliet = stage.connectSecurely();
        await juliet.logIn('juliet');
        await juliet.bind('balcony', { others: `xmlns:extra='urn:extra'` });
        juliet.send(bytes);
        expect(await juliet.refusal()).to.equal(condition);
        expect(await romeo.fence()).not.to.include('<message');
      });
    }
  });

  describe('features by state (4.3.2)', () => {
    const featureNames = (sent: string): string[] => {
      const features = /<stream:features>(.*)<\/stream:features>/.exec(sent)?.[1] ?? '';
      return [...features.matchAll(/<([\w-]+) xmlns='([^']*)'/g)].map(([, name, namespace]) => `${name} ${namespace}`);
    };

    it('in clear: TLS, required, and nothing else (5.3.1)', async () => {
      const sent = await stage.connect().open();
      expect(sent).to.match(
        /<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required\/><\/starttls><\/stream:features>$/,
      );
    });

    it('under TLS: mechanisms and limits, no TLS (5.4.3.3), no binding (7.4)', async () => {
      const sent = await stage.connectSecurely().open();
      expect(featureNames(sent)).to.include.members([`mechanisms ${SASL}`, 'limits urn:xmpp:stream-limits:0']);
      const beside = sent.replace(/<authentication .*<\/authentication>/, ''); // what goes inline is another matter
      expect(beside).not.to.match(/<starttls|<bind|<sm /);
      expect(sent).to.include('<max-bytes>65536</max-bytes><idle-seconds>900</idle-seconds>');
    });

    it('logged in: binding and what is there for users, larger limits, no mechanisms', async () => {
      const client = stage.connectSecurely();
      await client.logIn('juliet');
      const sent = await client.open();
      expect(featureNames(sent)).to.include.members([
        'bind urn:ietf:params:xml:ns:xmpp-bind',
        'sm urn:xmpp:sm:3',
        'limits urn:xmpp:stream-limits:0',
      ]);
      expect(sent).not.to.match(/<starttls|<mechanisms|<compression/);
      expect(sent).to.include('<max-bytes>262144</max-bytes>');
    });

    it('in clear where the operator allows it: TLS, not required, and mechanisms', async () => {
      const open = await StreamStage.open({ environment: { POSTHORN_C2S_ALLOW_PLAINTEXT_AUTHENTICATION: 'true' } });
      const sent = await open.connect().open();
      expect(featureNames(sent)).to.include.members(['starttls urn:ietf:params:xml:ns:xmpp-tls', `mechanisms ${SASL}`]);
      expect(sent).not.to.include('<required/>');
    });
  });

  describe('the default language of the stream (4.7.4, 8.1.5)', () => {
    async function heardWith(lang: string | undefined, message: string): Promise<string> {
      const romeo = stage.connectSecurely();
      await romeo.enter('romeo', 'orchard');
      const juliet = stage.connectSecurely();
      await juliet.enter('juliet', 'balcony', { lang });
      juliet.send(message);
      return /<message [^>]*>/.exec(await romeo.until(/<\/message>/))?.[0] ?? '';
    }
    const to = `to='romeo@capulet.example/orchard'`;

    it('is put on stanzas that have none', async () => {
      expect(await heardWith('it', `<message ${to}><body>Romeo!</body></message>`)).to.include(` xml:lang='it'`);
    });

    it('leaves the language of a stanza alone', async () => {
      const heard = await heardWith('it', `<message ${to} xml:lang='la'><body>Romeo!</body></message>`);
      expect(heard).to.include(` xml:lang='la'`).and.not.include(`'it'`);
    });

    it('is none where the header names none, or what is no language tag', async () => {
      expect(await heardWith(undefined, `<message ${to}><body>Romeo!</body></message>`)).not.to.include('xml:lang');
      for (const lang of ['', 'not a tag', '&lt;b&gt;', 'a'.repeat(200)]) {
        expect(await heardWith(lang, `<message ${to}><body>Romeo!</body></message>`)).not.to.include('xml:lang');
      }
    });

    it('is that of the last header', async () => {
      const romeo = stage.connectSecurely();
      await romeo.enter('romeo', 'orchard');
      const juliet = stage.connectSecurely();
      await juliet.logIn('juliet', { lang: 'it' });
      await juliet.bind('balcony', { lang: 'la' });
      juliet.send(`<message ${to}><body>Romeo!</body></message>`);
      expect(await romeo.until(/<\/message>/)).to.include(` xml:lang='la'`);
    });
  });

  it('cannot be opened twice (4.3.3)', async () => {
    const client = stage.connectSecurely();
    await client.open();
    client.send(header().replace(/^<\?.*?\?>/, ''));
    expect(await client.refusal()).to.equal('bad-format');
  });

  it('may be opened byte by byte, by words of white space, and with everything at once', async () => {
    const slow = stage.connectSecurely();
    for (const byte of ` \n${header().replace(/^<\?.*?\?>/, '')}`) slow.send(byte);
    await slow.until(/<\/stream:features>/);
    expect(responseOf(await stage.connect().open())).to.have.property('from', 'capulet.example');
  });
});
