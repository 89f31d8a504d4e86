import { expect } from 'chai';
import { certified, FederationStage, placeAt, type Peer } from '../../support/federation-stage.ts';

const DIALBACK = `<dialback xmlns='urn:xmpp:features:dialback'/>`;
const WITH_ERRORS = `<dialback xmlns='urn:xmpp:features:dialback'><errors/></dialback>`;
const HOME = placeAt('home.montague.example', { address: '10.44.0.4' });
const CHAT = 'chat.montague.example';
/** The second domain of ours has a stream only where it needs one. */
const OURS = { POSTHORN_DOMAINS: 'example.com,example.net' };

describe('several domains on a stream of ours (XEP-0220 2.6)', () => {
  let stage: FederationStage;
  const open = async (environment: Record<string, string> = {}, security = certified('montague.example')) => {
    stage = await FederationStage.open({ environment: { ...OURS, ...environment }, security });
    for (const domain of ['montague.example', CHAT]) stage.places.set(domain, HOME);
  };
  const say = (id: string, to: string): Promise<void> =>
    stage.juliet.send(`<message to='${to}' type='chat' id='${id}'><body>line</body></message>`);
  const sayAs = (id: string, from: string, to: string): Promise<void> =>
    stage.stage.receive(`<message from='${from}' to='${to}' type='chat' id='${id}'><body>line</body></message>`);
  /** A stream to montague.example that carries the pair of example.com. */
  const carrying = async (features = WITH_ERRORS): Promise<Peer> => {
    await say('m0', 'romeo@montague.example');
    const peer = await stage.nextDialed();
    await peer.accept(features);
    expect(await stage.sent(peer)).to.deep.equal(['m0']);
    return peer;
  };
  const asked = (peer: Peer, from: string, to: string): Promise<RegExpExecArray> =>
    peer.until(new RegExp(`<db:result from='${from}' to='${to}'>\\w+</db:result>`));
  const answer = (peer: Peer, from: string, to: string, outcome: string): void =>
    peer.send(
      ['valid', 'invalid'].includes(outcome)
        ? `<db:result from='${to}' to='${from}' type='${outcome}'/>`
        : `<db:result from='${to}' to='${from}' type='error'><error type='cancel'><${outcome} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></db:result>`,
    );
  /** The domains to which connections were made. */
  const dialed = (): string[] => stage.dialed.map(({ domain }) => domain);

  describe('2.6.1: a further domain of ours', () => {
    it('needs no announcement of errors, only dialback', async () => {
      await open();
      const peer = await carrying(DIALBACK);
      await sayAs('m1', 'example.net', 'romeo@montague.example');
      await asked(peer, 'example.net', 'montague.example');
      answer(peer, 'example.net', 'montague.example', 'valid');
      expect(await stage.sent(peer)).to.deep.equal(['m1']);
      expect(dialed()).to.deep.equal(['montague.example']);
    });

    it('has a stream of its own where dialback would be an offence', async () => {
      await open();
      const peer = await carrying('');
      await sayAs('m1', 'example.net', 'romeo@montague.example');
      const own = await stage.nextDialed();
      await own.accept();
      expect(await stage.sent(own)).to.deep.equal(['m1']);
      expect(peer.connection.sent).to.equal('');
    });

    it('does not wait for one that is slow to be proved', async () => {
      await open({ POSTHORN_DOMAINS: 'example.com,example.net,example.org' });
      const peer = await carrying();
      await sayAs('m1', 'example.net', 'romeo@montague.example');
      await sayAs('m2', 'example.org', 'romeo@montague.example');
      await asked(peer, 'example.net', 'montague.example');
      await asked(peer, 'example.org', 'montague.example');
      answer(peer, 'example.org', 'montague.example', 'valid');
      expect(await stage.sent(peer)).to.deep.equal(['m2']);
      answer(peer, 'example.net', 'montague.example', 'valid');
      expect(await stage.sent(peer)).to.deep.equal(['m1']);
    });
  });

  describe('2.6.2: a further domain of theirs', () => {
    it('shares the stream to the same host and port', async () => {
      await open();
      const peer = await carrying();
      await say('m1', `room@${CHAT}`);
      const [request] = await asked(peer, 'example.com', CHAT);
      expect(request).to.include(stage.keys.key(CHAT, 'example.com', 'D60000229F'));
      expect(await stage.sent(peer)).to.deep.equal([]);
      answer(peer, 'example.com', CHAT, 'valid');
      await say('m2', `room@${CHAT}`);
      expect(await stage.sent(peer)).to.deep.equal(['m1', 'm2']);
      // and what is to go there from a further domain of ours
      await sayAs('m3', 'example.net', `room@${CHAT}`);
      await asked(peer, 'example.net', CHAT);
      answer(peer, 'example.net', CHAT, 'valid');
      expect(await stage.sent(peer)).to.deep.equal(['m3']);
      expect(dialed()).to.deep.equal(['montague.example']);
    });

    it('shares the stream to the same address and port, whatever the host is called', async () => {
      await open();
      stage.places.set(CHAT, placeAt(CHAT, { address: '10.44.0.4' }));
      const peer = await carrying();
      await say('m1', `room@${CHAT}`);
      await asked(peer, 'example.com', CHAT);
    });

    for (const [what, place, features, security, environment] of [
      ['is served elsewhere', placeAt(CHAT), WITH_ERRORS, certified('montague.example', CHAT), {}],
      [
        'speaks TLS from the first byte there',
        placeAt('home.montague.example', { directTls: true }),
        WITH_ERRORS,
        certified('montague.example', CHAT),
        {},
      ],
      ['has a server that announces no errors', HOME, DIALBACK, certified('montague.example', CHAT), {}],
      [
        'must show a certificate, which this server does not',
        HOME,
        WITH_ERRORS,
        certified('montague.example'),
        { POSTHORN_S2S_POLICIES: JSON.stringify([{ domain: CHAT, policy: 'certificate' }]) },
      ],
    ] as const) {
      it(`makes its own connection where it ${what}`, async () => {
        await open(environment, security);
        stage.places.set(CHAT, place);
        const peer = await carrying(features);
        await say('m1', `room@${CHAT}`);
        await stage.nextDialed();
        expect(dialed()).to.deep.equal(['montague.example', CHAT]);
        expect(peer.connection.sent).to.equal('');
      });
    }

    it('is proved by the certificate where policy asks for one', async () => {
      await open({ POSTHORN_S2S_POLICY: 'certificate' }, certified('montague.example', CHAT));
      const peer = await carrying();
      await say('m1', `room@${CHAT}`);
      await asked(peer, 'example.com', CHAT);
    });

    it('of another owner, as the name has it, is sought only where the certificate is for it', async () => {
      for (const security of [certified('montague.example'), certified('montague.example', 'verona.example')]) {
        await open({}, security);
        for (const domain of ['montague.example', 'verona.example']) stage.places.set(domain, HOME);
        const peer = await carrying();
        await say('m1', 'escalus@verona.example');
        if (security.peer?.names.dns.length === 2) await asked(peer, 'example.com', 'verona.example');
        else {
          await stage.nextDialed();
          expect(dialed()).to.deep.equal(['montague.example', 'verona.example']);
          expect(peer.connection.sent).to.equal('');
        }
      }
    });

    it('is not sought behind direct TLS, where SNI may lead elsewhere, unless the certificate is for it', async () => {
      for (const security of [certified('montague.example'), certified('montague.example', CHAT)]) {
        await open({}, security);
        const place = placeAt('home.montague.example', { directTls: true });
        for (const domain of ['montague.example', CHAT]) stage.places.set(domain, place);
        const peer = await carrying();
        await say('m1', `room@${CHAT}`);
        if (security.peer?.names.dns.length === 2) await asked(peer, 'example.com', CHAT);
        else await stage.nextDialed();
      }
    });

    it('is not spoken to where policy forbids it, though it shares a place with one that is', async () => {
      await open({ POSTHORN_S2S_POLICIES: JSON.stringify([{ domain: CHAT, policy: 'deny' }]) });
      const peer = await carrying();
      await say('m1', `room@${CHAT}`);
      await stage.stage.settle();
      expect(stage.errors()).to.deep.equal(['m1 not-allowed']);
      expect(peer.connection.sent).to.equal('');
    });

    for (const outcome of ['item-not-found', 'resource-constraint', 'invalid']) {
      it(`makes its own connection after ${outcome}, and the others go on`, async () => {
        await open();
        const peer = await carrying();
        await say('m1', `room@${CHAT}`);
        await asked(peer, 'example.com', CHAT);
        answer(peer, 'example.com', CHAT, outcome);
        const own = await stage.nextDialed();
        await say('m2', 'romeo@montague.example');
        expect(await stage.sent(peer)).to.deep.equal(['m2']);
        stage.security = certified(CHAT);
        await own.accept();
        expect(await stage.sent(own)).to.deep.equal(['m1']);
        expect(stage.errors()).to.deep.equal([]);
        // It is not asked for here again.
        own.connection.close(new Error('ECONNRESET'));
        await say('m3', `room@${CHAT}`);
        await stage.nextDialed();
        expect(dialed()).to.deep.equal(['montague.example', CHAT, CHAT]);
        expect(peer.connection.sent).to.equal('');
      });
    }

    it('ends no stream of the same server again where it did once', async () => {
      await open();
      const peer = await carrying();
      await say('m1', `room@${CHAT}`);
      await asked(peer, 'example.com', CHAT);
      peer.send(
        `<stream:error><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>`,
      );
      const own = await stage.nextDialed();
      await own.accept();
      expect(await stage.sent(own)).to.deep.equal(['m1']);
      expect(stage.errors()).to.deep.equal(['m0 remote-server-timeout']);
      const other = 'rooms.montague.example';
      stage.places.set(other, HOME);
      const next = await carrying();
      await say('m2', `room@${other}`);
      await stage.nextDialed();
      expect(dialed()).to.deep.equal(['montague.example', CHAT, 'montague.example', other]);
      expect(next.connection.sent).to.equal('');
    });

    it('may answer over a stream that serves both directions (XEP-0288), once it is proved', async () => {
      await open();
      await say('m0', 'romeo@montague.example');
      const peer = await stage.nextDialed();
      await peer.answerHeader(`<bidi xmlns='urn:xmpp:features:bidi'/>${WITH_ERRORS}`);
      await peer.until(/<bidi xmlns='urn:xmpp:bidi'>/);
      await asked(peer, 'example.com', 'montague.example');
      answer(peer, 'example.com', 'montague.example', 'valid');
      await say('m1', `room@${CHAT}`);
      await asked(peer, 'example.com', CHAT);
      answer(peer, 'example.com', CHAT, 'valid');
      await stage.stage.settle();
      const from = `<message from='room@${CHAT}' type='chat'`;
      peer.send(`${from} to='juliet@example.com'><body>welcome</body></message>`);
      await stage.stage.settle();
      expect(stage.juliet.take().join('')).to.include('<body>welcome</body>');
      peer.send(`${from} to='juliet@example.net'><body>smuggled</body></message>`);
      await peer.until(/<stream:error><invalid-from /);
    });
  });

  describe('resumption (XEP-0198 5) covers all of them', () => {
    const SM = `<sm xmlns='urn:xmpp:sm:3'/>`;
    /** A stream that counts and carries three pairs, cut when each has sent something: m0, m1 of example.net, m2 to the rooms. */
    const cut = async (confirmed = 0, security = stage.security): Promise<void> => {
      const later = stage.security;
      stage.security = security;
      await say('m0', 'romeo@montague.example');
      const peer = await stage.nextDialed();
      await peer.accept(`${WITH_ERRORS}${SM}`);
      await peer.until(/<enable /);
      peer.send(`<enabled xmlns='urn:xmpp:sm:3' id='some' resume='true'/>`);
      await sayAs('m1', 'example.net', 'romeo@montague.example');
      await asked(peer, 'example.net', 'montague.example');
      answer(peer, 'example.net', 'montague.example', 'valid');
      await stage.stage.settle();
      await say('m2', `room@${CHAT}`);
      await asked(peer, 'example.com', CHAT);
      answer(peer, 'example.com', CHAT, 'valid');
      await stage.stage.settle();
      if (confirmed > 0) peer.send(`<a xmlns='urn:xmpp:sm:3' h='${confirmed}'/>`);
      await stage.stage.settle();
      stage.security = later;
      peer.connection.close(new Error('ECONNRESET'));
      await stage.stage.settle();
    };
    /** A stream of the other server for both directions (XEP-0288). */
    const bidirectional = async (from: string): Promise<Peer> => {
      const peer = stage.connect(certified(from));
      peer.open(from);
      await peer.until(/<\/stream:features>/);
      peer.send(`<bidi xmlns='urn:xmpp:bidi'/>`);
      peer.send(`<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>`);
      await peer.until(/<success /);
      peer.open(from);
      await peer.until(/<\/stream:features>/);
      return peer;
    };
    /** The stream that resumes it; the other server had taken that many. */
    const resumed = async (handled: number): Promise<Peer> => {
      const peer = await stage.nextDialed();
      await peer.accept(`${WITH_ERRORS}${SM}`);
      await peer.until(/<resume [^>]*previd='some'/);
      peer.send(`<resumed xmlns='urn:xmpp:sm:3' previd='some' h='${handled}'/>`);
      return peer;
    };
    const proveTheOthers = async (peer: Peer): Promise<void> => {
      await stage.pass(1);
      const requests = peer.connection.sent;
      for (const [from, to] of [
        ['example.net', 'montague.example'],
        ['example.com', CHAT],
      ] as const) {
        if (requests.includes(`<db:result from='${from}' to='${to}'>`)) answer(peer, from, to, 'valid');
      }
    };

    it('and gives back to each pair what was not taken, ahead of what follows', async () => {
      await open();
      await cut();
      await say('m3', `room@${CHAT}`);
      await sayAs('m4', 'example.net', 'romeo@montague.example');
      await say('m5', 'romeo@montague.example');
      const peer = await resumed(1);
      await proveTheOthers(peer);
      const sent = await stage.sent(peer);
      expect(sent).to.have.members(['m1', 'm2', 'm3', 'm4', 'm5']);
      expect(sent.indexOf('m1')).to.be.lessThan(sent.indexOf('m4'));
      expect(sent.indexOf('m2')).to.be.lessThan(sent.indexOf('m3'));
      expect(stage.errors()).to.deep.equal([]);
      expect(dialed()).to.deep.equal(['montague.example', 'montague.example']);
      peer.send(`<a xmlns='urn:xmpp:sm:3' h='6'/>`);
      expect(await stage.stored()).to.equal(0);
    });

    it('also where the pair with which the stream began has nothing left to send', async () => {
      await open();
      await cut(1);
      const peer = await resumed(1);
      await proveTheOthers(peer);
      expect(await stage.sent(peer)).to.have.members(['m1', 'm2']);
      expect(stage.errors()).to.deep.equal([]);
      expect(dialed()).to.deep.equal(['montague.example', 'montague.example']);
    });

    it('also over another stream than that of the pair that comes back first', async () => {
      await open();
      await cut(3);
      // Nothing is in doubt: a pair that does not wait for the resumption is not kept from going its own way.
      await say('m3', `room@${CHAT}`);
      const own = await stage.nextDialed();
      await own.accept(`${WITH_ERRORS}${SM}`);
      await own.until(/<enable /);
      own.send(`<enabled xmlns='urn:xmpp:sm:3' id='other' resume='true'/>`);
      expect(await stage.sent(own)).to.deep.equal(['m3']);
      await say('m4', 'romeo@montague.example');
      const peer = await resumed(3);
      expect(await stage.sent(peer)).to.deep.equal(['m4']);
      expect(stage.errors()).to.deep.equal([]);
    });

    it('and sends nothing of a pair that has another stream ahead of what the answer gives back (RFC 6120 10.1)', async () => {
      await open();
      const { security } = stage;
      stage.security = undefined; // when it is cut, nobody can be reached for a while
      await cut(0, security);
      await say('m3', `room@${CHAT}`);
      await stage.stage.settle();
      expect(stage.missed).to.include(CHAT);
      stage.security = security;
      await stage.connect(certified('montague.example')).prove('montague.example');
      const peer = await stage.nextDialed();
      await peer.accept(`${WITH_ERRORS}${SM}`);
      await peer.until(/<resume [^>]*previd='some'/);
      const theirs = await bidirectional(CHAT);
      const early = await stage.sent(theirs);
      peer.send(`<resumed xmlns='urn:xmpp:sm:3' previd='some' h='1'/>`);
      await proveTheOthers(peer);
      const sent = [...early, ...(await stage.sent(theirs)), ...(await stage.sent(peer))];
      expect(sent.filter((id) => id !== 'm1')).to.deep.equal(['m2', 'm3']);
      expect(stage.errors()).to.deep.equal([]);
    });

    it('and returns what is in doubt where the stream cannot be had again', async () => {
      await open();
      await cut();
      const peer = await stage.nextDialed();
      await peer.accept(`${WITH_ERRORS}${SM}`);
      await peer.until(/<resume /);
      peer.send(`<failed xmlns='urn:xmpp:sm:3' h='2'/>`);
      await peer.until(/<enable /);
      peer.send(`<enabled xmlns='urn:xmpp:sm:3'/>`);
      await proveTheOthers(peer);
      expect(await stage.sent(peer)).to.deep.equal(['m2']);
      expect(stage.errors()).to.deep.equal([]);
    });
  });
});

