import { expect } from 'chai';
import { certified, FederationStage, uncertified, type Peer } from '../../support/federation-stage.ts';

const DB = `xmlns:db='jabber:server:dialback'`;

describe('a server that means ill', () => {
  let stage: FederationStage;
  const open = async (environment: Record<string, string> = {}): Promise<void> => {
    stage = await FederationStage.open({ environment, security: uncertified('montague.example') });
  };
  const errorOf = async (peer: Peer): Promise<string> => {
    const [, condition = ''] = await peer.until(/<stream:error><([\w-]+) /);
    expect(peer.connection.ended).to.equal(true);
    return condition;
  };

  for (const domain of ['example.com', 'EXAMPLE.com.', 'example。com']) {
    it(`is not believed to be ${domain}, which is served here`, async () => {
      await open();
      const claiming = stage.connect(certified('example.com'));
      claiming.open(Buffer.from(domain, 'utf8').toString('latin1'));
      expect(await errorOf(claiming)).to.equal('invalid-from');
      for (const security of [certified('example.com'), uncertified('example.com')]) {
        const peer = stage.connect(security);
        peer.open('montague.example');
        await peer.until(/<\/stream:features>/);
        const from = Buffer.from(domain, 'utf8').toString('latin1');
        peer.send(`<db:result ${DB} from='${from}' to='example.com'>k</db:result>`);
        await peer.until(/<db:result from='example.com' to='example.com' type='error'>.*<policy-violation /);
        peer.send(`<message from='juliet@example.com' to='juliet@example.com'><body>I</body></message>`);
        expect(await errorOf(peer)).to.equal('not-authorized');
      }
      await stage.stage.settle();
      expect(stage.dialed).to.deep.equal([]);
      expect(stage.juliet.take()).to.deep.equal([]);
    });
  }

  it('is given up when it asks and asks and reads no answer', async () => {
    await open();
    const peer = stage.connect(uncertified());
    peer.open('montague.example');
    peer.connection.stalledBytes = 60_000;
    peer.send(`<db:verify ${DB} from='montague.example' to='example.com' id='x'>k</db:verify>`);
    expect(peer.connection.destroyed).to.equal(false);
    peer.connection.stalledBytes = 70_000;
    peer.send(`<db:verify ${DB} from='montague.example' to='example.com' id='x'>k</db:verify>`);
    expect(peer.connection.destroyed).to.equal(true);
    expect(stage.federation.streamCount).to.equal(0);
  });

  it('is offered no stream for both directions where the operator wants none, and cannot have one', async () => {
    await open({ POSTHORN_S2S_BIDIRECTIONAL: 'false' });
    const peer = stage.connect(certified('montague.example'));
    peer.open('montague.example');
    const [features] = await peer.until(/<stream:features>.*<\/stream:features>/s);
    expect(features).not.to.include('bidi');
    peer.send(`<bidi xmlns='urn:xmpp:bidi'/>`);
    expect(await errorOf(peer)).to.equal('unsupported-stanza-type');
  });

  it('keeps nobody from connecting by what it has us verify', async () => {
    await open();
    for (let n = 0; n < 96; n += 16) {
      const peer = stage.connect(uncertified());
      peer.open('tybalt.example');
      for (let m = n; m < n + 16; m++) {
        peer.send(`<db:result ${DB} from='d${m}.tybalt.example' to='example.com'>k</db:result>`);
      }
    }
    const peer = stage.connect(uncertified());
    peer.open('montague.example');
    peer.send(`<db:result ${DB} from='montague.example' to='example.com'>k</db:result>`);
    await stage.stage.settle();
    await stage.juliet.send(`<message to='romeo@montague.example' type='chat'><body>hi</body></message>`);
    await stage.stage.settle();
    const domains = stage.dialed.map(({ domain }) => domain);
    expect(domains.filter((domain) => domain.endsWith('.tybalt.example'))).to.have.length(32);
    expect(domains).to.include('montague.example');
  });

  it('keeps nobody from connecting by connecting', async () => {
    await open({ POSTHORN_S2S_MAX_CONNECTIONS: '2' });
    for (let n = 0; n < 2; n++) stage.connect(uncertified()).open(`h${n}.tybalt.example`);
    await stage.juliet.send(`<message to='romeo@montague.example' type='chat'><body>hi</body></message>`);
    await (await stage.nextDialed()).until(/<stream:stream /);
  });

  it('has a share of what is verified, and no more', async () => {
    await open();
    const ask = async (address: string, count: number): Promise<string> => {
      let answers = '';
      for (let n = 0; n < count; n += 16) {
        const peer = stage.connect(uncertified(), address);
        peer.open('tybalt.example');
        for (let m = n; m < Math.min(count, n + 16); m++) {
          peer.send(`<db:result ${DB} from='d${m}.tybalt.example' to='example.com'>k</db:result>`);
        }
        await stage.stage.settle();
        answers += peer.connection.sent;
      }
      return answers;
    };
    const answers = await ask('192.0.2.66', 104);
    expect([...answers.matchAll(/<resource-constraint /g)]).to.have.length(4);
    expect(await ask('198.51.100.1', 1)).not.to.include('resource-constraint');
  });

  it('holds nobody up by many servers that are slow in turn', async () => {
    await open({ POSTHORN_S2S_NEGOTIATION_TIMEOUT_SECONDS: '600' });
    stage.servers = 16;
    await stage.juliet.send(`<message to='romeo@montague.example' type='chat' id='m1'><body>hi</body></message>`);
    await stage.juliet.send(
      `<iq to='romeo@montague.example/orchard' type='get' id='q1'><ping xmlns='urn:xmpp:ping'/></iq>`,
    );
    for (let n = 0; n < 5; n++) {
      const peer = await stage.nextDialed();
      await stage.pass(11);
      expect(stage.takeErrors()).to.deep.equal([]);
      peer.connection.close(new Error('ECONNRESET'));
    }
    const last = await stage.nextDialed();
    await stage.pass(6);
    expect(last.connection.destroyed).to.equal(true);
    expect(stage.takeErrors().join('')).to.match(/id='q1'.*<remote-server-timeout .*within 60 s/);
  });
});

describe('an account', () => {
  it('has a share of the domains that are spoken to, and no more', async function () {
    this.timeout(20_000);
    const stage = await FederationStage.open({});
    const nurse = await stage.stage.actor('nurse@example.com/house');
    const say = (from: typeof nurse, domain: string): void =>
      stage.stage.put(from.session, `<message to='romeo@${domain}' type='chat' id='m'><body>hi</body></message>`);
    for (let n = 0; n < 1001; n++) say(stage.juliet, `d${n}.example`);
    await stage.stage.settle();
    expect(stage.takeErrors().filter((error) => error.includes('<resource-constraint '))).to.have.length(1);
    say(nurse, 'd1001.example');
    say(stage.juliet, 'd7.example'); // a path that there is already
    await stage.stage.settle();
    expect([...nurse.take(), ...stage.takeErrors()].join('')).not.to.include('resource-constraint');
  });
});
