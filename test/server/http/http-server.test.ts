import { expect } from 'chai';
import { once } from 'node:events';
import { request as requestTls, type RequestOptions } from 'node:https';
import { request as requestPlain, type IncomingMessage } from 'node:http';
import { connect, type Socket } from 'node:net';
import { WebSocket, type ClientOptions } from 'ws';

import { loadConfig } from '../../../config/load.ts';
import type { Config } from '../../../config/options.ts';
import { startHttp, type RunningHttp } from '../../../server/http/http-server.ts';
import { Admission } from '../../../server/streams/admission.ts';
import type { Connection } from '../../../server/streams/connection.ts';
import { Flusher } from '../../../server/streams/flusher.ts';
import { TlsHandshakes } from '../../../server/streams/tls-handshakes.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { RecordingListener } from '../../support/recording-listener.ts';
import { silentLog } from '../../support/silent-log.ts';
import { makeTestCertificates, type TestCertificates } from '../../support/tls-contexts.ts';

const DEFAULTS = loadConfig({ environment: {}, workingDirectory: '/nonexistent', systemFile: '/nonexistent/none' });

describe('server/http/http-server', () => {
  let certificates: TestCertificates;
  let running: RunningHttp | undefined;
  let sockets: WebSocket[];
  let plainSockets: Socket[];
  let accepted: { connection: Connection; heard: RecordingListener }[];
  let clock: ManualClock;
  let admission: Admission;

  before(async () => {
    certificates = await makeTestCertificates(['capulet.example', 'montague.example']);
  });

  beforeEach(() => {
    running = undefined;
    sockets = [];
    plainSockets = [];
    accepted = [];
    clock = new ManualClock();
  });

  afterEach(async () => {
    for (const socket of [...sockets, ...plainSockets]) 'terminate' in socket ? socket.terminate() : socket.destroy();
    for (const { connection } of accepted) connection.destroy();
    await running?.close();
  });

  async function start(http: Partial<Config['http']> = {}, c2s: Partial<Config['c2s']> = {}): Promise<number> {
    const config = {
      domains: ['capulet.example', 'montague.example'],
      http: { ...DEFAULTS.http, port: 0, addresses: ['127.0.0.1'], ...http },
      c2s: { ...DEFAULTS.c2s, ...c2s },
      limits: DEFAULTS.limits,
    };
    admission = new Admission({ limits: config.c2s, clock, log: silentLog });
    running = await startHttp({
      config,
      clock,
      log: silentLog,
      handshakes: new TlsHandshakes({ contexts: certificates.contexts, maxHandshakes: 8, timeoutMs: 10_000, clock }),
      admission,
      flusher: new Flusher({ log: silentLog }),
      random: () => 0.5,
      accept: (connection) => {
        const heard = new RecordingListener();
        connection.listener = heard;
        accepted.push({ connection, heard });
      },
    });
    return running.listening[0]?.port ?? 0;
  }

  async function get(port: number, path: string, host: string, tls = true) {
    const options: RequestOptions = { port, host: '127.0.0.1', path, agent: false, headers: { Host: host } };
    const request = tls
      ? requestTls({ ...options, ca: certificates.ca, servername: 'capulet.example' })
      : requestPlain({ ...options, agent: undefined });
    request.end();
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    let body = '';
    for await (const chunk of response) body += String(chunk);
    return { status: response.statusCode, headers: response.headers, body };
  }

  function dial(
    port: number,
    { protocols = ['xmpp'], path = '/xmpp-websocket', scheme = 'wss', ...options }: Dial = {},
  ): WebSocket {
    const socket = new WebSocket(`${scheme}://127.0.0.1:${port}${path}`, protocols, {
      ca: certificates.ca,
      servername: 'capulet.example',
      ...options,
    });
    sockets.push(socket);
    return socket;
  }

  type Dial = ClientOptions & { protocols?: string[]; path?: string; scheme?: string; servername?: string };

  async function open(port: number, options: Dial = {}) {
    const socket = dial(port, options);
    await once(socket, 'open');
    const last = accepted.at(-1);
    if (last === undefined) throw new Error('nothing was accepted');
    return { socket, ...last };
  }

  async function refusedWith(port: number, options: Dial): Promise<string> {
    const [error] = (await once(dial(port, options), 'error')) as [Error];
    return error.message;
  }

  async function settled(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise(setImmediate);
  }

  describe('host-meta (XEP-0156)', () => {
    it('names the WebSocket in XML and JSON, for pages of any site', async () => {
      const port = await start();
      const xml = await get(port, '/.well-known/host-meta', `montague.example:${port}`);
      expect(xml.status).to.equal(200);
      expect(xml.headers['content-type']).to.match(/^application\/xrd\+xml/);
      expect(xml.headers['access-control-allow-origin']).to.equal('*');
      expect(xml.body).to.include("<XRD xmlns='http://docs.oasis-open.org/ns/xri/xrd-1.0'>");
      expect(xml.body).to.include(
        `<Link rel='urn:xmpp:alt-connections:websocket' href='wss://montague.example:${port}/xmpp-websocket'/>`,
      );
      const json = await get(port, '/.well-known/host-meta.json', 'CAPULET.example');
      expect(json.status).to.equal(200);
      expect(json.headers['content-type']).to.match(/^application\/json/);
      expect(json.headers['access-control-allow-origin']).to.equal('*');
      expect(JSON.parse(json.body)).to.deep.equal({
        links: [{ rel: 'urn:xmpp:alt-connections:websocket', href: `wss://capulet.example:${port}/xmpp-websocket` }],
      });
    });

    it('repeats no name that is not ours', async () => {
      const port = await start();
      const answer = await get(port, '/.well-known/host-meta', 'tybalt.example');
      expect(answer.status).to.equal(404);
      expect(answer.body).not.to.include('tybalt');
    });

    it('announces the public URL where one is configured', async () => {
      const port = await start({ publicUrl: "https://chat.capulet.example/it's/", websocketPath: '/ws' });
      const xml = await get(port, '/.well-known/host-meta', 'anything.example');
      expect(xml.body).to.include("href='wss://chat.capulet.example/it&apos;s/ws'");
      const json = await get(port, '/.well-known/host-meta.json', 'anything.example');
      expect(json.body).to.include('"wss://chat.capulet.example/it\'s/ws"');
    });

    it('has nothing elsewhere, and says so without CORS', async () => {
      const answer = await get(await start(), '/secret', 'capulet.example');
      expect(answer.status).to.equal(404);
      expect(answer.headers).not.to.have.property('access-control-allow-origin');
    });
  });

  describe('WebSocket (RFC 7395)', () => {
    it('carries one element a message, both ways, in text', async () => {
      const port = await start();
      const { socket, connection, heard } = await open(port);
      expect(socket.protocol).to.equal('xmpp');
      expect(connection.framing).to.equal('websocket');
      expect(connection.remoteAddress).to.equal('127.0.0.1');
      expect(connection.security.encrypted).to.equal(true);
      expect(connection.security.tlsServerEndPoint).to.be.instanceOf(Buffer);
      expect(connection.canStartTls).to.equal(false);
      socket.send('<open/>');
      socket.send('<message><body>Romeo é</body></message>');
      await heard.until(() => heard.chunks.length === 2);
      expect(heard.chunks).to.deep.equal(['<open/>', '<message><body>Romeo \xc3\xa9</body></message>']);

      const messages: unknown[] = [];
      socket.on('message', (data: Buffer, isBinary) => messages.push([data.toString(), isBinary]));
      heard.nextMark = 5;
      connection.write('<a>\xc3\xa9</a>');
      connection.write('<b/>');
      expect(connection.bufferedBytes).to.equal(13);
      await heard.until(() => heard.marks.length > 0);
      await settled(() => messages.length === 2);
      expect(messages).to.deep.equal([
        ['<a>é</a>', false],
        ['<b/>', false],
      ]);
      expect(heard.flushMarks).to.equal(1);
      expect(heard.marks).to.deep.equal([5]);
      expect(connection.bufferedBytes).to.equal(0);
    });

    it('refuses a handshake without the subprotocol (3.1)', async () => {
      const port = await start();
      expect(await refusedWith(port, { protocols: [] })).to.include('400');
      expect(await refusedWith(port, { protocols: ['mqtt', 'xmpp2'] })).to.include('400');
      expect((await open(port, { protocols: ['mqtt', 'xmpp'] })).socket.protocol).to.equal('xmpp');
    });

    it('is at its path only', async () => {
      const port = await start();
      expect(await refusedWith(port, { path: '/' })).to.include('404');
      await open(port, { path: '/xmpp-websocket?room=verona' });
    });

    it('lets in pages of the allowed origins, and who is no page', async () => {
      const port = await start({ allowedOrigins: ['https://chat.capulet.example'] });
      await open(port, { origin: 'https://chat.capulet.example' });
      await open(port);
      for (const origin of [
        'https://tybalt.example',
        'http://chat.capulet.example',
        'null',
        'https://chat.capulet.example:8443',
      ]) {
        expect(await refusedWith(port, { origin }), origin).to.include('403');
      }
      expect(accepted).to.have.length(2);
    });

    it('puts fragments together, and refuses messages above the limit with 1009', async () => {
      const port = await start({}, { maxStanzaBytes: 10_000 });
      const { socket, heard } = await open(port);
      socket.send('<mess', { fin: false });
      socket.send('age', { fin: false });
      socket.send('/>', { fin: true });
      socket.send('x'.repeat(10_000));
      await heard.until(() => heard.chunks.length === 2);
      expect(heard.chunks[0]).to.equal('<message/>');
      for (let sent = 0; sent < 3; sent += 1) socket.send('x'.repeat(4_000), { fin: false });
      const [code] = (await once(socket, 'close')) as [number];
      expect(code).to.equal(1009);
      await heard.until(() => heard.closes.length > 0);
      expect(heard.closes).to.have.length(1);
      expect(heard.closes[0]).to.be.an('error');
      expect(heard.chunks).to.have.length(2);
    });

    it('refuses a message in too many fragments', async () => {
      const { socket, heard } = await open(await start());
      socket.on('error', () => undefined);
      for (let sent = 0; sent < 1100; sent += 1) socket.send('x', { fin: false });
      await heard.until(() => heard.closes.length > 0);
      expect(heard.closes[0]).to.be.an('error');
      expect(heard.chunks).to.deep.equal([]);
    });

    it('refuses binary messages with 1003 (3.2) and text that is not UTF-8 with 1007', async () => {
      const port = await start();
      const binary = await open(port);
      binary.socket.send(Buffer.from('<open/>'), { binary: true });
      expect(((await once(binary.socket, 'close')) as [number])[0]).to.equal(1003);
      await binary.heard.until(() => binary.heard.closes.length > 0);
      expect(binary.heard.chunks).to.deep.equal([]);
      const broken = await open(port);
      broken.socket.send(Buffer.from('<a>\xc3(</a>', 'latin1'), { binary: false });
      expect(((await once(broken.socket, 'close')) as [number])[0]).to.equal(1007);
      await broken.heard.until(() => broken.heard.closes.length > 0);
      expect(broken.heard.chunks).to.deep.equal([]);
    });

    it('hears nothing while it pauses, not even the rest of what was read at once', async () => {
      const port = await start({ tls: false });
      let wire: Socket | undefined;
      const { socket, connection, heard } = await open(port, {
        scheme: 'ws',
        createConnection: () => (wire = connect(port, '127.0.0.1')),
      });
      const hear = heard.received.bind(heard);
      heard.received = (chunk) => {
        hear(chunk);
        connection.pause();
      };
      wire?.cork(); // one packet
      for (const name of ['a', 'b', 'c']) socket.send(`<${name}/>`);
      wire?.uncork();
      for (const expected of [['<a/>'], ['<a/>', '<b/>'], ['<a/>', '<b/>', '<c/>']]) {
        await heard.until(() => heard.chunks.length >= expected.length);
        expect(heard.chunks).to.deep.equal(expected);
        connection.resume();
      }
    });

    it('writes what it has, then closes in order', async () => {
      const { socket, connection, heard } = await open(await start());
      const messages: string[] = [];
      socket.on('message', (data: Buffer) => messages.push(data.toString()));
      connection.pause();
      connection.write('<close/>');
      connection.end();
      connection.write('<late/>');
      const [code] = (await once(socket, 'close')) as [number];
      expect(code).to.equal(1000);
      expect(messages).to.deep.equal(['<close/>']);
      await heard.until(() => heard.closes.length > 0);
      connection.destroy();
      expect(heard.closes).to.deep.equal([undefined]);
      await settled(() => admission.open === 0);
    });

    it('tells a client that breaks off from one that closes', async () => {
      const port = await start();
      const broken = await open(port);
      broken.socket.terminate();
      await broken.heard.until(() => broken.heard.closes.length > 0);
      expect(broken.heard.closes[0]).to.be.an('error');
      const closing = await open(port);
      closing.socket.close();
      await closing.heard.until(() => closing.heard.closes.length > 0);
      expect(closing.heard.closes).to.deep.equal([undefined]);
    });
  });

  describe('limits', () => {
    it('counts its connections with those of the other listeners', async () => {
      const port = await start({}, { maxConnectionsPerAddress: 1 });
      await open(port);
      expect(admission.open).to.equal(1);
      await once(dial(port), 'error');
      expect(accepted).to.have.length(1);
    });

    it('closes a connection that asks for nothing, but no WebSocket', async () => {
      const port = await start({ tls: false });
      const idle = connect(port, '127.0.0.1');
      plainSockets.push(idle);
      idle.write('GET / HTTP/1.1\r\nHost: capulet.example\r\n'); // and never the rest
      const { heard } = await open(port, { scheme: 'ws' });
      await settled(() => clock.scheduled === 1);
      clock.advance(30_000);
      idle.resume();
      await once(idle, 'close');
      expect(heard.closes).to.deep.equal([]);
    });

    it('believes a proxy on this machine who its clients are, and counts them', async () => {
      const port = await start({ tls: false }, { maxConnectionsPerAddress: 1 });
      const from = (address: string): Dial => ({ scheme: 'ws', headers: { 'X-Forwarded-For': address } });
      const { connection } = await open(port, from('203.0.113.9, 192.0.2.1'));
      expect(connection.remoteAddress).to.equal('192.0.2.1');
      expect(connection.security).to.deep.equal({
        encrypted: true,
        tlsExporter: undefined,
        tlsServerEndPoint: undefined,
      });
      const refused = dial(port, from('192.0.2.1'));
      refused.on('error', () => undefined); // it never opens, and is ended with the others
      const [, answer] = (await once(refused, 'unexpected-response')) as [unknown, IncomingMessage];
      expect(answer.statusCode).to.equal(503);
      expect(answer.headers['retry-after']).to.equal('45'); // 30, and half of the jitter
      const other = await open(port, {
        scheme: 'ws',
        headers: { 'X-Forwarded-For': '192.0.2.2', 'X-Forwarded-Proto': 'http' },
      });
      expect(other.connection.security.encrypted).to.equal(false);
    });

    it('believes nobody under TLS', async () => {
      const { connection } = await open(await start(), { headers: { 'X-Forwarded-For': '192.0.2.1' } });
      expect(connection.remoteAddress).to.equal('127.0.0.1');
    });
  });

  it('listens nowhere where the port is off', async () => {
    await start({ port: false });
    expect(running?.listening).to.deep.equal([]);
  });

  it('leaves WebSockets open when it stops to listen', async () => {
    const port = await start();
    const { socket, heard } = await open(port);
    await running?.close();
    await once(dial(port), 'error');
    socket.send('<presence/>');
    await heard.until(() => heard.text === '<presence/>');
  });
});
