import { expect } from 'chai';
import { certified, FederationStage, type Peer } from '../../support/federation-stage.ts';

const SM = `<sm xmlns='urn:xmpp:sm:3'/>`;

describe('resumption between servers (XEP-0198 5)', () => {
  let stage: FederationStage;
  const open = async (environment: Record<string, string> = {}): Promise<void> => {
    stage = await FederationStage.open({ environment, security: certified('montague.example') });
  };
  const say = (n: number): Promise<void> =>
    stage.juliet.send(`<message to='romeo@montague.example' type='chat' id='m${n}'><body>line ${n}</body></message>`);
  /** A stream of ours that counts, and may be resumed by this id. */
  const managed = async (id = 'some'): Promise<Peer> => {
    const peer = await stage.nextDialed();
    await peer.accept(SM);
    await peer.until(/<enable /);
    peer.send(`<enabled xmlns='urn:xmpp:sm:3' id='${id}' resume='true'/>`);
    await stage.stage.settle();
    return peer;
  };
  /** A stream of the other server for both directions (XEP-0288). */
  const bidirectional = async (): Promise<Peer> => {
    const peer = stage.connect(certified('montague.example'));
    peer.open('montague.example');
    await peer.until(/<\/stream:features>/);
    peer.send(`<bidi xmlns='urn:xmpp:bidi'/>`);
    peer.send(`<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>`);
    await peer.until(/<success /);
    peer.open('montague.example');
    await peer.until(/<\/stream:features>/);
    return peer;
  };
  const enable = async (peer: Peer): Promise<string> => {
    peer.send(`<enable xmlns='urn:xmpp:sm:3' resume='true'/>`);
    const [, id = ''] = await peer.until(/<enabled [^>]*id='([^']*)'/);
    return id;
  };

  const resume = async (peer: Peer, id: string): Promise<void> => {
    peer.send(`<resume xmlns='urn:xmpp:sm:3' previd='${id}' h='0'/>`);
    await peer.until(/<resumed /);
  };

  it('is asked for though nothing follows', async () => {
    await open();
    await say(1);
    const peer = await managed();
    peer.connection.close(new Error('ECONNRESET'));
    const next = await stage.nextDialed();
    await next.accept(SM);
    await next.until(/<resume [^>]*previd='some'/);
    next.send(`<resumed xmlns='urn:xmpp:sm:3' previd='some' h='1'/>`);
    await stage.stage.settle();
    expect(stage.errors()).to.deep.equal([]);
    expect(await stage.stored()).to.equal(0);
  });

  for (const h of ['x', '9']) {
    it(`returns what is in doubt, once, where the count is ${h}`, async () => {
      await open();
      await say(1);
      const peer = await managed();
      peer.connection.close(new Error('ECONNRESET'));
      const next = await stage.nextDialed();
      await next.accept(SM);
      await next.until(/<resume /);
      next.send(`<resumed xmlns='urn:xmpp:sm:3' previd='some' h='${h}'/>`);
      await next.until(/<stream:error>/);
      await stage.stage.settle();
      expect(stage.errors()).to.deep.equal(['m1 remote-server-timeout']);
      expect(await stage.stored()).to.equal(0);
      await stage.pass(400);
      expect(stage.errors()).to.deep.equal([]);
    });
  }

  it('is over in time where the other server breaks off whenever it is asked', async () => {
    await open();
    await say(1);
    const peer = await stage.nextDialed();
    await peer.accept(SM);
    await peer.until(/<enable /);
    peer.send(`<enabled xmlns='urn:xmpp:sm:3' id='some' resume='true' max='600'/>`);
    await stage.stage.settle();
    peer.connection.close(new Error('ECONNRESET'));
    let asked = 0;
    for (let seconds = 0; seconds < 600; seconds += 10) {
      if (stage.dialed.length > asked + 1) {
        const next = await stage.nextDialed();
        await next.accept(SM);
        await next.until(/<resume /);
        next.connection.close(new Error('ECONNRESET'));
        asked++;
      }
      expect(stage.errors()).to.deep.equal([]);
      await stage.pass(10);
    }
    expect(asked).to.be.greaterThan(3);
    await stage.pass(10);
    expect(stage.errors()).to.deep.equal(['m1 remote-server-timeout']);
    expect(await stage.stored()).to.equal(0);
  });

  it('keeps apart the streams of two domains of ours to which the other server gave one id', async () => {
    await open({ POSTHORN_DOMAINS: 'example.com,example.net' });
    await say(1);
    const first = await managed();
    await stage.stage.receive(
      `<message from='example.net' to='romeo@montague.example' id='m2'><body>x</body></message>`,
    );
    const second = await managed();
    for (const { connection } of [first, second]) connection.close(new Error('ECONNRESET'));
    const again: string[] = [];
    for (let n = 0; n < 2; n++) {
      const next = await stage.nextDialed();
      await next.accept(SM);
      await next.until(/<resume /);
      next.send(`<resumed xmlns='urn:xmpp:sm:3' previd='some' h='0'/>`);
      again.push(...(await stage.sent(next)));
    }
    expect(again.sort()).to.deep.equal(['m1', 'm2']);
    expect(stage.errors()).to.deep.equal([]);
  });

  it('does not hold up a further domain where the other server never answers', async () => {
    await open({ POSTHORN_DOMAINS: 'example.com,example.net', POSTHORN_S2S_NEGOTIATION_TIMEOUT_SECONDS: '20' });
    await say(1);
    const peer = await stage.nextDialed();
    await peer.accept(`<dialback xmlns='urn:xmpp:features:dialback'><errors/></dialback>${SM}`);
    await peer.until(/<enable /);
    peer.send(`<failed xmlns='urn:xmpp:sm:3'/>`);
    expect(await stage.sent(peer)).to.deep.equal(['m1']);
    await stage.stage.receive(
      `<message from='example.net' to='romeo@montague.example' id='m2'><body>x</body></message>`,
    );
    await peer.until(/<db:result from='example.net' to='montague.example'>/);
    await stage.pass(22);
    const next = await stage.nextDialed();
    await next.accept();
    expect(await stage.sent(next)).to.deep.equal(['m2']);
    await say(3);
    expect(await stage.sent(peer)).to.deep.equal(['m3']);
  });

  it('sends nothing behind what followed it (RFC 6120 10.1)', async () => {
    await open();
    const peer = await bidirectional();
    const id = await enable(peer);
    await say(1);
    expect(await stage.sent(peer)).to.deep.equal(['m1']);
    peer.connection.close(new Error('ECONNRESET'));
    await say(2);
    const own = await stage.nextDialed();
    await own.accept();
    expect(await stage.sent(own)).to.deep.equal(['m2']);
    expect(stage.errors()).to.deep.equal(['m1 remote-server-timeout']);
    const late = await bidirectional();
    await resume(late, id);
    expect(await stage.sent(late)).to.deep.equal([]);
    expect(await stage.sent(own)).to.deep.equal([]);
    expect(stage.errors()).to.deep.equal([]);
  });

  it('is not waited for without end where the other server has forgotten the stream that it had opened', async () => {
    await open();
    const peer = await bidirectional();
    await enable(peer);
    await say(1);
    expect(await stage.sent(peer)).to.deep.equal(['m1']);
    peer.connection.close(new Error('ECONNRESET'));
    await stage.pass(14);
    expect(stage.errors()).to.deep.equal([]);
    await stage.pass(2);
    const own = await stage.nextDialed();
    await own.accept();
    await stage.stage.settle();
    expect(stage.errors()).to.deep.equal(['m1 remote-server-timeout']);
    expect(await stage.sent(own)).to.deep.equal([]);
    expect(await stage.stored()).to.equal(0);
  });

  it('comes before what waits for a stream for both directions', async () => {
    await open();
    const peer = await bidirectional();
    const id = await enable(peer);
    await say(1);
    await stage.stage.settle();
    stage.security = undefined; // only the other server can connect
    peer.connection.close(new Error('ECONNRESET'));
    await say(2);
    const next = await bidirectional();
    await stage.stage.settle();
    stage.clock.advance(100);
    expect(await stage.sent(next)).to.deep.equal([]);
    await resume(next, id);
    await stage.stage.settle();
    stage.clock.advance(100);
    expect(await stage.sent(next)).to.deep.equal(['m1', 'm2']);
    expect(stage.errors()).to.deep.equal([]);
  });

  it('is had where we have not noticed that the stream is broken', async () => {
    await open();
    const peer = await bidirectional();
    const id = await enable(peer);
    await say(1);
    expect(await stage.sent(peer)).to.deep.equal(['m1']);
    const next = await bidirectional();
    await resume(next, id);
    await stage.stage.settle();
    stage.clock.advance(100);
    expect(peer.connection.destroyed).to.equal(true);
    expect(await stage.sent(next)).to.deep.equal(['m1']);
    const thief = stage.connect(certified('tybalt.example'));
    await thief.prove('tybalt.example');
    thief.send(`<resume xmlns='urn:xmpp:sm:3' previd='${id}' h='0'/>`);
    await thief.until(/<failed [^>]*><item-not-found /);
    expect(next.connection.destroyed).to.equal(false);
    expect(stage.errors()).to.deep.equal([]);
  });

  it('is remembered for a few streams of one server', async () => {
    await open();
    const ids: string[] = [];
    for (let n = 0; n < 12; n++) {
      const peer = stage.connect(certified('montague.example'));
      await peer.prove('montague.example');
      ids.push(await enable(peer));
      peer.connection.close(new Error('ECONNRESET'));
    }
    const resumed = async (id: string): Promise<boolean> => {
      const peer = stage.connect(certified('montague.example'));
      await peer.prove('montague.example');
      peer.send(`<resume xmlns='urn:xmpp:sm:3' previd='${id}' h='0'/>`);
      const [, answer] = await peer.until(/<(resumed|failed) /);
      return answer === 'resumed';
    };
    expect(await resumed(ids[0]!)).to.equal(false);
    expect(await resumed(ids[11]!)).to.equal(true);
  });
});
