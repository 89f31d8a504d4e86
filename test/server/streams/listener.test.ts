import { expect } from 'chai';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';

import { systemClock } from '../../../server/clock.ts';
import { Admission, type AdmissionLimits } from '../../../server/streams/admission.ts';
import type { Connection } from '../../../server/streams/connection.ts';
import { Flusher } from '../../../server/streams/flusher.ts';
import { Listener, type ListenerOptions } from '../../../server/streams/listener.ts';
import { TlsHandshakes } from '../../../server/streams/tls-handshakes.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { RecordingListener } from '../../support/recording-listener.ts';
import { silentLog } from '../../support/silent-log.ts';
import { makeTestCertificates, type TestCertificates } from '../../support/tls-contexts.ts';

const GENEROUS: AdmissionLimits = {
  maxConnections: 1000,
  maxConnectionsPerAddress: 1000,
  connectionsPerMinutePerAddress: 0,
};

describe('server/streams/listener', () => {
  let certificates: TestCertificates;
  let listeners: Listener[];
  let clients: Socket[];
  let accepted: { connection: Connection; heard: RecordingListener; directTls: boolean }[];
  let whenAccepted: (() => void)[];
  let handshakes: TlsHandshakes;
  let admission: Admission;

  before(async () => {
    certificates = await makeTestCertificates(['capulet.example']);
  });

  beforeEach(() => {
    listeners = [];
    clients = [];
    accepted = [];
    whenAccepted = [];
    useHandshakes(8);
    admission = new Admission({ limits: GENEROUS, clock: systemClock, log: silentLog });
  });

  afterEach(() => {
    for (const listener of listeners) listener.close();
    for (const client of clients) client.destroy();
    for (const { connection } of accepted) connection.destroy();
  });

  function useHandshakes(maxHandshakes: number, clock = systemClock): void {
    handshakes = new TlsHandshakes({ contexts: certificates.contexts, maxHandshakes, timeoutMs: 10_000, clock });
  }

  function listener(options: Partial<ListenerOptions> = {}): Listener {
    const made = new Listener({
      name: 'c2s',
      port: 0,
      addresses: ['127.0.0.1'],
      directTls: false,
      admission,
      handshakes,
      flusher: new Flusher({ log: silentLog }),
      log: silentLog,
      accept: (connection, { directTls }) => {
        const heard = new RecordingListener();
        connection.listener = heard;
        accepted.push({ connection, heard, directTls });
        for (const resolve of whenAccepted.splice(0)) resolve();
      },
      ...options,
    });
    listeners.push(made);
    return made;
  }

  async function open(options: Partial<ListenerOptions> = {}): Promise<number> {
    const [place] = await listener(options).listen();
    return place?.port ?? 0;
  }

  async function untilAccepted(count: number): Promise<void> {
    while (accepted.length < count) await new Promise<void>((resolve) => whenAccepted.push(resolve));
  }

  function dial(port: number, localAddress = '127.0.0.1'): Socket {
    const client = connect({ port, host: '127.0.0.1', localAddress });
    client.on('error', () => undefined);
    clients.push(client);
    return client;
  }

  function dialTls(port: number, options: ConnectionOptions = {}): Socket {
    const client = connectTls({
      port,
      host: '127.0.0.1',
      servername: 'capulet.example',
      ca: certificates.ca,
      ...options,
    });
    clients.push(client);
    return client;
  }

  async function settled(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise(setImmediate);
  }

  async function refused(client: Socket): Promise<void> {
    client.resume();
    if (!client.closed) await once(client, 'close');
  }

  describe('where it listens', () => {
    it('hands on what a client sends, and what is sent to it', async () => {
      const client = dial(await open());
      client.write('<stream:stream>');
      await untilAccepted(1);
      const [{ heard, connection, directTls }] = accepted as [(typeof accepted)[0]];
      await heard.until(() => heard.text === '<stream:stream>');
      expect(directTls).to.equal(false);
      expect(connection.canStartTls).to.equal(true);
      connection.write('<features/>');
      const [chunk] = (await once(client, 'data')) as [Buffer];
      expect(chunk.toString()).to.equal('<features/>');
    });

    it('listens on IPv4 and IPv6, each for itself', async () => {
      const [four, six] = await listener({ addresses: ['0.0.0.0', '::'] }).listen();
      expect(four).to.include({ name: 'c2s', address: '0.0.0.0' });
      expect(six).to.include({ name: 'c2s', address: '::' });
      const client = connect(six?.port ?? 0, '127.0.0.1'); // ipv6Only: not an IPv4 address as well
      clients.push(client);
      const [error] = (await once(client, 'error')) as [Error];
      expect(error).to.have.property('code', 'ECONNREFUSED');
      dial(four?.port ?? 0);
      await untilAccepted(1);
      expect(accepted[0]?.connection.remoteAddress).to.equal('127.0.0.1');
    });

    it('says which option to change when a port is taken, and listens nowhere', async () => {
      const other = createServer().listen(0, '127.0.0.2');
      await once(other, 'listening');
      const { port } = other.address() as AddressInfo;
      const starting = listener({ name: 'c2s-tls', directTls: true, port, addresses: ['127.0.0.3', '127.0.0.2'] });
      const error: unknown = await starting.listen().catch((reason: unknown) => reason);
      other.close();
      expect(error).to.be.an('error');
      expect((error as Error).message).to.equal(
        `c2s.tls_port: cannot listen on port ${port} of 127.0.0.2: another program does (EADDRINUSE); ` +
          'stop it, or set c2s.tls_port to a free port',
      );
      const probe = createServer().listen(port, '127.0.0.3'); // it gave back the first address
      await once(probe, 'listening');
      probe.close();
    });

    it('says so when this machine has no such address', async () => {
      const error: unknown = await listener({ addresses: ['203.0.113.7'] })
        .listen()
        .catch((reason: unknown) => reason);
      expect((error as Error).message)
        .to.include('c2s.port')
        .and.include('203.0.113.7')
        .and.include('c2s.addresses');
    });

    it('accepts nobody after it was closed, and leaves those who are in', async () => {
      const port = await open();
      const client = dial(port);
      await untilAccepted(1);
      listeners[0]?.close();
      const late = dial(port);
      const [error] = (await once(late, 'error')) as [Error];
      expect(error).to.have.property('code', 'ECONNREFUSED');
      client.write('<presence/>');
      await accepted[0]?.heard.until(() => accepted[0]?.heard.text === '<presence/>');
    });
  });

  describe('direct TLS', () => {
    const direct = { name: 'c2s-tls', directTls: true } as const;

    it('lets in a client that offers xmpp-client, and one that offers nothing', async () => {
      const port = await open(direct);
      const client = connectTls({
        port,
        servername: 'capulet.example',
        ca: certificates.ca,
        ALPNProtocols: ['h2', 'xmpp-client'],
      });
      clients.push(client);
      await once(client, 'secureConnect');
      expect(client.alpnProtocol).to.equal('xmpp-client');
      await once(dialTls(port), 'secureConnect');
      await untilAccepted(2);
      for (const { connection, directTls } of accepted) {
        expect(directTls).to.equal(true);
        expect(connection.security.encrypted).to.equal(true);
        expect(connection.canStartTls).to.equal(false);
      }
    });

    it('refuses a client that offers other protocols only (XEP-0368)', async () => {
      const port = await open(direct);
      const [error] = (await once(dialTls(port, { ALPNProtocols: ['http/1.1', 'xmpp-server'] }), 'error')) as [Error];
      expect(error).to.have.property('code', 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL');
      expect(accepted).to.have.length(0);
      await settled(() => admission.open === 0 && handshakes.running === 0);
    });

    it('closes what is no TLS', async () => {
      const client = dial(await open(direct));
      client.write("<?xml version='1.0'?><stream:stream to='capulet.example'>");
      await refused(client);
      expect(accepted).to.have.length(0);
      await settled(() => admission.open === 0 && handshakes.running === 0);
    });

    it('does a bounded number of handshakes at once, and the others when it is their turn', async () => {
      const clock = new ManualClock();
      useHandshakes(2, clock);
      const port = await open(direct);
      const silent = dial(port);
      await settled(() => handshakes.running === 1);
      dialTls(port, { host: '127.0.0.1' });
      await settled(() => handshakes.waiting === 1); // the same network: the last place is kept for others
      dial(port, '127.0.0.2');
      await settled(() => handshakes.running === 2);
      dial(port, '127.0.0.3');
      await settled(() => handshakes.waiting === 2);
      expect(accepted).to.have.length(0);
      silent.destroy();
      await untilAccepted(1); // whoever sent a ClientHello while it waited
      await settled(() => handshakes.running === 2 && handshakes.waiting === 0);
    });

    it('ends handshakes that take too long, so that nobody waits for ever', async () => {
      const clock = new ManualClock();
      useHandshakes(1, clock);
      const port = await open(direct);
      const silent = dial(port);
      await settled(() => handshakes.running === 1);
      dialTls(port);
      await settled(() => handshakes.waiting === 1);
      clock.advance(10_000);
      await refused(silent);
      await untilAccepted(1);
      expect(handshakes.waiting).to.equal(0);
      await settled(() => admission.open === 1);
    });

    it('forgets who leaves while waiting, and closes those at the handshake with the listener', async () => {
      useHandshakes(1);
      const port = await open(direct);
      const first = dial(port);
      await settled(() => handshakes.running === 1);
      const second = dial(port);
      await settled(() => handshakes.waiting === 1);
      listeners[0]?.close();
      await refused(first);
      await refused(second);
      await settled(() => handshakes.running === 0 && handshakes.waiting === 0 && admission.open === 0);
    });
  });

  describe('admission', () => {
    function limit(limits: Partial<AdmissionLimits>, clock = new ManualClock()) {
      admission = new Admission({ limits: { ...GENEROUS, ...limits }, clock, log: silentLog });
      return clock;
    }

    it('closes connections beyond the number of all, and lets one in when one has gone', async () => {
      limit({ maxConnections: 2 });
      const port = await open();
      const first = dial(port);
      dial(port, '127.0.0.2');
      await untilAccepted(2);
      await refused(dial(port, '127.0.0.3'));
      expect(accepted).to.have.length(2);
      first.destroy();
      await settled(() => admission.open === 1);
      dial(port, '127.0.0.3');
      await untilAccepted(3);
    });

    it('closes connections beyond the number of one address, but not those of another', async () => {
      limit({ maxConnectionsPerAddress: 1 });
      const port = await open();
      dial(port);
      await untilAccepted(1);
      await refused(dial(port));
      dial(port, '127.0.0.2');
      await untilAccepted(2);
    });

    it('tells who is refused in clear when to come back, and closes', async () => {
      limit({ connectionsPerMinutePerAddress: 1 });
      const port = await open();
      dial(port);
      await untilAccepted(1);
      const client = dial(port);
      let text = '';
      client.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')));
      await once(client, 'close');
      expect(text).to.match(
        /^<\?xml version='1\.0'\?><stream:stream [^>]*version='1\.0'><stream:error><resource-constraint xmlns='urn:ietf:params:xml:ns:xmpp-streams'\/><text [^>]*>Too many clients[^<]*<\/text><retry xmlns='urn:posthorn:retry:0' after='(?:[6-9]\d|1[01]\d|120)'\/><\/stream:error><\/stream:stream>$/,
      );
    });

    it('counts new connections by the minute', () => {
      const clock = limit({ connectionsPerMinutePerAddress: 2 });
      const connectOnce = (address: string): boolean => {
        const admitted = admission.admit(address);
        if (admitted) admission.release(address);
        return admitted;
      };
      expect([1, 2, 3].map(() => connectOnce('192.0.2.1'))).to.deep.equal([true, true, false]);
      expect(connectOnce('192.0.2.2')).to.equal(true);
      clock.advance(59_999);
      expect(connectOnce('192.0.2.1')).to.equal(false);
      clock.advance(1);
      expect(connectOnce('192.0.2.1')).to.equal(true);
    });

    it('takes an IPv6 /64 for one address', () => {
      limit({ maxConnectionsPerAddress: 1 });
      expect(admission.admit('2001:db8::1')).to.equal(true);
      expect(admission.admit('2001:db8::2:1')).to.equal(false);
      expect(admission.admit('2001:db8:0:1::1')).to.equal(true);
    });

    it('forgets addresses that have gone, but not their open connections', () => {
      const clock = limit({ maxConnectionsPerAddress: 1 });
      expect(admission.admit('198.51.100.1')).to.equal(true);
      for (let host = 0; host < 250; host += 1) {
        expect(admission.admit(`192.0.2.${host}`)).to.equal(true);
        admission.release(`192.0.2.${host}`);
      }
      clock.advance(60_000);
      for (let times = 0; times < 200; times += 1) {
        expect(admission.admit('203.0.113.1')).to.equal(true);
        admission.release('203.0.113.1');
      }
      expect(admission.networks).to.equal(2);
      expect(admission.admit('198.51.100.1')).to.equal(false);
    });
  });
});