describe('several domains on a stream of another server (XEP-0220 2.6)', () => {
  let stage: FederationStage;
  /** A stream for both directions, proved for montague.example by its certificate. */
  const proved = async (first = 'montague.example'): Promise<Peer> => {
    const peer = stage.connect(certified('montague.example', CHAT));
    peer.open(first);
    await peer.until(/<\/stream:features>/);
    peer.send(`<bidi xmlns='urn:xmpp:bidi'/>`);
    peer.send(`<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>`);
    await peer.until(/<success /);
    peer.open(first);
    await peer.until(/<\/stream:features>/);
    return peer;
  };
  /** Proves a further pair by the certificate of the connection. */
  const add = async (peer: Peer, from: string, to: string): Promise<void> => {
    peer.send(`<db:result from='${from}' to='${to}'>k</db:result>`);
    await peer.until(new RegExp(`<db:result from='${to}' to='${from}' type='valid'/>`));
  };
  const say = (id: string, to: string): Promise<void> =>
    stage.juliet.send(`<message to='${to}' type='chat' id='${id}'><body>line</body></message>`);

  beforeEach(async () => {
    stage = await FederationStage.open({ environment: OURS });
  });

  it('are heard each for itself, and answered over the same stream where it serves both directions', async () => {
    const peer = await proved();
    await add(peer, CHAT, 'example.com');
    await add(peer, 'montague.example', 'example.net');
    peer.send(`<message from='room@${CHAT}' to='juliet@example.com' type='chat'><body>welcome</body></message>`);
    await stage.stage.settle();
    expect(stage.juliet.take().join('')).to.include('<body>welcome</body>');
    await say('m1', `room@${CHAT}`);
    await say('m2', 'romeo@montague.example');
    expect((await stage.sent(peer)).sort()).to.deep.equal(['m1', 'm2']);
    expect(stage.dialed).to.deep.equal([]);
  });

  for (const first of ['montague.example', CHAT]) {
    it(`are resumed together (XEP-0198 5), though ${first} is proved first again`, async () => {
      const peer = await proved();
      await add(peer, CHAT, 'example.com');
      peer.send(`<enable xmlns='urn:xmpp:sm:3' resume='true'/>`);
      const [, id = ''] = await peer.until(/<enabled [^>]*id='([^']*)'/);
      await stage.stage.settle();
      await say('m1', `room@${CHAT}`);
      await say('m2', 'romeo@montague.example');
      expect((await stage.sent(peer)).sort()).to.deep.equal(['m1', 'm2']);
      peer.connection.close(new Error('ECONNRESET'));
      await stage.stage.settle();
      const next = await proved(first);
      await add(next, first === CHAT ? 'montague.example' : CHAT, 'example.com');
      next.send(`<resume xmlns='urn:xmpp:sm:3' previd='${id}' h='0'/>`);
      await next.until(/<resumed /);
      await stage.stage.settle();
      stage.clock.advance(100);
      await stage.pass(1);
      expect((await stage.sent(next)).sort()).to.deep.equal(['m1', 'm2']);
      expect(stage.errors()).to.deep.equal([]);
    });
  }
});
