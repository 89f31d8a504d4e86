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
});
