import { expect } from 'chai';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';

import { systemClock } from '../../../server/clock.ts';
import { Flusher } from '../../../server/streams/flusher.ts';
import { TcpConnection } from '../../../server/streams/tcp-connection.ts';
import { TlsHandshakes } from '../../../server/streams/tls-handshakes.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { RecordingListener } from '../../support/recording-listener.ts';
import { silentLog } from '../../support/silent-log.ts';
import { makeTestCertificates, type TestCertificates } from '../../support/tls-contexts.ts';

const PROCEED = "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";

describe('server/streams/tcp-connection', () => {
  let certificates: TestCertificates;
  let server: Server;
  let clients: Socket[];

  before(async () => {
    certificates = await makeTestCertificates(['capulet.example', 'montague.example']);
  });

  beforeEach(() => {
    server = createServer({ allowHalfOpen: true });
    clients = [];
  });

  afterEach(() => {
    server.close();
    for (const client of clients) client.destroy();
  });

  async function pair(handshakes?: TlsHandshakes) {
    if (!server.listening) await once(server.listen(0, '127.0.0.1'), 'listening');
    const accepted = once(server, 'connection') as Promise<[Socket]>;
    const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
    clients.push(client);
    const [socket] = await accepted;
    const connection = new TcpConnection(socket, { flusher: new Flusher({ log: silentLog }), handshakes });
    const listener = new RecordingListener();
    connection.listener = listener;
    return { client, socket, connection, listener };
  }

  function tls(clock = systemClock, maxHandshakes = 4): TlsHandshakes {
    return new TlsHandshakes({ contexts: certificates.contexts, maxHandshakes, timeoutMs: 10_000, clock });
  }

  /** The client's side of TLS on a connection that has been told to proceed. */
  async function encrypt(client: Socket, servername = 'capulet.example'): Promise<TLSSocket> {
    const secured = connectTls({ socket: client, servername, ca: certificates.ca });
    clients.push(secured);
    await once(secured, 'secureConnect');
    return secured;
  }

  async function read(socket: Socket, bytes: number): Promise<string> {
    let text = '';
    while (text.length < bytes) {
      const chunk = socket.read() as Buffer | null;
      if (chunk === null) await once(socket, 'readable');
      else text += chunk.toString('latin1');
    }
    return text;
  }

  it('tells of what came, and of the end once', async () => {
    const { client, connection, listener } = await pair();
    expect(connection.remoteAddress).to.equal('127.0.0.1');
    client.end('<message/>');
    await listener.until(() => listener.closes.length > 0);
    expect(listener.text).to.equal('<message/>');
    connection.destroy();
    connection.end();
    await new Promise(setImmediate);
    expect(listener.closes).to.deep.equal([undefined]);
  });

  it('gathers what is written in a turn into one write', async () => {
    const { client, socket, connection, listener } = await pair();
    const written: unknown[] = [];
    const write = socket.write.bind(socket) as (...values: unknown[]) => boolean;
    socket.write = (...values: unknown[]) => {
      written.push(values[0]);
      return write(...values);
    };
    for (const bytes of ['<a/>', '<b>\xc3\xa9</b>', '<c/>']) connection.write(bytes);
    expect(written).to.deep.equal([]);
    expect(connection.bufferedBytes).to.equal(17);
    expect(await read(client, 17)).to.equal('<a/><b>\xc3\xa9</b><c/>');
    expect(written).to.deep.equal(['<a/><b>\xc3\xa9</b><c/>']);
    expect(listener.flushMarks).to.equal(1);
    expect(listener.marks).to.deep.equal([]);
  });

  it('reports a mark when its bytes were taken', async () => {
    const { connection, listener } = await pair();
    listener.nextMark = 7;
    connection.write('<a/>');
    connection.flush();
    listener.nextMark = 9;
    connection.write('<b/>');
    await listener.until(() => listener.marks.length === 2);
    expect(listener.marks).to.deep.equal([7, 9]);
    expect(connection.bufferedBytes).to.equal(0);
  });

  it('hears nothing while it pauses, and all of it afterwards', async () => {
    const { client, connection, listener } = await pair();
    connection.pause();
    await new Promise<void>((resolve) => client.write('<a/>', () => resolve()));
    const other = await pair(); // a round through the loop's polling: bytes to read would have been read
    other.client.write('<b/>');
    await other.listener.until(() => other.listener.text === '<b/>');
    expect(listener.chunks).to.deep.equal([]);
    connection.resume();
    await listener.until(() => listener.text === '<a/>');
  });

  it('counts what a client does not read', async () => {
    const { connection, listener } = await pair();
    const bytes = ' '.repeat(16 * 1024 * 1024); // more than both kernels' buffers
    listener.nextMark = 1;
    connection.write(bytes);
    connection.flush();
    expect(connection.bufferedBytes).to.be.greaterThan(0);
    connection.destroy();
    await listener.until(() => listener.closes.length > 0);
    expect(listener.marks).to.deep.equal([]);
  });

  it('writes what it has before it closes its side, and then waits for the other', async () => {
    const { client, connection, listener } = await pair();
    client.on('end', () => undefined);
    connection.pause();
    connection.write('</stream:stream>');
    connection.end();
    connection.write('<late/>');
    let text = '';
    client.on('data', (chunk) => (text += chunk.toString()));
    await once(client, 'end');
    expect(text).to.equal('</stream:stream>');
    await listener.until(() => listener.closes.length > 0);
    expect(listener.closes).to.deep.equal([undefined]);
  });

  it('answers a client that has already closed its side', async () => {
    const { client, connection, listener } = await pair();
    client.allowHalfOpen = true;
    client.end('<iq/>');
    await listener.until(() => listener.text === '<iq/>');
    connection.write('<iq type="result"/>');
    expect(await read(client, 19)).to.equal('<iq type="result"/>');
  });

  it('ends with the error of a connection that breaks', async () => {
    const { client, listener } = await pair();
    client.resetAndDestroy();
    await listener.until(() => listener.closes.length > 0);
    expect(listener.closes[0]).to.have.property('code', 'ECONNRESET');
    expect(listener.closes).to.have.length(1);
  });

  describe('startTls', () => {
    it('protects the connection after what was written has gone', async () => {
      const { client, connection, listener } = await pair(tls());
      expect(connection.canStartTls).to.equal(true);
      connection.write(PROCEED);
      const started = connection.startTls();
      expect(connection.canStartTls).to.equal(false);
      expect(await read(client, PROCEED.length)).to.equal(PROCEED);
      const secured = await encrypt(client);
      await started;
      expect(secured.authorized).to.equal(true);
      expect(connection.security.encrypted).to.equal(true);
      expect(connection.security.tlsExporter?.toString('hex')).to.equal(
        secured.exportKeyingMaterial(32, 'EXPORTER-Channel-Binding', Buffer.alloc(0)).toString('hex'),
      );
      listener.nextMark = 3;
      connection.write('<a>\xc3\xa9</a>');
      expect(await read(secured, 9)).to.equal('<a>\xc3\xa9</a>');
      secured.end('<b/>');
      await listener.until(() => listener.closes.length > 0);
      expect(listener.text).to.equal('<b/>');
      expect(listener.marks).to.deep.equal([3]);
      expect(listener.closes).to.deep.equal([undefined]);
    });

    it('shows the certificate that SNI asks for, or else that of the stream', async () => {
      for (const [servername, domain] of [
        ['montague.example', 'montague.example'],
        ['xmpp.verona.example', 'montague.example'],
        ['capulet.example', 'capulet.example'],
      ] as const) {
        const { client, connection } = await pair(tls());
        const started = connection.startTls('montague.example');
        const secured = connectTls({ socket: client, servername, rejectUnauthorized: false });
        await once(secured, 'secureConnect');
        expect(secured.getPeerX509Certificate()?.checkHost(domain), servername).to.equal(domain);
        await started;
      }
    });

    // RFC 6120 5.4.3.3, and the injection known as CVE-2011-0411
    it('hears nothing that was sent in clear behind <starttls/>', async () => {
      const { client, connection, listener } = await pair(tls());
      client.write('<starttls/>');
      await listener.until(() => listener.text === '<starttls/>');
      connection.write(PROCEED);
      const started = connection.startTls().then(
        () => 'encrypted',
        () => 'failed',
      );
      client.write("<iq type='set' id='injected'/>");
      expect(await started).to.equal('failed');
      await listener.until(() => listener.closes.length > 0);
      expect(listener.text).to.equal('<starttls/>');
      expect(listener.closes).to.have.length(1);
      expect(connection.security.encrypted).to.equal(false);
    });

    it('hears nothing that lies read but undelivered when TLS starts', async () => {
      const { client, socket, connection, listener } = await pair(tls());
      connection.pause();
      client.write("<iq type='set' id='injected'/>");
      while (socket.readableLength === 0) await new Promise(setImmediate);
      const error = await connection.startTls().catch((reason: unknown) => reason);
      expect(error).to.be.an('error').with.property('message').that.includes('in clear');
      await listener.until(() => listener.closes.length > 0);
      expect(listener.text).to.equal('');
    });

    it('ends a handshake that takes too long', async () => {
      const clock = new ManualClock();
      const { connection, listener } = await pair(tls(clock));
      const started = connection.startTls().catch((reason: unknown) => reason);
      while (clock.scheduled === 0) await new Promise(setImmediate);
      clock.advance(9_999);
      await new Promise(setImmediate);
      expect(listener.closes).to.deep.equal([]);
      clock.advance(1);
      expect(await started)
        .to.be.an('error')
        .with.property('message', 'the TLS handshake took longer than 10000 ms');
      await listener.until(() => listener.closes.length > 0);
      expect(listener.closes).to.have.length(1);
      expect(clock.scheduled).to.equal(0);
    });

    it('rejects when the client leaves in the middle', async () => {
      const { client, connection, listener } = await pair(tls());
      const started = connection.startTls().catch((reason: unknown) => reason);
      client.destroy();
      expect(await started).to.be.an('error');
      await listener.until(() => listener.closes.length > 0);
    });

    it('writes in order and whole what does not fit in one piece, and reports it when all of it was taken', async () => {
      const { client, connection, listener } = await pair(tls());
      const started = connection.startTls();
      const secured = await encrypt(client);
      await started;
      let expected = '';
      const write = (count: number): void => {
        const bytes = Array.from({ length: count }, (_, index) => `<a n='${expected.length + index}'/>`).join('');
        expected += bytes;
        connection.write(bytes);
      };
      write(300);
      listener.nextMark = 4;
      connection.flush();
      expect(connection.bufferedBytes).to.equal(expected.length);
      write(2); // behind what is still to be written
      connection.flush();
      expect(await read(secured, expected.length)).to.equal(expected);
      await listener.until(() => listener.marks.length > 0);
      expect(listener.marks).to.deep.equal([4]);
      expected = '';
      write(20_000); // more than goes in pieces
      expect(await read(secured, expected.length)).to.equal(expected);
    });

    it('closes its side behind all that was to be written in pieces', async () => {
      const { client, connection } = await pair(tls());
      const started = connection.startTls();
      const secured = await encrypt(client);
      await started;
      const bytes = '<a/>'.repeat(5000);
      connection.write(bytes);
      connection.flush();
      connection.end();
      let text = '';
      secured.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')));
      await once(secured, 'end');
      expect(text).to.equal(bytes);
    });

    it('does the handshake with a client that begins at length', async () => {
      const { client, connection } = await pair(tls());
      const started = connection.startTls();
      const ALPNProtocols = Array.from({ length: 300 }, (_, index) => `protocol-${index}`);
      const secured = connectTls({ socket: client, servername: 'capulet.example', ca: certificates.ca, ALPNProtocols });
      clients.push(secured);
      await Promise.all([started, once(secured, 'secureConnect')]);
      connection.write('<a/>');
      expect(await read(secured, 4)).to.equal('<a/>');
    });

    describe('where others have their turn', () => {
      let handshakes: TlsHandshakes;
      let first: Socket;

      beforeEach(async () => {
        handshakes = tls(systemClock, 1);
        const { client, connection } = await pair(handshakes);
        first = client;
        connection.startTls().catch(() => undefined);
      });

      it('does the handshake of a client that was told to proceed and has begun, when its turn comes', async () => {
        const { client, socket, connection, listener } = await pair(handshakes);
        connection.write(PROCEED);
        const started = connection.startTls();
        expect(await read(client, PROCEED.length)).to.equal(PROCEED);
        const encrypted = encrypt(client);
        while (socket.readableLength === 0) await new Promise(setImmediate);
        expect([handshakes.running, handshakes.waiting]).to.deep.equal([1, 1]);
        first.destroy();
        const [secured] = await Promise.all([encrypted, started]);
        secured.write('<a/>');
        await listener.until(() => listener.text === '<a/>');
      });

      it('rejects when the client has begun and closed its side', async () => {
        const { client, socket, connection, listener } = await pair(handshakes);
        const started = connection.startTls().catch((reason: unknown) => reason);
        client.end(Buffer.from([0x16, 0x03, 0x01])); // the beginning of a record
        while (socket.readableLength === 0) await new Promise(setImmediate);
        first.destroy();
        expect(await started).to.be.an('error');
        await listener.until(() => listener.closes.length > 0);
        expect([handshakes.running, handshakes.waiting]).to.deep.equal([0, 0]);
      });
    });

    it('rejects when the client says nothing and closes its side', async () => {
      const { client, connection, listener } = await pair(tls());
      const started = connection.startTls().catch((reason: unknown) => reason);
      client.end();
      expect(await started).to.be.an('error');
      await listener.until(() => listener.closes.length > 0);
    });

    it('closes a connection whose records are forged', async () => {
      const { client, connection, listener } = await pair(tls());
      const started = connection.startTls();
      const secured = await encrypt(client);
      await started;
      secured.on('error', () => undefined);
      client.write(Buffer.from('17030300204141414141414141414141414141414141414141414141414141414141414141', 'hex'));
      await listener.until(() => listener.closes.length > 0);
      expect(listener.text).to.equal('');
      expect(listener.closes[0]).to.be.an('error');
    });

    it('reads on only after those who wait for it', async () => {
      const { client, connection, listener } = await pair(tls());
      const order: string[] = [];
      const hear = listener.received.bind(listener);
      listener.received = (chunk) => {
        order.push('received');
        hear(chunk);
      };
      const started = connection.startTls().then(() => order.push('started'));
      const secured = connectTls({ socket: client, servername: 'capulet.example', ca: certificates.ca });
      secured.write('<stream/>'); // goes with the end of the handshake
      await started;
      await listener.until(() => listener.text === '<stream/>');
      expect(order).to.deep.equal(['started', 'received']);
      secured.destroy();
    });
  });
});
