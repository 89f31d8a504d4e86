import { expect } from 'chai';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';

import { Admission } from '../../../server/streams/admission.ts';
import { ClientStream } from '../../../server/streams/client-stream.ts';
import { Flusher } from '../../../server/streams/flusher.ts';
import { Listener } from '../../../server/streams/listener.ts';
import { TlsHandshakes } from '../../../server/streams/tls-handshakes.ts';
import { ScramClient } from '../../support/scram-client.ts';
import { silentLog } from '../../support/silent-log.ts';
import {
  bindRequest,
  ENCRYPTED,
  header,
  nextTurn,
  PASSWORD,
  plainAuth,
  StreamStage,
} from '../../support/stream-stage.ts';
import { makeTestCertificates, type TestCertificates } from '../../support/tls-contexts.ts';

const TLS = `xmlns='urn:ietf:params:xml:ns:xmpp-tls'`;
const SASL = `xmlns='urn:ietf:params:xml:ns:xmpp-sasl'`;
const STARTTLS = `<starttls ${TLS}/>`;
const MESSAGE = `<message to='romeo@capulet.example'><body>Wherefore art thou?</body></message>`;

/** A restart's header: without the XML declaration, which may be left out (RFC 6120 4.3.3). */
const restart = header().replace(/^<\?.*?\?>/, '');

