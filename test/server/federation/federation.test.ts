import { once } from 'node:events';
import { connect } from 'node:net';
import { expect } from 'chai';
import { MemoryStore } from '../../../storage/backends/memory.ts';
import { shardRange } from '../../../storage/keys.ts';
import type { Entry, Range } from '../../../storage/ordered-store.ts';
import { Verona, type ServerChoice, type ServerInPlay } from '../../support/federated-servers.ts';
import { freePorts } from '../../support/free-ports.ts';
import type { TestClient } from '../../support/test-client.ts';

describe('two servers', () => {
  let verona: Verona;
  let capulet: ServerInPlay;
  let montague: ServerInPlay;
  let juliet: TestClient;
  let romeo: TestClient;

  const begin = async (one: ServerChoice = {}, other: ServerChoice = {}): Promise<void> => {
    verona = await Verona.found();
    capulet = await verona.start('capulet.example', ['juliet'], one);
    montague = await verona.start('montague.example', ['romeo', 'benvolio'], other);
    juliet = await capulet.enter('juliet', 'balcony');
    romeo = await montague.enter('romeo', 'orchard');
  };
  afterEach(() => verona.fall());

  const say = (client: TestClient, to: string, body: string): void =>
    client.send(`<message to='${to}' type='chat' id='${body}'><body>${body}</body></message>`);
  const streams = (server: ServerInPlay) => server.running.operations.serverStreams().streams;

  const proofs: readonly (readonly [string, ServerChoice, ServerChoice])[] = [
    ['certificates (SASL EXTERNAL)', {}, {}],
    ['certificates and no stream for both directions', { environment: { POSTHORN_S2S_BIDIRECTIONAL: 'false' } }, {}],
    ['direct TLS (XEP-0368)', { directTls: true }, { directTls: true }],
    ['dialback, where nobody trusts the certificates', { isUntrusted: true }, { isUntrusted: true }],
    [
      'dialback without bidirectional streams',
      { isUntrusted: true, environment: { POSTHORN_S2S_BIDIRECTIONAL: 'false' } },
      { isUntrusted: true, environment: { POSTHORN_S2S_BIDIRECTIONAL: 'false' } },
    ],
    ['a certificate on one side', {}, { isUntrusted: true }],
  ];
  for (const [proof, one, other] of proofs) {
    it(`talk to each other with ${proof}`, async () => {
      await begin(one, other);
      say(juliet, 'romeo@montague.example', 'wherefore');
      const heard = await romeo.until(/<message .*?<\/message>/s);
      expect(heard).to.include(`from='juliet@capulet.example/balcony'`).and.include('<body>wherefore</body>');
      say(romeo, 'juliet@capulet.example', 'neither');
      expect(await juliet.until(/<message .*?<\/message>/s)).to.include('<body>neither</body>');
      for (const { secure } of streams(capulet)) expect(secure).to.equal(true);
    });
  }

  it('use one stream for both directions, with acknowledgements, where both can', async () => {
    await begin();
    say(juliet, 'romeo@montague.example', 'one');
    await romeo.until(/<body>one<\/body>/);
    say(romeo, 'juliet@capulet.example', 'two');
    await juliet.until(/<body>two<\/body>/);
    expect(streams(capulet).map(({ bidirectional, managed }) => [bidirectional, managed])).to.deep.equal([
      [true, true],
    ]);
  });

  it('keep the order of a thousand messages each way, both opening at once', async function () {
    this.timeout(60_000);
    await begin();
    const count = 1000;
    for (let n = 0; n < count; n++) {
      say(juliet, 'romeo@montague.example/orchard', `j${n}`);
      say(romeo, 'juliet@capulet.example/balcony', `r${n}`);
    }
    const bodies = async (client: TestClient): Promise<string[]> => {
      const found: string[] = [];
      while (found.length < count)
        found.push(/<body>(.*?)<\/body>/.exec(await client.until(/<body>.*?<\/body>/))?.[1] ?? '');
      return found;
    };
    const [toRomeo, toJuliet] = await Promise.all([bodies(romeo), bodies(juliet)]);
    expect(toRomeo).to.deep.equal(Array.from({ length: count }, (_, n) => `j${n}`));
    expect(toJuliet).to.deep.equal(Array.from({ length: count }, (_, n) => `r${n}`));
  });

  it('let people subscribe to each other and see each other come and go (RFC 6121 3, 4)', async () => {
    await begin();
    juliet.send(`<presence to='romeo@montague.example' type='subscribe' id='s1'/>`);
    await romeo.until(/<presence [^>]*from='juliet@capulet.example'[^>]*type='subscribe'[^>]*>/);
    romeo.send(`<presence to='juliet@capulet.example' type='subscribed'/>`);
    await juliet.until(/<presence [^>]*from='romeo@montague.example\/orchard'[^>]*>/);
    romeo.send('<presence><show>away</show></presence>');
    await juliet.until(/<show>away<\/show>/);
    // A second resource learns it by a probe.
    const nurse = await capulet.enter('juliet', 'chamber');
    await nurse.until(/from='romeo@montague.example\/orchard'.*?<show>away<\/show>/s);
    romeo.send(`<presence type='unavailable'/>`);
    await juliet.until(/<presence [^>]*from='romeo@montague.example\/orchard'[^>]*type='unavailable'[^>]*>/);
  });

  it('keep a message for who is away (XEP-0160)', async () => {
    await begin();
    say(juliet, 'benvolio@montague.example', 'part-fools');
    juliet.send(`<iq to='montague.example' type='get' id='after'><ping xmlns='urn:xmpp:ping'/></iq>`);
    await juliet.until(/<iq [^>]*id='after'[^>]*>/);
    const benvolio = await montague.enter('benvolio', 'street');
    const kept = await benvolio.until(/<message .*?<\/message>/s);
    expect(kept).to.include('<body>part-fools</body>').and.include(`<delay xmlns='urn:xmpp:delay'`);
  });

  it('hear nobody before they have taken up what waits since the last run', async () => {
    const ports = await freePorts(2);
    const answered: boolean[] = [];
    class ListeningStore extends MemoryStore {
      override async page(range: Range, limit: number): Promise<readonly Entry[]> {
        if (Buffer.compare(range.from, shardRange('outbox', 0).from) === 0) {
          for (const port of ports) answered.push(await isAnswering(port));
        }
        return super.page(range, limit);
      }
    }
    const [clients, servers] = ports.map(String);
    await begin({
      store: new ListeningStore(),
      environment: { POSTHORN_C2S_PORT: clients!, POSTHORN_S2S_PORT: servers! },
    });
    expect(answered).to.deep.equal([false, false]);
    for (const port of ports) expect(await isAnswering(port)).to.equal(true);
  });

  it('say what is wrong where the user or the server does not exist', async () => {
    await begin();
    say(juliet, 'tybalt@montague.example', 'nobody');
    expect(await juliet.until(/<message [^>]*type='error'.*?<\/message>/s)).to.include('<service-unavailable ');
    juliet.send(`<iq to='mantua.example' type='get' id='q1'><ping xmlns='urn:xmpp:ping'/></iq>`);
    const answer = await juliet.until(/<iq [^>]*id='q1'.*?<\/iq>/s);
    expect(answer).to.include('<remote-server-not-found ').and.include(`from='mantua.example'`);
    say(juliet, 'romeo@mantua.example', 'banished');
    expect(await juliet.until(/<message [^>]*id='banished'.*?<\/message>/s)).to.include('<remote-server-not-found ');
  });

  it('refuse a certificate that nobody vouches for, where policy asks for a valid one', async () => {
    await begin({ environment: { POSTHORN_S2S_POLICY: 'certificate' } }, { isUntrusted: true });
    say(juliet, 'romeo@montague.example', 'out');
    const refused = await juliet.until(/<message [^>]*id='out'.*?<\/message>/s);
    expect(refused).to.include('<remote-server-not-found ').and.include('certificate');
    say(romeo, 'juliet@capulet.example', 'in');
    expect(await romeo.until(/<message [^>]*id='in'.*?<\/message>/s)).to.include(`type='error'`);
  });

  it('refuse a certificate of another domain, where policy asks for a valid one', async () => {
    await begin({ environment: { POSTHORN_S2S_POLICY: 'certificate' } }, { certificateDomain: 'verona.example' });
    say(juliet, 'romeo@montague.example', 'out');
    expect(await juliet.until(/<message [^>]*id='out'.*?<\/message>/s)).to.include('another domain');
    say(romeo, 'juliet@capulet.example', 'in');
    expect(await romeo.until(/<message [^>]*id='in'.*?<\/message>/s)).to.include(`type='error'`);
  });

  it('do not talk where policy forbids it', async () => {
    const policies = JSON.stringify([{ domain: '*.example', policy: 'deny' }]);
    await begin({ environment: { POSTHORN_S2S_POLICIES: policies } });
    say(juliet, 'romeo@montague.example', 'out');
    expect(await juliet.until(/<message [^>]*id='out'.*?<\/message>/s)).to.include('<not-allowed ');
    say(romeo, 'juliet@capulet.example', 'in');
    expect(await romeo.until(/<message [^>]*id='in'.*?<\/message>/s)).to.include(`type='error'`);
  });
});

async function isAnswering(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
