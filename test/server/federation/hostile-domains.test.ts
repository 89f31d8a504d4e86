import { expect } from 'chai';
import { certified, FederationStage, placeAt, uncertified, type Peer } from '../../support/federation-stage.ts';

const CHAT = 'chat.montague.example';
const OURS = { POSTHORN_DOMAINS: 'example.com,example.net' };
const FEATURES = `<dialback xmlns='urn:xmpp:features:dialback'><errors/></dialback>`;

describe('a server that means ill with several domains (XEP-0220 2.6, 3.1)', () => {
  let stage: FederationStage;
  const open = async (environment: Record<string, string> = {}): Promise<void> => {
    stage = await FederationStage.open({ environment: { ...OURS, ...environment }, security: uncertified() });
  };
  const errorOf = async (peer: Peer): Promise<string> => {
    const [, condition = ''] = await peer.until(/<stream:error><([\w-]+) /);
    expect(peer.connection.ended).to.equal(true);
    return condition;
  };
  const claim = (peer: Peer, from: string, to = 'example.com', key = 'k'): void =>
    peer.send(`<db:result from='${from}' to='${to}'>${key}</db:result>`);
  const verdict = async (peer: Peer, from: string, to = 'example.com'): Promise<string> => {
    const [, type = '', condition = ''] = await peer.until(
      new RegExp(`<db:result from='${to}' to='${from}' type='(\\w+)'(?:/>|><error type='cancel'><([\\w-]+))`),
    );
    return condition === '' ? type : condition;
  };
  const message = (from: string, to: string): string =>
    `<message from='${from}' to='${to}' type='chat'><body>${from} to ${to}</body></message>`;
  const heard = async (): Promise<string[]> => {
    await stage.stage.settle();
    return stage.juliet.take().flatMap((stanza) => /<body>(.*?)<\/body>/.exec(stanza)?.[1] ?? []);
  };
  /** A stream that shows certificates for these domains, the first of which is proved to example.com. */
  const proved = async (...domains: string[]): Promise<Peer> => {
    const peer = stage.connect(certified(...domains));
    peer.open(domains[0]!);
    claim(peer, domains[0]!);
    expect(await verdict(peer, domains[0]!)).to.equal('valid');
    return peer;
  };
  /** The server that is asked about a claim, and the question. */
  const authority = async (key = 'k'): Promise<{ peer: Peer; header: string; id: string }> => {
    const peer = await stage.nextDialed();
    await peer.answerHeader('');
    const [, header = '', id = ''] = await peer.until(new RegExp(`<db:verify (from='[^>]*id='([^']*)')>${key}<`));
    return { peer, header, id };
  };

  it('asks in vain with a key that was good for another stream', async () => {
    await open();
    const first = stage.connect(uncertified());
    first.open('montague.example');
    const [, id = ''] = await first.until(/<stream:stream [^>]*id='([^']*)'/);
    claim(first, 'montague.example', 'example.com', 'good');
    const { peer, header } = await authority('good');
    expect(header).to.include(`id='${id}'`);
    peer.send(`<db:verify from='montague.example' to='example.com' id='${id}' type='valid'/>`);
    expect(await verdict(first, 'montague.example')).to.equal('valid');
    const thief = stage.connect(uncertified());
    thief.open('montague.example');
    const [, other = ''] = await thief.until(/<stream:stream [^>]*id='([^']*)'/);
    claim(thief, 'montague.example', 'example.com', 'good');
    const [, asked] = await peer.until(/<db:verify [^>]*id='([^']*)'>good</);
    expect(asked).to.equal(other).and.not.to.equal(id);
    // What was said of the other stream is not said of this one, however often it is said.
    peer.send(`<db:verify from='montague.example' to='example.com' id='${id}' type='valid'/>`);
    await stage.stage.settle();
    expect(thief.connection.take()).not.to.include('valid');
    peer.send(`<db:verify from='montague.example' to='example.com' id='${other}' type='invalid'/>`);
    expect(await verdict(thief, 'montague.example')).to.equal('invalid');
    expect(thief.connection.ended).to.equal(true);
  });

  it('is asked about its own keys only: a foreign domain speaks for itself', async () => {
    await open();
    const peer = await proved('tybalt.example');
    claim(peer, 'montague.example', 'example.com', stage.keys.key('example.com', 'montague.example', 'id-1'));
    const { peer: montague, id } = await authority('\\w+');
    expect(stage.dialed.map(({ domain }) => domain)).to.deep.equal(['montague.example']);
    montague.send(`<db:verify from='montague.example' to='example.com' id='${id}' type='invalid'/>`);
    expect(await verdict(peer, 'montague.example')).to.equal('forbidden');
    peer.send(message('mercutio@tybalt.example', 'juliet@example.com'));
    expect(await heard()).to.deep.equal(['mercutio@tybalt.example to juliet@example.com']);
    peer.send(message('romeo@montague.example', 'juliet@example.com')); // after its refusal
    expect(await errorOf(peer)).to.equal('invalid-from');
    expect(await heard()).to.deep.equal([]);
  });

  it('is not heard for a further domain before that is proved', async () => {
    await open();
    const peer = await proved('montague.example');
    claim(peer, CHAT);
    const { peer: chat, id } = await authority();
    peer.send(message(`room@${CHAT}`, 'juliet@example.com'));
    expect(await errorOf(peer)).to.equal('invalid-from');
    chat.send(`<db:verify from='${CHAT}' to='example.com' id='${id}' type='valid'/>`);
    peer.send(message(`room@${CHAT}`, 'juliet@example.com'));
    expect(await heard()).to.deep.equal([]);
    expect(peer.connection.take()).not.to.include(`type='valid'`);
  });

  it('is not heard for a domain that is proved on another stream', async () => {
    await open();
    const montague = await proved('montague.example');
    const tybalt = await proved('tybalt.example');
    tybalt.send(message('romeo@montague.example', 'juliet@example.com'));
    expect(await errorOf(tybalt)).to.equal('invalid-from');
    montague.send(message('romeo@montague.example', 'juliet@example.com'));
    expect(await heard()).to.have.length(1);
  });

  for (const [from, to] of [
    ['romeo@montague.example', 'juliet@example.net'],
    [`room@${CHAT}`, 'juliet@example.com'],
  ] as const) {
    it(`is heard for the pairs that are proved, not for ${from} to ${to}, though both stand in one`, async () => {
      await open();
      const peer = await proved('montague.example', CHAT);
      claim(peer, CHAT, 'example.net');
      expect(await verdict(peer, CHAT, 'example.net')).to.equal('valid');
      peer.send(message('romeo@montague.example', 'juliet@example.com'));
      expect(await heard()).to.have.length(1);
      peer.send(message(from, to));
      expect(await errorOf(peer)).to.equal('invalid-from');
      expect(await heard()).to.deep.equal([]);
    });
  }

  it('smuggles no stanza of a further domain inside of another', async () => {
    await open();
    const peer = await proved('montague.example');
    const inner = message(`room@${CHAT}`, 'juliet@example.com');
    peer.send(
      `<message from='romeo@montague.example' to='juliet@example.com' type='chat'><body>a</body>${inner}</message>`,
    );
    await stage.stage.settle();
    const all = stage.juliet.take();
    expect(all).to.have.length(1);
    expect(all[0]).to.match(/^<message [^>]*from='romeo@montague.example'/);
    peer.send(`<message from='romeo@montague.example' to='juliet@example.com'></message>${inner}`);
    expect(await errorOf(peer)).to.equal('invalid-from');
  });

  it('shows the certificate of one domain for another in vain, where policy asks for one', async () => {
    await open({ POSTHORN_S2S_POLICIES: JSON.stringify([{ domain: CHAT, policy: 'certificate' }]) });
    const peer = await proved('montague.example');
    claim(peer, CHAT);
    expect(await verdict(peer, CHAT)).to.equal('not-authorized');
    expect(stage.dialed).to.deep.equal([]);
    peer.send(message('romeo@montague.example', 'juliet@example.com'));
    expect(await heard()).to.have.length(1);
  });

  it('has no domain heard that policy forbids, by the side of one that it allows', async () => {
    await open({ POSTHORN_S2S_POLICIES: JSON.stringify([{ domain: CHAT, policy: 'deny' }]) });
    const peer = await proved('montague.example', CHAT);
    claim(peer, CHAT);
    expect(await verdict(peer, CHAT)).to.equal('policy-violation');
    peer.send(message(`room@${CHAT}`, 'juliet@example.com'));
    expect(await errorOf(peer)).to.equal('invalid-from');
  });

  it('has nothing looked for again and again for each of many domains, while one of them may resume a stream', async () => {
    await open();
    const names = [...Array.from({ length: 40 }, (_, n) => `d${n}.montague.example`), 'montague.example'];
    const kept = await proved('montague.example');
    kept.send(`<enable xmlns='urn:xmpp:sm:3' resume='true'/>`);
    await kept.until(/<enabled /);
    kept.connection.close(new Error('ECONNRESET'));
    let looks = 0;
    const { federation } = stage;
    const hasKeptFrom = federation.hasKeptFrom.bind(federation);
    federation.hasKeptFrom = (domain) => {
      looks++;
      return hasKeptFrom(domain);
    };
    const peer = stage.connect(certified(...names));
    peer.open('montague.example');
    await peer.until(/<\/stream:features>/);
    peer.send(`<bidi xmlns='urn:xmpp:bidi'/>`);
    peer.send(names.map((name) => `<db:result from='${name}' to='example.com'>k</db:result>`).join(''));
    await stage.stage.settle();
    for (let n = 0; n < 10; n++) {
      stage.clock.advance(50);
      await stage.stage.settle();
    }
    // Once when each is proved, and a round at once and after each of the ten delays.
    expect(looks)
      .to.be.greaterThan(names.length)
      .and.at.most(12 * names.length);
  });

  describe('to which we have opened a stream', () => {
    const HOME = placeAt('home.montague.example');
    const say = (id: string, to: string): Promise<void> =>
      stage.juliet.send(`<message to='${to}' type='chat' id='${id}'><body>line</body></message>`);
    const opened = async (features = FEATURES): Promise<Peer> => {
      await say('m0', 'romeo@montague.example');
      const peer = await stage.nextDialed();
      await peer.answerHeader(features);
      await peer.until(/<db:result from='example.com' to='montague.example'>/);
      peer.send(`<db:result from='montague.example' to='example.com' type='valid'/>`);
      expect(await stage.sent(peer)).to.deep.equal(['m0']);
      return peer;
    };

    it('gets no stanzas of a pair that was never asked for, whatever it says of it', async () => {
      await open();
      const peer = await opened();
      for (const [local, remote] of [
        ['example.com', 'verona.example'],
        ['example.net', 'montague.example'],
        ['example.com', 'montague.example'],
      ] as const) {
        peer.send(`<db:result from='${remote}' to='${local}' type='valid'/>`);
      }
      await say('m1', 'prince@verona.example');
      const verona = await stage.nextDialed();
      await verona.until(/<stream:stream [^>]*to='verona.example'/);
      expect(await stage.sent(peer)).to.deep.equal([]);
    });

    it('gets no stanzas by the answer of another server', async () => {
      await open();
      for (const domain of ['montague.example', CHAT]) stage.places.set(domain, HOME);
      const peer = await opened();
      await say('m1', `room@${CHAT}`);
      await peer.until(new RegExp(`<db:result from='example.com' to='${CHAT}'>`));
      const tybalt = await proved('tybalt.example');
      for (const other of [tybalt, peer])
        other.send(`<db:result from='tybalt.example' to='example.com' type='valid'/>`);
      tybalt.send(`<db:result from='${CHAT}' to='example.com' type='valid'/>`);
      expect(await stage.sent(peer)).to.deep.equal([]);
      expect(await stage.sent(tybalt)).to.deep.equal([]);
    });

    it('is not asked about the keys of a domain that shares the stream', async () => {
      await open();
      for (const domain of ['montague.example', CHAT]) stage.places.set(domain, HOME);
      const peer = await opened();
      await say('m1', `room@${CHAT}`);
      await peer.until(new RegExp(`<db:result from='example.com' to='${CHAT}'>`));
      peer.send(`<db:result from='${CHAT}' to='example.com' type='valid'/>`);
      expect(await stage.sent(peer)).to.deep.equal(['m1']);
      const claiming = stage.connect(uncertified());
      claiming.open(CHAT);
      claim(claiming, CHAT);
      const { header } = await authority();
      expect(header).to.include(`to='${CHAT}'`);
      expect(peer.connection.sent).not.to.include('verify');
    });

    it('speaks for no further domain of its own over it, where nobody has asked', async () => {
      await open();
      const peer = await opened(`<bidi xmlns='urn:xmpp:features:bidi'/>${FEATURES}`);
      peer.send(message('romeo@montague.example', 'juliet@example.com'));
      expect(await heard()).to.have.length(1);
      claim(peer, CHAT);
      expect(await verdict(peer, CHAT)).to.equal('not-acceptable');
      peer.send(message(`room@${CHAT}`, 'juliet@example.com'));
      expect(await errorOf(peer)).to.equal('invalid-from');
      expect(await heard()).to.deep.equal([]);
    });
  });
});