describe('server/streams: STARTTLS (RFC 6120 5)', () => {
  let stage: StreamStage;

  beforeEach(async () => {
    stage = await StreamStage.open();
  });

  it('is told to proceed, and a new stream with a new id begins (5.4.2.3, 5.4.3.3)', async () => {
    const client = stage.connect();
    const before = await client.open();
    client.send(STARTTLS);
    expect(await client.until(/<proceed[^>]*>/)).to.equal(`<proceed ${TLS}/>`);
    const after = await client.open();
    const id = (sent: string): string => / id='([^']*)'/.exec(sent)?.[1] ?? '';
    expect(id(after)).not.to.equal(id(before));
    expect(after).to.include('<mechanisms').and.not.include('<starttls');
  });

  it('is refused where it was not offered, and the stream closed (5.4.2.2)', async () => {
    const client = stage.connectSecurely();
    await client.open();
    client.send(STARTTLS);
    await client.until(new RegExp(`<failure ${TLS}/></stream:stream>$`));
    expect(client.connection.ended).to.equal(true);
  });

  it('is refused a second time', async () => {
    const client = stage.connect();
    await client.open();
    client.send(STARTTLS);
    await client.until(/<proceed[^>]*>/);
    await client.open();
    client.send(STARTTLS);
    await client.until(new RegExp(`<failure ${TLS}/></stream:stream>$`));
  });

  it('ends the connection without a word where the handshake fails (5.4.3.2)', async () => {
    const client = stage.connect();
    client.connection.tlsOutcome = new Error('no shared cipher');
    await client.open();
    client.send(STARTTLS);
    await nextTurn();
    expect(client.sent).to.equal(`<proceed ${TLS}/>`);
    expect(client.connection.destroyed).to.equal(true);
    expect(stage.context.streams.size).to.equal(0);
  });

  for (const [what, bytes] of [
    ['another element of its namespace', `<proceed ${TLS}/>`],
    ['a stanza', MESSAGE],
    ['a request to bind', bindRequest('balcony')],
    ['compression', `<compress xmlns='http://jabber.org/protocol/compress'><method>zlib</method></compress>`],
    ['an element of our own side', '<stream:features/>'],
  ] as const) {
    it(`${what} instead: not-authorized (4.9.3.12)`, async () => {
      const client = stage.connect();
      await client.open();
      client.send(bytes);
      expect(await client.refusal()).to.equal('not-authorized');
    });
  }

  describe('over a socket', () => {
    let certificates: TestCertificates;
    let listener: Listener;
    let sockets: Socket[];
    let port: number;

    before(async () => {
      certificates = await makeTestCertificates(['capulet.example', 'montague.example']);
    });

    beforeEach(async () => {
      sockets = [];
      const { clock, context } = stage;
      listener = new Listener({
        name: 'c2s',
        port: 0,
        addresses: ['127.0.0.1'],
        directTls: false,
        admission: new Admission({ limits: context.config.c2s, clock, log: silentLog }),
        handshakes: new TlsHandshakes({ contexts: certificates.contexts, maxHandshakes: 4, timeoutMs: 10_000, clock }),
        flusher: new Flusher({ log: silentLog }),
        accept: (connection) => new ClientStream(connection, context),
        log: silentLog,
      });
      port = (await listener.listen())[0]?.port ?? 0;
    });

    afterEach(() => {
      listener.close();
      for (const socket of sockets) socket.destroy();
    });

    async function dial(): Promise<Socket> {
      const socket = connect(port, '127.0.0.1');
      socket.on('error', () => undefined);
      sockets.push(socket);
      await once(socket, 'connect');
      return socket;
    }

    /** Reads until the pattern has come, or the connection has closed. */
    async function read(socket: Socket, pattern: RegExp): Promise<string> {
      let text = '';
      while (!pattern.test(text)) {
        const chunk = socket.read() as Buffer | null;
        if (chunk !== null) text += chunk.toString();
        else if (socket.destroyed || socket.readableEnded) throw new Error(`closed; came: ${text}`);
        else await Promise.race([once(socket, 'readable'), once(socket, 'close')]);
      }
      return text;
    }

    async function encrypt(socket: Socket): Promise<TLSSocket> {
      const secured = connectTls({ socket, servername: 'capulet.example', ca: certificates.ca });
      secured.on('error', () => undefined);
      sockets.push(secured);
      await once(secured, 'secureConnect');
      return secured;
    }

    it('carries nothing over that was sent in clear behind <starttls/> (5.4.3.3)', async () => {
      const injected = `${restart}${plainAuth('romeo')}`;
      const socket = await dial();
      // One segment, as an attacker in between would put it; from here on Juliet's own client goes on.
      socket.write(header() + STARTTLS + injected);
      await read(socket, /<proceed[^>]*>/);
      const secured = await encrypt(socket);
      secured.write(header());
      const answer = await read(secured, /<\/stream:features>/);
      expect(answer.match(/<stream:stream /g)).to.have.length(1);
      expect(answer).not.to.match(/<success|<failure|<stream:error/);
      secured.write(plainAuth('juliet'));
      await read(secured, /<success[^>]*>/);
      secured.write(header() + bindRequest('balcony'));
      expect(await read(secured, /<\/jid>/)).to.include('juliet@capulet.example/balcony');
    });

    it('forgets half an element that was sent in clear', async () => {
      const socket = await dial();
      socket.write(`${header()}${STARTTLS}<message to='romeo@capulet.example'><body>`);
      await read(socket, /<proceed[^>]*>/);
      const secured = await encrypt(socket);
      secured.write(header());
      expect(await read(secured, /<\/stream:features>/)).to.include('<mechanisms');
    });

    it('forgets what the header in clear was addressed to, and from', async () => {
      const socket = await dial();
      socket.write(header({ to: 'montague.example', from: 'romeo@montague.example' }) + STARTTLS);
      await read(socket, /<proceed[^>]*>/);
      const secured = await encrypt(socket);
      secured.write(header({ to: 'capulet.example' }) + plainAuth('juliet'));
      expect(await read(secured, /<success[^>]*>/)).to.include(`from='capulet.example'`);
    });

    it('closes on XML where TLS belongs, without an answer in clear (5.4.3.1)', async () => {
      const socket = await dial();
      socket.write(header() + STARTTLS);
      await read(socket, /<proceed[^>]*>$/);
      socket.write(restart + MESSAGE);
      let text = '';
      socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')));
      await once(socket, 'close');
      expect(text).not.to.include('<');
    });

    it('gives up a handshake that does not finish, without a word in clear', async () => {
      const socket = await dial();
      socket.write(header() + STARTTLS);
      await read(socket, /<proceed[^>]*>$/);
      let text = '';
      socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')));
      while (stage.clock.scheduled === 0) await nextTurn();
      stage.clock.advance(10_001);
      await once(socket, 'close');
      expect(text).to.equal('');
      while (stage.context.streams.size > 0) await nextTurn();
    });

    it('says nothing in clear when the login becomes overdue during the handshake', async () => {
      const socket = await dial();
      socket.write(header() + STARTTLS);
      await read(socket, /<proceed[^>]*>$/);
      let text = '';
      socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')));
      while (stage.clock.scheduled === 0) await nextTurn();
      for (const stream of [...stage.context.streams]) stream.check(stage.clock.monotonic() + 31_000);
      await once(socket, 'end');
      socket.end();
      while (stage.context.streams.size > 0) await nextTurn();
      expect(text).to.equal('');
    });
  });
});

