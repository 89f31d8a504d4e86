import { expect } from 'chai';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { WebSocket, type ClientOptions } from 'ws';

import { startHttp, type RunningHttp } from '../../../server/http/http-server.ts';
import { Admission } from '../../../server/streams/admission.ts';
import { ClientStream } from '../../../server/streams/client-stream.ts';
import { Flusher } from '../../../server/streams/flusher.ts';
import { TlsHandshakes } from '../../../server/streams/tls-handshakes.ts';
import { StreamError } from '../../../stanzas/stream-error.ts';
import { silentLog } from '../../support/silent-log.ts';
import { nextTurn, plainAuth, StreamStage } from '../../support/stream-stage.ts';
import { makeTestCertificates, type TestCertificates } from '../../support/tls-contexts.ts';

const FRAMING = `xmlns='urn:ietf:params:xml:ns:xmpp-framing'`;
const CLIENT = `xmlns='jabber:client'`;
const CLOSE = `<close ${FRAMING}/>`;
const open = (attributes = `to='capulet.example' version='1.0'`): string => `<open ${FRAMING} ${attributes}/>`;
const bind = (resource: string): string =>
  `<iq ${CLIENT} id='bind' type='set'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>${resource}</resource></bind></iq>`;

/** A browser's end of a WebSocket: takes message by message. */
class Page {
  readonly socket: WebSocket;
  readonly messages: string[] = [];
  closeCode: number | undefined;

  constructor(socket: WebSocket) {
    this.socket = socket;
    socket.on('message', (data: Buffer, isBinary) => this.messages.push(isBinary ? 'binary' : data.toString()));
    socket.on('close', (code) => (this.closeCode = code));
    socket.on('error', () => undefined);
  }

  send(message: string): void {
    this.socket.send(message);
  }

  /** The next message. Rejects when the WebSocket closes first. */
  async next(): Promise<string> {
    for (;;) {
      const message = this.messages.shift();
      if (message !== undefined) return message;
      if (this.closeCode !== undefined) throw new Error(`closed with ${this.closeCode}`);
      await nextTurn();
    }
  }

  /** Takes messages up to one that matches; that one. */
  async until(pattern: RegExp): Promise<string> {
    for (;;) {
      const message = await this.next();
      if (pattern.test(message)) return message;
    }
  }

  async closed(): Promise<number> {
    while (this.closeCode === undefined) await nextTurn();
    return this.closeCode;
  }

  async logIn(username: string): Promise<void> {
    this.send(open());
    await this.until(/^<stream:features /);
    this.send(plainAuth(username));
    await this.until(/^<success /);
  }

  async enter(username: string, resource: string): Promise<void> {
    await this.logIn(username);
    this.send(open());
    await this.until(/^<stream:features /);
    this.send(bind(resource));
    await this.until(/^<iq .*<jid>/);
  }

  /** The condition of the stream error that comes next; rejects where it is not in the form of RFC 7395 3.5. */
  async refusal(): Promise<string> {
    const error = await this.next();
    const form =
      /^<stream:error xmlns:stream='http:\/\/etherx\.jabber\.org\/streams'><([a-z-]+) xmlns='urn:ietf:params:xml:ns:xmpp-streams'\/>(<text .*<\/text>)?<\/stream:error>$/;
    const condition = form.exec(error)?.[1];
    if (condition === undefined) throw new Error(`no stream error: ${error}`);
    expect(await this.next()).to.equal(CLOSE);
    return condition;
  }
}

