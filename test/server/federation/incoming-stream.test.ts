import { expect } from 'chai';
import { NO_SECURITY } from '../../../server/sasl/mechanisms.ts';
import { certified, FederationStage, uncertified, type Peer } from '../../support/federation-stage.ts';

const DB = `xmlns:db='jabber:server:dialback'`;
const MESSAGE = `<message from='romeo@montague.example' to='juliet@example.com' type='chat'><body>hi</body></message>`;

describe('a stream from another server', () => {
  let stage: FederationStage;
  const open = async (environment: Record<string, string> = {}): Promise<void> => {
    stage = await FederationStage.open({ environment, security: uncertified('montague.example') });
  };
  const heard = async (): Promise<string[]> => {
    await stage.stage.settle();
    return stage.juliet.take();
  };
  const errorOf = async (peer: Peer): Promise<string> => {
    const [, condition = ''] = await peer.until(/<stream:error><([\w-]+) /);
    expect(peer.connection.ended).to.equal(true);
    return condition;
  };

  describe('SASL EXTERNAL (RFC 6120 6, XEP-0178)', () => {
    it('is offered to a certificate for the domain, and lets its stanzas in', async () => {
      await open();
      const peer = stage.connect(certified('montague.example'));
      await peer.prove('montague.example');
      peer.send(MESSAGE);
      const [message] = await heard();
      expect(message).to.include(`from='romeo@montague.example'`).and.include('<body>hi</body>');
    });

    it('takes the from of the header where no authorization identity is given', async () => {
      await open();
      const peer = stage.connect(certified('*.montague.example'));
      peer.open('rooms.montague.example');
      await peer.until(/EXTERNAL.*<\/stream:features>/s);
      peer.send(`<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>`);
      await peer.until(/<success /);
    });

    it('is not offered to a certificate of another domain, nor to one that nobody vouches for', async () => {
      await open();
      for (const security of [certified('verona.example'), uncertified('montague.example')]) {
        const peer = stage.connect(security);
        peer.open('montague.example');
        const [features] = await peer.until(/<stream:features>.*<\/stream:features>/s);
        expect(features).not.to.include('EXTERNAL');
        peer.send(`<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>`);
        await peer.until(/<failure [^>]*><not-authorized\/>/);
        peer.send(MESSAGE);
        expect(await errorOf(peer)).to.equal('not-authorized');
      }
      expect(await heard()).to.deep.equal([]);
    });

    it('proves no other domain than that of the header', async () => {
      await open();
      const peer = stage.connect(certified('montague.example', 'verona.example'));
      peer.open('montague.example');
      await peer.until(/<\/stream:features>/);
      const other = Buffer.from('verona.example').toString('base64');
      peer.send(`<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>${other}</auth>`);
      await peer.until(/<failure [^>]*><invalid-authzid\/>/);
    });

    it('ends the stream after too many attempts (RFC 6120 6.4.5)', async () => {
      await open();
      const peer = stage.connect(uncertified());
      peer.open('montague.example');
      for (let attempt = 0; attempt < 5; attempt++) {
        peer.send(`<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>`);
      }
      expect(await errorOf(peer)).to.equal('policy-violation');
    });
  });

  describe('dialback (XEP-0220)', () => {
    /** The peer claims a domain with a key; returns the connection over which the key is to be verified. */
    const claim = async (peer: Peer, from: string, key = 'k'): Promise<void> => {
      peer.send(`<db:result ${DB} from='${from}' to='example.com'>${key}</db:result>`);
      await stage.stage.settle();
    };

    it('2.2.1: asks the authoritative server, and believes its word', async () => {
      await open();
      const peer = stage.connect(uncertified());
      peer.open('montague.example');
      const [, id = ''] = await peer.until(/ id='([^']*)'/);
      await claim(peer, 'montague.example', '225cc5aa');
      const authoritative = await stage.nextDialed();
      expect(authoritative.connection).not.to.equal(peer.connection);
      await authoritative.answerHeader('');
      const [, asked] = await authoritative.until(/<db:verify ([^>]*)>225cc5aa<\/db:verify>/);
      expect(asked).to.equal(`from='example.com' to='montague.example' id='${id}'`);
      peer.send(MESSAGE); // too early
      expect(await errorOf(peer)).to.equal('not-authorized');
      const again = stage.connect(uncertified());
      again.open('montague.example');
      const [, second = ''] = await again.until(/ id='([^']*)'/);
      await claim(again, 'montague.example');
      await authoritative.until(/<db:verify [^>]*>k<\/db:verify>/);
      authoritative.send(`<db:verify from='montague.example' to='example.com' id='${second}' type='valid'/>`);
      await again.until(/<db:result from='example.com' to='montague.example' type='valid'\/>/);
      again.send(MESSAGE);
      expect(await heard()).to.have.length(1);
    });

    for (const [what, answer, outcome] of [
      ['an invalid key', `type='invalid'/>`, /type='invalid'\/>/],
      [
        'a domain that its server does not know',
        `type='error'><error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></db:verify>`,
        /type='error'><error type='cancel'><remote-server-not-found /,
      ],
    ] as const) {
      it(`2.2.1, 2.5: refuses ${what}`, async () => {
        await open();
        const peer = stage.connect(uncertified());
        peer.open('montague.example');
        const [, id = ''] = await peer.until(/ id='([^']*)'/);
        await claim(peer, 'montague.example');
        const authoritative = await stage.nextDialed();
        await authoritative.answerHeader('');
        await authoritative.until(/<db:verify /);
        authoritative.send(`<db:verify from='montague.example' to='example.com' id='${id}' ${answer}`);
        await peer.until(outcome);
        peer.send(MESSAGE);
        expect(await heard()).to.deep.equal([]);
      });
    }

    it('2.2.1: believes a certificate without asking', async () => {
      await open();
      const peer = stage.connect(certified('montague.example'));
      peer.open('montague.example');
      await claim(peer, 'montague.example');
      await peer.until(/type='valid'/);
      expect(stage.dialed).to.deep.equal([]);
    });

    it('3.1: takes no answer that was not asked for', async () => {
      await open();
      const peer = stage.connect(uncertified());
      peer.open('montague.example');
      peer.send(`<db:result ${DB} from='montague.example' to='example.com' type='valid'/>`);
      peer.send(`<db:verify ${DB} from='montague.example' to='example.com' id='x' type='valid'/>`);
      peer.send(MESSAGE);
      expect(await errorOf(peer)).to.equal('not-authorized');
      expect(await heard()).to.deep.equal([]);
    });

    it('3.1: takes no answer about another stream or domain', async () => {
      await open();
      const peer = stage.connect(uncertified());
      peer.open('montague.example');
      await claim(peer, 'montague.example');
      const authoritative = await stage.nextDialed();
      await authoritative.answerHeader('');
      const [, id = ''] = await authoritative.until(/<db:verify [^>]*id='([^']*)'/);
      authoritative.send(`<db:verify from='montague.example' to='example.com' id='another' type='valid'/>`);
      authoritative.send(`<db:verify from='verona.example' to='example.com' id='${id}' type='valid'/>`);
      authoritative.send(`<db:result from='montague.example' to='example.com' type='valid'/>`);
      await stage.stage.settle();
      expect(peer.connection.take()).not.to.include('valid');
    });

    it('2.2.2: says which keys are ours, for the stream and the pair they were made for only', async () => {
      await open();
      const peer = stage.connect(uncertified());
      peer.open('verona.example');
      const key = stage.keys.key('montague.example', 'example.com', 'D60000229F');
      const ask = async (from: string, to: string, id: string, sent = key): Promise<string> => {
        peer.send(`<db:verify ${DB} from='${from}' to='${to}' id='${id}'>${sent}</db:verify>`);
        const [, type = ''] = await peer.until(/<db:verify [^>]*type='(\w+)'/);
        return type;
      };
      expect(await ask('montague.example', 'example.com', 'D60000229F')).to.equal('valid');
      expect(await ask('montague.example', 'example.com', 'D60000229E')).to.equal('invalid'); // replayed
      expect(await ask('verona.example', 'example.com', 'D60000229F')).to.equal('invalid');
      expect(await ask('montague.example', 'example.com', 'D60000229F', 'x')).to.equal('invalid');
      expect(await ask('montague.example', 'mantua.example', 'D60000229F')).to.equal('error');
    });

    it('2.5: knows no domain but its own, and keeps the stream', async () => {
      await open();
      const peer = stage.connect(uncertified());
      peer.open('montague.example');
      peer.send(`<db:result ${DB} from='montague.example' to='mantua.example'>k</db:result>`);
      await peer.until(
        /<db:result from='mantua.example' to='montague.example' type='error'><error type='cancel'><item-not-found /,
      );
      expect(peer.connection.ended).to.equal(false);
    });

    it('2.5: asks for TLS, and for a certificate where policy does', async () => {
      await open();
      const plain = stage.connect(NO_SECURITY);
      plain.open('montague.example');
      await claim(plain, 'montague.example');
      await plain.until(/<policy-violation /);
      await open({ POSTHORN_S2S_POLICY: 'certificate' });
      const peer = stage.connect(uncertified('montague.example'));
      peer.open('montague.example');
      await claim(peer, 'montague.example');
      await peer.until(/<not-authorized /);
      expect(stage.dialed).to.deep.equal([]);
    });

    it('verifies a bounded number of keys at the same time', async () => {
      await open();
      const peer = stage.connect(uncertified());
      peer.open('montague.example');
      for (let n = 0; n < 20; n++) {
        peer.send(`<db:result ${DB} from='d${n}.montague.example' to='example.com'>k</db:result>`);
      }
      await peer.until(/<resource-constraint /);
    });
  });

  describe('stanzas', () => {
    const proved = async (): Promise<Peer> => {
      await open();
      const peer = stage.connect(certified('montague.example'));
      await peer.prove('montague.example');
      return peer;
    };

    for (const [what, bytes, condition] of [
      ['a spoofed domain', `<message from='tybalt@example.com' to='juliet@example.com'/>`, 'invalid-from'],
      [
        'a domain that was not proved',
        `<message from='nurse@verona.example' to='juliet@example.com'/>`,
        'invalid-from',
      ],
      [
        'a subdomain that was not proved',
        `<message from='x@a.montague.example' to='juliet@example.com'/>`,
        'invalid-from',
      ],
      ['no to', `<message from='romeo@montague.example'/>`, 'improper-addressing'],
      ['no from', `<message to='juliet@example.com'/>`, 'improper-addressing'],
      ['a from that is no address', `<message from='@' to='juliet@example.com'/>`, 'improper-addressing'],
      [
        'the namespace of clients',
        `<message xmlns='jabber:client' from='romeo@montague.example' to='juliet@example.com'/>`,
        'invalid-namespace',
      ],
      [
        'another namespace',
        `<message xmlns='urn:x' from='romeo@montague.example' to='juliet@example.com'/>`,
        'unsupported-stanza-type',
      ],
      [
        'a prefix for the content',
        `<s:message xmlns:s='jabber:server' from='romeo@montague.example' to='juliet@example.com'/>`,
        'bad-namespace-prefix',
      ],
      [
        'a stream inside',
        `<message from='romeo@montague.example' to='juliet@example.com'></stream:stream>`,
        'not-well-formed',
      ],
      [
        'more than is taken',
        `<message from='romeo@montague.example' to='juliet@example.com'><body>${'x'.repeat(600_000)}</body></message>`,
        'policy-violation',
      ],
    ] as const) {
      it(`end the stream with ${condition} for ${what}`, async () => {
        const peer = await proved();
        peer.send(bytes);
        expect(await errorOf(peer)).to.equal(condition);
        expect(await heard()).to.deep.equal([]);
      });
    }

    it('are re-scoped, so that nothing in jabber:server reaches a client', async () => {
      const peer = await proved();
      peer.send(
        `<message from='romeo@montague.example' to='juliet@example.com' type='chat'><body xmlns='jabber:server'>a</body>` +
          `<forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:server'><body>b</body></message></forwarded></message>`,
      );
      const [message] = await heard();
      expect(message).to.include('<body xmlns=').and.not.to.include('jabber:server');
    });

    it('lose numbers that claim to be ours', async () => {
      const peer = await proved();
      peer.send(
        `<message from='romeo@montague.example' to='juliet@example.com' type='headline'><body>a</body>` +
          `<sequence xmlns='urn:posthorn:sequence:0' by='example.com' chat='romeo@montague.example' n='99'/></message>`,
      );
      const [message] = await heard();
      expect(message).to.include('<body>').and.not.to.include(`n='99'`);
    });

    it('for a domain that is not served here come back', async () => {
      const peer = await proved();
      peer.send(`<iq from='romeo@montague.example/o' to='mantua.example' type='get' id='q'><x xmlns='urn:x'/></iq>`);
      const back = await stage.nextDialed();
      await back.answerHeader(
        `<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>EXTERNAL</mechanism></mechanisms>`,
      );
      expect(stage.dialed[0]?.domain).to.equal('montague.example');
    });
  });

  describe('limits', () => {
    it('give an element of a server that has proved nothing little room', async () => {
      await open();
      const peer = stage.connect(uncertified());
      peer.open('montague.example');
      peer.send(`<db:result ${DB} from='montague.example' to='example.com'>${'x'.repeat(20_000)}</db:result>`);
      expect(await errorOf(peer)).to.equal('policy-violation');
    });

    it('end a thousand streams that prove nothing, and remember none of them', async () => {
      await open();
      const peers = Array.from({ length: 1000 }, () => stage.connect(uncertified()));
      for (const [index, peer] of peers.entries()) if (index % 2 === 0) peer.open('montague.example');
      expect(stage.federation.streamCount).to.equal(1000);
      await stage.pass(62);
      for (const peer of peers) expect(await errorOf(peer)).to.equal('connection-timeout');
      await stage.pass(6);
      expect(stage.federation.streamCount).to.equal(0);
      expect(stage.clock.scheduled).to.equal(0);
    });

    it('end a stream that sends its header a byte at a time', async () => {
      await open();
      const peer = stage.connect(uncertified());
      for (const byte of `<?xml version='1.0'?><stream:stream xmlns='jabber:server' `) {
        peer.send(byte);
        await stage.pass(2);
      }
      expect(await errorOf(peer)).to.equal('connection-timeout');
    });

    it('close a stream that was idle for long (RFC 6120 4.4)', async () => {
      await open({ POSTHORN_S2S_IDLE_SECONDS: '60' });
      const peer = stage.connect(certified('montague.example'));
      await peer.prove('montague.example');
      await stage.pass(62);
      await peer.until(/<\/stream:stream>/);
    });
  });

  describe('the header (RFC 6120 4.7)', () => {
    for (const [what, header, condition] of [
      ['a domain that is not served', `from='montague.example' to='mantua.example' version='1.0'`, 'host-unknown'],
      ['no domain', `from='montague.example' version='1.0'`, 'improper-addressing'],
      ['no domain as its from', `from='romeo@montague.example' to='example.com' version='1.0'`, 'improper-addressing'],
      ['no version', `from='montague.example' to='example.com'`, 'unsupported-version'],
    ] as const) {
      it(`is answered with ${condition} for ${what}`, async () => {
        await open();
        const peer = stage.connect(uncertified());
        peer.send(`<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' ${header}>`);
        expect(await errorOf(peer)).to.equal(condition);
      });
    }

    it('is answered with invalid-namespace for that of clients, and policy-violation for who is denied', async () => {
      await open({ POSTHORN_S2S_POLICIES: JSON.stringify([{ domain: '*.tybalt.example', policy: 'deny' }]) });
      const client = stage.connect(uncertified());
      client.send(
        `<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='example.com' version='1.0'>`,
      );
      expect(await errorOf(client)).to.equal('invalid-namespace');
      const denied = stage.connect(certified('a.b.tybalt.example'));
      denied.open('a.b.tybalt.example');
      expect(await errorOf(denied)).to.equal('policy-violation');
    });
  });

  describe('stream management (XEP-0198)', () => {
    it('counts what is stored, and resumes after a cut without taking anything twice', async () => {
      await open();
      const peer = stage.connect(certified('montague.example'));
      await peer.prove('montague.example');
      peer.send(`<enable xmlns='urn:xmpp:sm:3' resume='true'/>`);
      const [, id = ''] = await peer.until(/<enabled [^>]*id='([^']*)'/);
      for (let n = 0; n < 3; n++) peer.send(MESSAGE);
      peer.send(`<r xmlns='urn:xmpp:sm:3'/>`);
      await peer.until(/<a xmlns='urn:xmpp:sm:3' h='3'\/>/);
      peer.connection.close(new Error('ECONNRESET'));
      const stranger = stage.connect(certified('verona.example'));
      await stranger.prove('verona.example');
      stranger.send(`<resume xmlns='urn:xmpp:sm:3' previd='${id}' h='0'/>`);
      await stranger.until(/<failed [^>]*><item-not-found /);
      const again = stage.connect(certified('montague.example'));
      await again.prove('montague.example');
      again.send(`<resume xmlns='urn:xmpp:sm:3' previd='${id}' h='0'/>`);
      await again.until(/<resumed [^>]*h='3'\/>/);
      again.send(MESSAGE);
      again.send(`<r xmlns='urn:xmpp:sm:3'/>`);
      await again.until(/<a xmlns='urn:xmpp:sm:3' h='4'\/>/);
      expect(await heard()).to.have.length(4);
    });
  });
});