describe('server/streams: SASL on the stream (RFC 6120 6)', () => {
  let stage: StreamStage;

  beforeEach(async () => {
    stage = await StreamStage.open();
  });

  it('takes SCRAM step by step, and a new stream with a new id begins (6.4)', async () => {
    const juliet = stage.connectSecurely();
    const before = await juliet.open();
    const scram = new ScramClient({ username: 'juliet', password: PASSWORD, mechanism: 'SCRAM-SHA-256' });
    juliet.send(`<auth ${SASL} mechanism='SCRAM-SHA-256'>${scram.first()}</auth>`);
    const text = (element: string): string => />([^<]*)</.exec(element)?.[1] ?? '';
    const challenge = await juliet.until(/<challenge [^>]*>[^<]*<\/challenge>/);
    juliet.send(`<response ${SASL}>${scram.respond(text(challenge))}</response>`);
    scram.verify(text(await juliet.until(/<success [^>]*>[^<]*<\/success>/)));
    const after = await juliet.open();
    const id = (sent: string): string => / id='([^']*)'/.exec(sent)?.[1] ?? '';
    expect(id(after)).not.to.equal(id(before));
  });

  it('is refused in clear, where it is not offered (6.5.4), and TLS is possible afterwards', async () => {
    const client = stage.connect();
    await client.open();
    client.send(plainAuth('juliet'));
    expect(await client.until(/<failure.*<\/failure>/)).to.equal(`<failure ${SASL}><encryption-required/></failure>`);
    client.send(STARTTLS);
    await client.until(/<proceed[^>]*>/);
    expect(await client.enter('juliet', 'balcony')).to.equal('juliet@capulet.example/balcony');
  });

  it('goes on after failures, as often as is configured, and closes with policy-violation then (6.4.5)', async () => {
    const patient = await StreamStage.open({ environment: { POSTHORN_SASL_MAX_RETRIES: '2' } });
    const client = patient.connectSecurely();
    await client.open();
    for (let attempt = 0; attempt < 2; attempt++) {
      client.send(plainAuth('juliet', 'wrong'));
      await client.until(new RegExp(`<failure ${SASL}><not-authorized/></failure>`));
      expect(client.connection.ended).to.equal(false);
    }
    client.send(plainAuth('juliet', 'wrong'));
    expect(await client.refusal()).to.equal('policy-violation');
    expect(client.sent).to.match(new RegExp(`^<failure ${SASL}><not-authorized/></failure><stream:error>`));
  });

  it('may succeed on the last try', async () => {
    const client = stage.connectSecurely();
    await client.open();
    for (let attempt = 0; attempt < 3; attempt++) {
      client.send(plainAuth('juliet', 'wrong'));
      await client.until(/<failure.*<\/failure>/);
    }
    client.send(plainAuth('juliet'));
    await client.until(/<success [^>]*>/);
  });

  it('can be aborted (6.4.4), and tried again', async () => {
    const client = stage.connectSecurely();
    await client.open();
    const scram = new ScramClient({ username: 'juliet', password: PASSWORD, mechanism: 'SCRAM-SHA-1' });
    client.send(`<auth ${SASL} mechanism='SCRAM-SHA-1'>${scram.first()}</auth>`);
    await client.until(/<challenge .*<\/challenge>/);
    client.send(`<abort ${SASL}/>`);
    expect(await client.until(/<failure.*<\/failure>/)).to.equal(`<failure ${SASL}><aborted/></failure>`);
    client.send(plainAuth('juliet'));
    await client.until(/<success [^>]*>/);
  });

  it('begins anew with another <auth/> in the middle (6.4.2)', async () => {
    const client = stage.connectSecurely();
    await client.open();
    const scram = new ScramClient({ username: 'romeo', password: PASSWORD, mechanism: 'SCRAM-SHA-1' });
    client.send(`<auth ${SASL} mechanism='SCRAM-SHA-1'>${scram.first()}</auth>`);
    await client.until(/<challenge .*<\/challenge>/);
    client.send(plainAuth('juliet'));
    await client.until(/<success [^>]*>/);
    expect(await client.bind('balcony')).to.equal('juliet@capulet.example/balcony');
  });

  it('cannot be begun for ever', async () => {
    const client = stage.connectSecurely();
    await client.open();
    for (let count = 0; count < 10 && !client.connection.ended; count++) {
      client.send(`<auth ${SASL} mechanism='SCRAM-SHA-1'/>`);
      await nextTurn();
    }
    expect(await client.refusal()).to.equal('policy-violation');
  });

  it('is not asked for twice: a new stream comes after success, not another <auth/>', async () => {
    const atOnce = stage.connectSecurely();
    await atOnce.logIn('juliet');
    atOnce.send(plainAuth('romeo'));
    expect(await atOnce.refusal()).to.equal('invalid-namespace');

    const restarted = stage.connectSecurely();
    await restarted.logIn('juliet');
    await restarted.open();
    restarted.send(plainAuth('romeo'));
    expect(await restarted.refusal()).to.equal('not-authorized');

    const bound = stage.connectSecurely();
    await bound.enter('juliet', 'balcony');
    bound.send(plainAuth('romeo'));
    expect(await bound.refusal()).to.equal('unsupported-stanza-type');
  });

  it('comes before any stanza: nothing of it is processed (4.9.3.12)', async () => {
    const romeo = stage.connectSecurely();
    await romeo.enter('romeo', 'orchard');
    romeo.send('<presence/>');
    await romeo.fence();
    for (const stanza of [MESSAGE, `<presence to='romeo@capulet.example'/>`, bindRequest('balcony')]) {
      const client = stage.connectSecurely();
      await client.open();
      client.send(stanza);
      expect(await client.refusal()).to.equal('not-authorized');
    }
    expect(await romeo.fence()).not.to.match(/<message|from='juliet/);
  });

  it('keeps its domain: a user of one is none of another', async () => {
    const client = stage.connectSecurely();
    await client.open({ to: 'montague.example' });
    client.send(plainAuth('juliet'));
    expect(await client.until(/<failure.*<\/failure>/)).to.equal(`<failure ${SASL}><not-authorized/></failure>`);
  });
});

