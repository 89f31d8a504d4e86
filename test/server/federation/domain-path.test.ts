import { expect } from 'chai';
import { MemoryStore } from '../../../storage/backends/memory.ts';
import { textKey } from '../../../storage/keys.ts';
import { certified, FederationStage } from '../../support/federation-stage.ts';
import { MortalStore } from '../../support/mortal-store.ts';

const SM = `<sm xmlns='urn:xmpp:sm:3'/>`;

describe('the path to another domain', () => {
  let stage: FederationStage;
  const open = async (environment: Record<string, string> = {}, store?: MemoryStore): Promise<void> => {
    stage = await FederationStage.open({
      environment,
      security: certified('montague.example'),
      ...(store !== undefined && { store }),
    });
  };
  const say = (n: number | string): Promise<void> =>
    stage.juliet.send(`<message to='romeo@montague.example' type='chat' id='m${n}'><body>line ${n}</body></message>`);
  const ask = (id: string): Promise<void> =>
    stage.juliet.send(`<iq to='montague.example' type='get' id='${id}'><ping xmlns='urn:xmpp:ping'/></iq>`);

  const questionsIn = (bytes: string): number => bytes.split(`<r xmlns='urn:xmpp:sm:3'/>`).length - 1;

  it('sends in order what waited and what follows, and forgets it once the other server has it', async () => {
    await open();
    await say(1);
    await ask('q1');
    await say(2);
    const peer = await stage.nextDialed();
    await peer.accept(SM);
    await peer.until(/<enable [^>]*>/);
    peer.send(`<enabled xmlns='urn:xmpp:sm:3'/>`);
    await stage.stage.settle();
    await say(3);
    const written = peer.connection.take();
    const order = [...written.matchAll(/<(?:message|iq) [^>]*id='([mq]\d)'/g)].map(([, id]) => id);
    expect(order).to.deep.equal(['m1', 'q1', 'm2', 'm3']);
    expect(await stage.stored()).to.equal(3);
    expect(questionsIn(written), 'one question at a time').to.equal(1);
    peer.send(`<a xmlns='urn:xmpp:sm:3' h='3'/>`);
    expect(await stage.stored()).to.equal(1);
    expect(questionsIn(peer.connection.take()), 'at once, where something is open').to.equal(1);
    peer.send(`<a xmlns='urn:xmpp:sm:3' h='3'/>`);
    await stage.stage.settle();
    expect(questionsIn(peer.connection.take()), 'not again after an answer without news').to.equal(0);
    await stage.pass(1);
    expect(questionsIn(peer.connection.take()), 'but with time').to.equal(1);
    peer.send(`<a xmlns='urn:xmpp:sm:3' h='4'/>`);
    expect(await stage.stored()).to.equal(0);
    expect(stage.errors()).to.deep.equal([]);
  });

  it('acknowledges to the sender only what is stored', async () => {
    await open();
    stage.stage.put(
      stage.juliet.session,
      `<message to='romeo@montague.example' type='chat' id='m1'><body>now</body></message>`,
    );
    expect(stage.juliet.session.inbound.outstanding).to.equal(1);
    await stage.stage.settle();
    expect(stage.juliet.session.inbound.outstanding).to.equal(0);
    expect(await stage.stored()).to.equal(1);
  });

  it('without stream management learns by a ping what has arrived', async () => {
    await open();
    await say(1);
    const peer = await stage.nextDialed();
    await peer.accept();
    await stage.stage.settle();
    await stage.pass(1);
    const [, id = ''] = await peer.until(/<iq from='example.com' to='montague.example' type='get' id='([^']*)'><ping /);
    await say(2);
    // The answer comes over the other server's own stream.
    const back = stage.connect(certified('montague.example'));
    await back.prove('montague.example');
    back.send(`<iq from='montague.example' to='example.com' type='result' id='${id}'/>`);
    expect(await stage.stored()).to.equal(1);
    peer.connection.close(new Error('ECONNRESET'));
    await stage.stage.settle();
    expect(stage.errors()).to.deep.equal(['m2 remote-server-timeout']);
    expect(await stage.stored()).to.equal(0);
  });

  it('believes no answer to a ping that comes from another domain', async () => {
    await open();
    await say(1);
    const peer = await stage.nextDialed();
    await peer.accept();
    await stage.pass(1);
    const [, id = ''] = await peer.until(/type='get' id='([^']*)'><ping /);
    const other = stage.connect(certified('verona.example'));
    await other.prove('verona.example');
    other.send(`<iq from='verona.example' to='example.com' type='result' id='${id}'/>`);
    expect(await stage.stored()).to.equal(1);
  });

  it('gives back once what may have arrived, and tries again what surely has not', async () => {
    await open();
    await say(1);
    const peer = await stage.nextDialed();
    await peer.accept();
    await stage.stage.settle();
    expect(await stage.sent(peer)).to.deep.equal(['m1']);
    peer.connection.close(new Error('ECONNRESET'));
    await say(2);
    expect(stage.errors()).to.deep.equal(['m1 remote-server-timeout']);
    const next = await stage.nextDialed();
    await next.accept();
    expect(await stage.sent(next)).to.deep.equal(['m2']);
  });

  it('resumes a stream after a cut, and sends nothing twice (XEP-0198 5)', async () => {
    await open();
    await say(1);
    const peer = await stage.nextDialed();
    await peer.accept(SM);
    await peer.until(/<enable xmlns='urn:xmpp:sm:3' resume='true'\/>/);
    peer.send(`<enabled xmlns='urn:xmpp:sm:3' id='some' resume='true' max='100'/>`);
    await stage.stage.settle();
    await say(2);
    await say(3);
    expect(await stage.sent(peer)).to.deep.equal(['m1', 'm2', 'm3']);
    peer.connection.close(new Error('ECONNRESET'));
    await say(4);
    const next = await stage.nextDialed();
    await next.accept(SM);
    await next.until(/<resume xmlns='urn:xmpp:sm:3' previd='some' h='0'\/>/);
    next.send(`<resumed xmlns='urn:xmpp:sm:3' previd='some' h='2'/>`);
    expect(await stage.sent(next)).to.deep.equal(['m3', 'm4']);
    expect(stage.errors()).to.deep.equal([]);
    next.send(`<a xmlns='urn:xmpp:sm:3' h='4'/>`);
    expect(await stage.stored()).to.equal(0);
  });

  it('after a resumption that fails, believes the count that comes with it', async () => {
    for (const [failed, expected, again] of [
      [
        `<failed xmlns='urn:xmpp:sm:3' h='1'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>`,
        [],
        ['m2'],
      ],
      [
        `<failed xmlns='urn:xmpp:sm:3'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>`,
        ['m1', 'm2'],
        [],
      ],
    ] as const) {
      await open();
      await say(1);
      const peer = await stage.nextDialed();
      await peer.accept(SM);
      await peer.until(/<enable /);
      peer.send(`<enabled xmlns='urn:xmpp:sm:3' id='some' resume='true'/>`);
      await say(2);
      peer.connection.close(new Error('ECONNRESET'));
      await say(3);
      const next = await stage.nextDialed();
      await next.accept(SM);
      await next.until(/<resume /);
      next.send(failed);
      await next.until(/<enable /);
      next.send(`<enabled xmlns='urn:xmpp:sm:3'/>`);
      expect(await stage.sent(next)).to.deep.equal([...again, 'm3']);
      expect(stage.errors()).to.deep.equal(expected.map((id) => `${id} remote-server-timeout`));
    }
  });

  it('gives back what a broken stream left when nobody resumes it in time', async () => {
    await open();
    await say(1);
    const peer = await stage.nextDialed();
    await peer.accept(SM);
    await peer.until(/<enable /);
    peer.send(`<enabled xmlns='urn:xmpp:sm:3' id='some' resume='true' max='100'/>`);
    await stage.stage.settle();
    peer.connection.close(new Error('ECONNRESET'));
    await stage.pass(99);
    expect(stage.errors()).to.deep.equal([]);
    await stage.pass(2);
    expect(stage.errors()).to.deep.equal(['m1 remote-server-timeout']);
  });

  it('after a crash sends what was not sent, and gives back what may have been', async () => {
    const store = new MemoryStore();
    await open({}, store);
    stage.security = undefined;
    await say(1); // waits: nobody answers
    stage.security = certified('montague.example');
    await stage.pass(3);
    const peer = await stage.nextDialed();
    await peer.accept();
    await stage.stage.settle();
    expect(await stage.sent(peer)).to.deep.equal(['m1']);
    peer.connection.stalledBytes = 2_000_000; // takes nothing more
    await say(2);
    expect(await stage.sent(peer)).to.deep.equal([]);
    // The process ends here; another one opens the store. What was stored with the stream open may have been sent.
    await open({}, store);
    expect(await stage.federation.restore()).to.equal(2);
    await stage.stage.settle();
    expect(stage.errors()).to.deep.equal(['m1 remote-server-timeout', 'm2 remote-server-timeout']);
    expect(await stage.stored()).to.equal(0);
  });

  for (const isOpen of [false, true]) {
    const when = isOpen ? 'while a stream is open' : 'while nobody answers';
    for (let batches = 0; batches < 4; batches++) {
      it(`loses nothing in a crash after ${batches} batches, though it is sent again (${when})`, async () => {
        const store = new MortalStore();
        await open({}, store);
        if (isOpen) {
          await say(0);
          await (await stage.nextDialed()).accept();
          await stage.stage.settle();
        } else stage.security = undefined;
        const hello = `<message to='romeo@montague.example' type='chat' id='m1'><body>x</body><origin-id xmlns='urn:xmpp:sid:0' id='o1'/></message>`;
        store.batchesLeft = batches;
        stage.stage.put(stage.juliet.session, hello); // nobody waits until all is quiet: it will never be
        for (let turns = 0; turns < 20; turns++) await new Promise((resolve) => setImmediate(resolve));
        store.revive();
        await open({}, store);
        await stage.federation.restore();
        await stage.juliet.send(hello); // nobody has acknowledged it
        const peer = await stage.nextDialed().catch(() => undefined);
        await peer?.accept();
        const arrived = peer === undefined ? [] : await stage.sent(peer);
        const returned = stage.errors().filter((error) => error.startsWith('m1'));
        expect([...arrived, ...returned], 'once').to.have.length(1);
      });
    }
  }

  it('after a restart goes on with what waited', async () => {
    const store = new MemoryStore();
    await open({}, store);
    stage.security = undefined;
    await say(1);
    await say(2);
    stage.federation.shutDown();
    await open({}, store);
    expect(await stage.federation.restore()).to.equal(2);
    const peer = await stage.nextDialed();
    await peer.accept();
    expect(await stage.sent(peer)).to.deep.equal(['m1', 'm2']);
    expect(stage.errors()).to.deep.equal([]);
    // Nothing of it is left in the store once it has arrived and the path is forgotten.
    peer.send('</stream:stream>');
    await stage.pass(1);
    await stage.pass(1);
    await stage.stage.storage.commit.flush();
    expect(await store.getMany([textKey('outboxMarks', 'example.com/montague.example')])).to.deep.equal([undefined]);
  });

  it('keeps messages for a server that does not answer, knocks less and less often, and loses patience', async () => {
    await open({ POSTHORN_S2S_PATIENCE_SECONDS: '20' });
    stage.security = undefined;
    await say(1);
    await ask('q1');
    expect(stage.errors()).to.deep.equal(['q1 remote-server-timeout']);
    expect(stage.missed).to.have.length(1);
    await stage.pass(1);
    expect(stage.missed).to.have.length(1);
    await ask('q2'); // at once: everybody knows by now
    expect(stage.errors()).to.deep.equal(['q2 remote-server-timeout']);
    await stage.pass(2);
    expect(stage.missed).to.have.length(2);
    await stage.pass(3);
    expect(stage.missed).to.have.length(2);
    await stage.pass(2);
    expect(stage.missed).to.have.length(3);
    await stage.pass(60);
    expect(stage.errors()).to.deep.equal(['m1 remote-server-timeout']);
    expect(await stage.stored()).to.equal(0);
    const { length } = stage.missed;
    await stage.pass(600);
    expect(stage.missed).to.have.length(length); // nothing waits, so nobody knocks
  });

  it('knocks at once when the other server shows that it is there', async () => {
    await open();
    stage.security = undefined;
    await say(1);
    expect(stage.missed).to.have.length(1);
    stage.security = certified('montague.example');
    const peer = stage.connect(certified('montague.example'));
    await peer.prove('montague.example');
    await (await stage.nextDialed()).until(/<stream:stream /);
  });

  it('has bounds, and says so to the sender', async () => {
    await open({ POSTHORN_S2S_MAX_QUEUE_STANZAS: '10' });
    stage.security = undefined;
    for (let n = 1; n <= 11; n++) await say(n);
    expect(stage.errors()).to.deep.equal(['m11 resource-constraint']);
    expect(await stage.stored()).to.equal(10);
  });

  it('has bounds in bytes, whatever part of a stanza they are in', async () => {
    await open({ POSTHORN_S2S_MAX_QUEUE_BYTES: '65536' });
    stage.security = undefined;
    const long = 'x'.repeat(30_000);
    for (const id of [`m1${long}`, `m2${long}`, `m3${long}`]) {
      await stage.juliet.send(`<message to='romeo@montague.example' type='chat' id='${id}'><body>hi</body></message>`);
    }
    expect(stage.errors()).to.deep.equal([`m3${long} resource-constraint`]);
    expect(await stage.stored()).to.equal(2);
  });

  it('counts what is being stored among what waits', async () => {
    await open({ POSTHORN_S2S_MAX_QUEUE_STANZAS: '10' });
    stage.security = undefined;
    for (let n = 1; n <= 11; n++) {
      stage.stage.put(
        stage.juliet.session,
        `<message to='romeo@montague.example' type='chat' id='m${n}'><body>line ${n}</body></message>`,
      );
    }
    await stage.stage.settle();
    expect(stage.errors()).to.deep.equal(['m11 resource-constraint']);
    expect(await stage.stored()).to.equal(10);
  });

  it('sends nothing larger than the other server takes (XEP-0478)', async () => {
    await open();
    await say('x'.repeat(5000));
    await say(2);
    const peer = await stage.nextDialed();
    await peer.accept(`<limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>4000</max-bytes></limits>`);
    expect(await stage.sent(peer)).to.deep.equal(['m2']);
    expect(stage.errors()).to.deep.equal([`m${'x'.repeat(5000)} policy-violation`]);
  });

  it('sends none whose root alone is larger either', async () => {
    await open();
    const id = `m1${'x'.repeat(5000)}`;
    await stage.juliet.send(`<message to='romeo@montague.example' type='chat' id='${id}'><body>hi</body></message>`);
    await say(2);
    const peer = await stage.nextDialed();
    await peer.accept(`<limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>4000</max-bytes></limits>`);
    expect(await stage.sent(peer)).to.deep.equal(['m2']);
    expect(stage.errors()).to.deep.equal([`${id} policy-violation`]);
  });

  it('is patient with a server that reads slowly', async () => {
    await open();
    await say(1);
    const peer = await stage.nextDialed();
    await peer.accept();
    expect(await stage.sent(peer)).to.deep.equal(['m1']);
    peer.connection.stalledBytes = 2_000_000;
    await say(2);
    expect(await stage.sent(peer)).to.deep.equal([]);
    peer.connection.stalledBytes = 0;
    await stage.pass(1);
    expect(await stage.sent(peer)).to.deep.equal(['m2']);
  });

  it('gives up a server that falls silent, and resumes', async () => {
    await open();
    await say(1);
    const peer = await stage.nextDialed();
    await peer.accept(SM);
    await peer.until(/<enable /);
    peer.send(`<enabled xmlns='urn:xmpp:sm:3' id='some' resume='true'/>`);
    await stage.stage.settle();
    await stage.pass(63);
    expect(peer.connection.destroyed).to.equal(true);
    await say(2);
    const next = await stage.nextDialed();
    await next.accept(SM);
    await next.until(/<resume /);
    next.send(`<resumed xmlns='urn:xmpp:sm:3' previd='some' h='1'/>`);
    expect(await stage.sent(next)).to.deep.equal(['m2']);
    expect(stage.errors()).to.deep.equal([]);
  });

  it('closes a stream that is idle, and only once everything has arrived', async () => {
    await open({ POSTHORN_S2S_IDLE_SECONDS: '30', POSTHORN_S2S_ACKNOWLEDGEMENT_TIMEOUT_SECONDS: '60' });
    await say(1);
    const peer = await stage.nextDialed();
    await peer.accept();
    await stage.pass(50);
    expect(peer.connection.ended).to.equal(false);
    await stage.pass(12); // nobody answers pings over there, but everybody answers to the end of a stream
    expect(peer.connection.ended).to.equal(true);
    expect(await stage.stored()).to.equal(1);
    peer.send('</stream:stream>');
    expect(await stage.stored()).to.equal(0);
    expect(stage.errors()).to.deep.equal([]);
  });

  for (const [what, last] of [
    ['nothing', ''],
    [
      'that it has failed',
      `<stream:error><reset xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>`,
    ],
  ] as const) {
    it(`believes nothing to have arrived of which the other server says ${what}`, async () => {
      await open();
      await say(1);
      const peer = await stage.nextDialed();
      await peer.accept();
      expect(await stage.sent(peer)).to.deep.equal(['m1']);
      await stage.pass(62);
      expect(peer.connection.ended).to.equal(true);
      expect(stage.errors()).to.deep.equal([]);
      if (last !== '') peer.send(last);
      await stage.pass(6);
      expect(stage.errors()).to.deep.equal(['m1 remote-server-timeout']);
      expect(await stage.stored()).to.equal(0);
    });
  }

  it('takes what is on its way when it closes a stream (RFC 6120 4.4)', async () => {
    await open({ POSTHORN_S2S_IDLE_SECONDS: '30' });
    const peer = stage.connect(certified('montague.example'));
    await peer.prove('montague.example');
    await stage.pass(32);
    expect(peer.connection.ended).to.equal(true);
    const message = (from: string): string =>
      `<message from='${from}' to='juliet@example.com' type='chat'><body>late</body></message>`;
    peer.send(message('romeo@montague.example'));
    peer.send(message('tybalt@verona.example'));
    await stage.stage.settle();
    const heard = stage.juliet.take().filter((stanza) => stanza.includes('late'));
    expect(heard).to.have.length(1);
    expect(heard[0]).to.include(`from='romeo@montague.example'`);
  });

  it('uses the stream of the other server where it may (XEP-0288)', async () => {
    await open();
    const peer = stage.connect(certified('montague.example'));
    peer.open('montague.example');
    await peer.until(/<bidi xmlns='urn:xmpp:features:bidi'\/>.*<\/stream:features>/s);
    peer.send(`<bidi xmlns='urn:xmpp:bidi'/>`);
    peer.send(
      `<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>${Buffer.from('montague.example').toString('base64')}</auth>`,
    );
    await peer.until(/<success /);
    peer.open('montague.example');
    await peer.until(/<\/stream:features>/);
    await say(1);
    expect(await stage.sent(peer)).to.deep.equal(['m1']);
    expect(stage.dialed).to.deep.equal([]);
  });

  it('2.6.1 of XEP-0220: proves a further domain of ours on the same stream', async () => {
    await open({ POSTHORN_DOMAINS: 'example.com,example.net' });
    await say(1);
    const peer = await stage.nextDialed();
    await peer.accept(`<dialback xmlns='urn:xmpp:features:dialback'><errors/></dialback>`);
    expect(await stage.sent(peer)).to.deep.equal(['m1']);
    await stage.stage.receive(
      `<message from='example.net' to='romeo@montague.example' id='m2'><body>x</body></message>`,
    );
    const [, key = ''] = await peer.until(/<db:result from='example.net' to='montague.example'>(\w+)<\/db:result>/);
    expect(key).to.equal(stage.keys.key('montague.example', 'example.net', 'D60000229F'));
    peer.send(`<db:result from='montague.example' to='example.net' type='valid'/>`);
    expect(await stage.sent(peer)).to.deep.equal(['m2']);
    expect(stage.dialed).to.have.length(1);
  });

  for (const [what, answer, condition] of [
    ['says invalid', `type='invalid'/>`, 'internal-server-error'],
    [
      'reports an error',
      `type='error'><error type='cancel'><policy-violation xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></db:result>`,
      'remote-server-timeout',
    ],
  ] as const) {
    it(`2.1.1 of XEP-0220: returns stanzas with ${condition} where dialback ${what}`, async () => {
      await open();
      await say(1);
      const peer = await stage.nextDialed();
      await peer.answerHeader('');
      const [, key = ''] = await peer.until(/<db:result from='example.com' to='montague.example'>(\w+)<\/db:result>/);
      expect(key).to.equal(stage.keys.key('montague.example', 'example.com', 'D60000229F'));
      peer.send(`<db:result from='montague.example' to='example.com' ${answer}`);
      await stage.stage.settle();
      expect(stage.errors()).to.deep.equal([`m1 ${condition}`]);
    });
  }

  it('finds another stream where one ended over which it has sent nothing yet', async () => {
    await open();
    const opened = stage.federation.open({ local: 'example.com', remote: 'montague.example' });
    const peer = await stage.nextDialed();
    await peer.accept();
    await opened;
    peer.send('</stream:stream>');
    peer.connection.close();
    await say(1);
    const next = await stage.nextDialed();
    await next.accept();
    expect(await stage.sent(next)).to.deep.equal(['m1']);
  });

  it('takes no stanzas from a server it has only sent to', async () => {
    await open({ POSTHORN_S2S_BIDIRECTIONAL: 'false' });
    await say(1);
    const peer = await stage.nextDialed();
    await peer.accept();
    await stage.stage.settle();
    peer.send(`<message from='romeo@montague.example' to='juliet@example.com'><body>smuggled</body></message>`);
    await peer.until(/<stream:error><invalid-from /);
  });

  it('uses one stream, though an administrator opens it at the same time', async () => {
    await open();
    await say(1);
    const opened = stage.federation.open({ local: 'example.com', remote: 'montague.example' });
    const peer = await stage.nextDialed();
    await peer.accept();
    await opened;
    await say(2);
    expect(await stage.sent(peer)).to.deep.equal(['m1', 'm2']);
    expect(stage.dialed).to.have.length(1);
    // Another pair finds its stream by itself while the administrator waits for one.
    const again = stage.federation.open({ local: 'example.com', remote: 'verona.example' });
    const theirs = stage.connect(certified('verona.example'));
    theirs.open('verona.example');
    await theirs.until(/<\/stream:features>/);
    theirs.send(`<bidi xmlns='urn:xmpp:bidi'/>`);
    theirs.send(
      `<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>${Buffer.from('verona.example').toString('base64')}</auth>`,
    );
    await theirs.until(/<success /);
    theirs.open('verona.example');
    await theirs.until(/<\/stream:features>/);
    await stage.stage.settle();
    const sayTo = (n: number): Promise<void> =>
      stage.juliet.send(`<message to='prince@verona.example' type='chat' id='m${n}'><body>line ${n}</body></message>`);
    await sayTo(3);
    expect(await stage.sent(theirs)).to.deep.equal(['m3']);
    const own = await stage.nextDialed();
    stage.security = certified('verona.example');
    await own.accept();
    await again;
    await sayTo(4);
    expect(await stage.sent(theirs)).to.deep.equal(['m4']);
    expect(await stage.sent(own)).to.deep.equal([]);
    expect(stage.errors()).to.deep.equal([]);
  });
});