describe('server/http: streams over WebSocket (RFC 7395)', () => {
  let certificates: TestCertificates;
  let stage: StreamStage;
  let running: RunningHttp;
  let pages: Page[];
  let port: number;

  before(async () => {
    certificates = await makeTestCertificates(['capulet.example', 'montague.example']);
  });

  beforeEach(async () => {
    pages = [];
    await start();
  });

  afterEach(() => stop());

  async function start(environment: Record<string, string> = {}): Promise<void> {
    stage = await StreamStage.open({
      environment: {
        POSTHORN_HTTP_PORT: '0',
        POSTHORN_HTTP_ADDRESSES: '127.0.0.1',
        POSTHORN_HTTP_TLS: 'false', // as behind a proxy on this machine that does the TLS
        ...environment,
      },
    });
    const { clock, context } = stage;
    const { config } = context;
    running = await startHttp({
      config,
      clock,
      log: silentLog,
      handshakes: new TlsHandshakes({ contexts: certificates.contexts, maxHandshakes: 4, timeoutMs: 10_000, clock }),
      admission: new Admission({ limits: config.c2s, clock, log: silentLog }),
      flusher: new Flusher({ log: silentLog }),
      accept: (connection) => new ClientStream(connection, context),
    });
    port = running.listening[0]?.port ?? 0;
  }

  async function stop(): Promise<void> {
    for (const { socket } of pages) socket.terminate();
    for (const { connection } of [...stage.context.streams]) connection.destroy();
    await running.close();
  }

  async function dial(options: ClientOptions = {}): Promise<Page> {
    const page = new Page(new WebSocket(`ws://127.0.0.1:${port}/xmpp-websocket`, ['xmpp'], options));
    pages.push(page);
    await once(page.socket, 'open');
    return page;
  }

  async function entered(username: string, resource: string): Promise<Page> {
    const page = await dial();
    await page.enter(username, resource);
    return page;
  }

  it('agrees on the subprotocol xmpp, also among others (3.1)', async () => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/xmpp-websocket`, ['chat', 'xmpp']);
    pages.push(new Page(socket));
    await once(socket, 'open');
    expect(socket.protocol).to.equal('xmpp');
  });

  describe('opening (3.4)', () => {
    it('is answered by <open/>, then by features that declare their prefix (3.3.3) and offer no TLS (3.9)', async () => {
      const page = await dial();
      page.send(`<open ${FRAMING} to="capulet.example" from="juliet@capulet.example" xml:lang="it" version="1.0" />`);
      const answer = await page.next();
      expect(answer).to.match(/^<open [^<>]*\/>$/);
      expect(answer).to.include(FRAMING).and.include(` from='capulet.example'`).and.include(` version='1.0'`);
      expect(answer)
        .to.include(` to='juliet@capulet.example'`)
        .and.include(` xml:lang='en'`)
        .and.match(/ id='[\w-]{16,}'/);
      const features = await page.next();
      expect(features).to.match(
        /^<stream:features xmlns:stream='http:\/\/etherx\.jabber\.org\/streams'>.*<\/stream:features>$/,
      );
      expect(features)
        .to.include('<mechanisms ')
        .and.include('<max-bytes>65536</max-bytes>')
        .and.not.include('<starttls');
    });

    for (const [what, message, condition] of [
      ['3.3.2: another namespace', `<open xmlns='urn:x' to='capulet.example' version='1.0'/>`, 'invalid-namespace'],
      ['3.3.2: no namespace', `<open to='capulet.example' version='1.0'/>`, 'invalid-namespace'],
      ['3.3.2: another namespace of <close/>', `<close ${CLIENT}/>`, 'invalid-namespace'],
      ['another element of the framing', `<opening ${FRAMING}/>`, 'bad-format'],
      ['3.4: a stanza first', `<message ${CLIENT}/>`, 'not-authorized'],
      [
        'the header of a TCP stream',
        `<stream:stream ${CLIENT} xmlns:stream='http://etherx.jabber.org/streams'>`,
        'not-well-formed',
      ],
      ['an unknown domain', open(`to='verona.example' version='1.0'`), 'host-unknown'],
      ['no domain', open(`version='1.0'`), 'host-unknown'],
      ['no version', open(`to='capulet.example'`), 'unsupported-version'],
      ['an old version', open(`to='capulet.example' version='0.9'`), 'unsupported-version'],
    ] as const) {
      it(`${what}: ${condition}, behind our <open/> (3.5)`, async () => {
        const page = await dial();
        page.send(message);
        expect(await page.next()).to.match(/^<open /);
        expect(await page.refusal()).to.equal(condition);
      });
    }

    it('cannot be done twice (3.4)', async () => {
      const page = await dial();
      page.send(open());
      await page.until(/^<stream:features /);
      page.send(open());
      expect(await page.refusal()).to.equal('bad-format');
    });

    it('is done again after SASL, without a <close/> (3.7), and then a resource is bound', async () => {
      const page = await dial();
      await page.logIn('juliet');
      page.send(open());
      expect(await page.next()).to.match(/^<open /);
      expect(await page.next()).to.match(/^<stream:features .*<bind /);
      page.send(bind('balcony'));
      expect(await page.next()).to.match(
        /^<iq xmlns='jabber:client' id='bind' type='result'><bind .*<jid>juliet@capulet\.example\/balcony<\/jid>/,
      );
    });

    it('must be done again after SASL', async () => {
      const page = await dial();
      await page.logIn('juliet');
      page.send(bind('balcony'));
      expect(await page.next()).to.match(/^<open /);
      expect(await page.refusal()).to.equal('not-authorized');
    });

    it('has the default language of the stream put on stanzas', async () => {
      const romeo = await entered('romeo', 'orchard');
      const juliet = await dial();
      await juliet.logIn('juliet');
      juliet.send(open(`to='capulet.example' version='1.0' xml:lang='it'`));
      juliet.send(bind('balcony'));
      juliet.send(`<message ${CLIENT} to='romeo@capulet.example/orchard'><body>Romeo!</body></message>`);
      expect(await romeo.until(/^<message /)).to.include(` xml:lang='it'`);
    });

    it('is not offered mechanisms where the proxy says that the client came without TLS', async () => {
      const page = await dial({ headers: { 'X-Forwarded-Proto': 'http' } });
      page.send(open());
      expect(await page.until(/^<stream:features /)).not.to.include('<mechanisms');
      page.send(plainAuth('juliet'));
      expect(await page.next()).to.include('<encryption-required/>');
    });
  });

  describe('messages (3.3.3)', () => {
    it('each hold one stanza that stands alone, from WebSocket to TCP and back', async () => {
      const juliet = await entered('juliet', 'balcony');
      const romeo = stage.connectSecurely();
      await romeo.enter('romeo', 'orchard');
      juliet.send(`<message ${CLIENT} to='romeo@capulet.example/orchard' id='1'><body>Romeo! \u2014</body></message>`);
      expect(await romeo.until(/<message .*<\/message>/))
        .to.include('<body>Romeo! \u2014</body>')
        .and.not.include(CLIENT);
      romeo.send(
        `<message to='juliet@capulet.example/balcony' id='2'><body>My dear</body></message>` +
          `<message to='juliet@capulet.example/balcony' id='3'><body>At what o’clock?</body></message>`,
      );
      expect(await juliet.next()).to.match(/^<message xmlns='jabber:client' .*id='2'.*<\/message>$/);
      expect(await juliet.next()).to.match(
        /^<message xmlns='jabber:client' .*id='3'.*<body>At what o’clock\?<\/body>.*<\/message>$/,
      );
    });

    it('may have white space or an XML declaration in front, which is not recommended', async () => {
      const page = await dial();
      page.send(`<?xml version='1.0'?>\n${open()}`);
      await page.until(/^<stream:features /);
      page.send(` ${plainAuth('juliet')}\n`);
      await page.until(/^<success /);
    });

    for (const [what, message, condition] of [
      ['white space, which keeps nothing alive here (3.8)', ' ', 'not-well-formed'],
      ['nothing', '', 'not-well-formed'],
      ['two elements', `<presence ${CLIENT}/><presence ${CLIENT}/>`, 'not-well-formed'],
      ['half an element', `<message ${CLIENT}><body>`, 'not-well-formed'],
      ['a comment', `<message ${CLIENT}><!-- --></message>`, 'restricted-xml'],
      ['a stanza without its namespace', `<message to='romeo@capulet.example'/>`, 'unsupported-stanza-type'],
      ['a stanza of servers', `<message xmlns='jabber:server' to='romeo@capulet.example'/>`, 'invalid-namespace'],
      ['a prefix that the message does not declare', '<stream:error/>', 'not-well-formed'],
      ['<starttls/> (3.9)', `<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>`, 'unsupported-stanza-type'],
      ['another sender', `<message ${CLIENT} from='nurse@capulet.example'/>`, 'invalid-from'],
    ] as const) {
      it(`that hold ${what}: ${condition}`, async () => {
        const juliet = await entered('juliet', 'balcony');
        juliet.send(message);
        expect(await juliet.refusal()).to.equal(condition);
        expect(stage.core.table.sessionCount).to.equal(0);
      });
    }

    it('<starttls/> before the login is a failure, and the end (3.9)', async () => {
      const page = await dial();
      page.send(open());
      await page.until(/^<stream:features /);
      page.send(`<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>`);
      expect(await page.next()).to.equal(`<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>`);
      expect(await page.next()).to.equal(CLOSE);
    });

    it('may come in fragments, with pings between them, which are answered (3.8)', async () => {
      const juliet = await entered('juliet', 'balcony');
      const ping = `<iq ${CLIENT} id='p' type='get' to='capulet.example'><ping xmlns='urn:xmpp:ping'/></iq>`;
      const pong = once(juliet.socket, 'pong');
      juliet.socket.send(ping.slice(0, 10), { fin: false });
      juliet.socket.ping('here');
      juliet.socket.send(ping.slice(10, 40), { fin: false });
      juliet.socket.send(ping.slice(40), { fin: true });
      expect(await juliet.next()).to.match(/^<iq [^>]*type='result'/);
      expect(String((await pong)[0])).to.equal('here');
    });
  });

  describe('limits', () => {
    const message = (bytes: number): string => {
      const around = `<message ${CLIENT} to='romeo@capulet.example'><body></body></message>`;
      return around.replace('<body>', `<body>${'x'.repeat(bytes - around.length)}`);
    };

    it('are those of every stream: a stanza of the announced size passes', async () => {
      const [juliet, romeo] = [await entered('juliet', 'balcony'), await entered('romeo', 'orchard')];
      romeo.send(`<presence ${CLIENT}/>`);
      await romeo.until(/^<presence /);
      juliet.send(message(262_144));
      await romeo.until(/^<message /);
    });

    it('are told by a stream error as well as by the code 1009', async () => {
      const juliet = await entered('juliet', 'balcony');
      juliet.send(message(262_145));
      expect(await juliet.refusal()).to.equal('policy-violation');
      expect(await juliet.closed()).to.equal(1009);
      expect(stage.core.table.sessionCount).to.equal(0);
    });

    it('hold over all fragments of a message', async () => {
      const juliet = await entered('juliet', 'balcony');
      const tooBig = message(262_145);
      for (let at = 0; at < tooBig.length; at += 10_000) {
        juliet.socket.send(tooBig.slice(at, at + 10_000), { fin: at + 10_000 >= tooBig.length });
      }
      expect(await juliet.refusal()).to.equal('policy-violation');
      expect(await juliet.closed()).to.equal(1009);
    });

    it('hold for the number of fragments', async () => {
      const juliet = await entered('juliet', 'balcony');
      for (let count = 0; count < 1100; count++) juliet.socket.send(' ', { fin: false });
      expect(await juliet.refusal()).to.equal('policy-violation');
      expect(await juliet.closed()).to.equal(1008);
    });

    it('are lower before the login', async () => {
      const page = await dial();
      page.send(open());
      await page.until(/^<stream:features /);
      page.send(message(65_537));
      expect(await page.refusal()).to.equal('policy-violation');
    });

    it('end a client that pings without end and reads nothing', async () => {
      await stop();
      await start({ POSTHORN_LIMITS_MAX_QUEUE_BYTES: '65536' });
      const page = await dial();
      const [stream] = stage.context.streams;
      page.socket.pause();
      while (stage.context.streams.size > 0) {
        for (let count = 0; count < 1000; count++) page.socket.ping('x'.repeat(125));
        await nextTurn();
        expect(stream?.bufferedBytes).to.be.lessThan(4 * 1024 * 1024);
      }
    });
  });

  it('refuses binary messages (3.2): bad-format and the code 1003', async () => {
    const juliet = await entered('juliet', 'balcony');
    juliet.socket.send(Buffer.from(`<presence ${CLIENT}/>`));
    expect(await juliet.refusal()).to.equal('bad-format');
    expect(await juliet.closed()).to.equal(1003);
  });

  it('refuses text that is not UTF-8 (3.2): unsupported-encoding and the code 1007', async () => {
    const juliet = await entered('juliet', 'balcony');
    juliet.socket.send(Buffer.from(`<presence ${CLIENT} id='\xe9'/>`, 'latin1'), { binary: false });
    expect(await juliet.refusal()).to.equal('unsupported-encoding');
    expect(await juliet.closed()).to.equal(1007);
  });

  describe('closing (3.6)', () => {
    it('is answered by <close/>, and the session ends', async () => {
      const juliet = await entered('juliet', 'balcony');
      juliet.send(CLOSE);
      expect(await juliet.next()).to.equal(CLOSE);
      expect(await juliet.closed()).to.equal(1000);
      while (stage.context.streams.size > 0) await nextTurn();
      expect(stage.core.table.sessionCount).to.equal(0);
    });

    it('is answered by <close/> before anything was opened (3.4)', async () => {
      const page = await dial();
      page.send(CLOSE);
      expect(await page.next()).to.equal(CLOSE);
      expect(await page.closed()).to.equal(1000);
    });

    it('from our side leaves the WebSocket open until the client has closed its stream', async () => {
      const juliet = await entered('juliet', 'balcony');
      const [stream] = stage.context.streams;
      stream?.closeWithError(new StreamError('system-shutdown'));
      expect(await juliet.refusal()).to.equal('system-shutdown');
      expect(stage.core.table.sessionCount).to.equal(0);
      juliet.send(`<presence ${CLIENT}/>`); // too late, and no error
      juliet.send(CLOSE);
      expect(await juliet.closed()).to.equal(1000);
      expect(juliet.messages).to.deep.equal([]);
    });

    it('from our side does not wait for ever', async () => {
      const juliet = await entered('juliet', 'balcony');
      const [stream] = stage.context.streams;
      stream?.closeWithError(new StreamError('system-shutdown'));
      await juliet.refusal();
      stage.pass(5);
      expect(stage.context.streams.size).to.equal(1);
      stage.pass(1);
      expect(stage.context.streams.size).to.equal(0);
      await juliet.closed();
    });

    it('of the WebSocket alone ends the session', async () => {
      const romeo = await entered('romeo', 'orchard');
      for (const leave of [(page: Page) => page.socket.close(1001), (page: Page) => page.socket.terminate()]) {
        const juliet = await entered('juliet', 'balcony');
        juliet.send(`<presence ${CLIENT} to='romeo@capulet.example/orchard'/>`);
        await romeo.until(/^<presence /);
        leave(juliet);
        expect(await romeo.until(/^<presence /)).to.include(`type='unavailable'`);
        expect(stage.core.table.sessionCount).to.equal(1);
      }
    });

    it('follows a stream error of the client', async () => {
      const juliet = await entered('juliet', 'balcony');
      juliet.send(
        `<error xmlns='http://etherx.jabber.org/streams'><undefined-condition xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></error>`,
      );
      expect(await juliet.next()).to.equal(CLOSE);
    });
  });

  it('ends a login that takes too long', async () => {
    const page = await dial();
    stage.pass(31);
    expect(await page.next()).to.match(/^<open /);
    expect(await page.refusal()).to.equal('connection-timeout');
  });

  it('does as it is told in one segment: handshake aside, a whole session without waiting', async () => {
    const romeo = await entered('romeo', 'orchard');
    const juliet = await dial();
    const socket = (juliet.socket as unknown as { _socket: Socket })._socket;
    socket.cork();
    for (const message of [
      open(),
      plainAuth('juliet'),
      open(),
      bind('balcony'),
      `<message ${CLIENT} to='romeo@capulet.example/orchard'><body>O Romeo</body></message>`,
      CLOSE,
    ]) {
      juliet.send(message);
    }
    socket.uncork();
    expect(await romeo.until(/^<message /)).to.include('<body>O Romeo</body>');
    await juliet.until(/^<close /);
    expect(await juliet.closed()).to.equal(1000);
  });
});