describe('server/streams: a client that does not wait for answers', () => {
  let stage: StreamStage;

  beforeEach(async () => {
    stage = await StreamStage.open();
  });

  /** All of a session under TLS, from the first header to its end. */
  const everything =
    header() +
    plainAuth('juliet') +
    restart +
    bindRequest('balcony') +
    `<message to='romeo@capulet.example/orchard' id='1'><body>O Romeo, Romeo!</body></message>` +
    `<message to='romeo@capulet.example/orchard' id='2'><body>Wherefore art thou Romeo?</body></message>` +
    `</stream:stream>`;

  async function heardBy(send: (bytes: string) => void): Promise<string> {
    const romeo = stage.connectSecurely();
    await romeo.enter('romeo', 'orchard');
    const juliet = stage.connect({ security: ENCRYPTED });
    send.call(juliet, everything);
    const heard = await romeo.until(/<message [^>]*id='2'.*?<\/message>/);
    await juliet.until(/<\/stream:stream>$/);
    expect(juliet.connection.ended).to.equal(true);
    return heard;
  }

  it('is understood in one segment', async () => {
    const heard = await heardBy(function (this: { send(bytes: string): void }, bytes) {
      this.send(bytes);
    });
    expect(heard.match(/ id='\d'/g)).to.deep.equal([` id='1'`, ` id='2'`]);
  });

  it('is understood byte by byte', async () => {
    const heard = await heardBy(function (this: { send(bytes: string): void }, bytes) {
      for (const byte of bytes) this.send(byte);
    });
    expect(heard.match(/ id='\d'/g)).to.deep.equal([` id='1'`, ` id='2'`]);
  });

  it('is refused where it was wrong to expect success: what comes behind is not done', async () => {
    const client = stage.connectSecurely();
    client.send(header() + plainAuth('juliet', 'wrong') + restart + bindRequest('balcony'));
    expect(await client.refusal()).to.equal('bad-format');
    expect(client.sent).to.include('<not-authorized/></failure>').and.not.include('<jid>');
  });
});
