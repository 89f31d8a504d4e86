import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import { createHash, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, TLSSocket, type ConnectionOptions } from 'node:tls';

import { ensureCertificates } from '../../../certs/make-certs.ts';
import { OPTIONS } from '../../../config/options.ts';
import { systemClock } from '../../../server/clock.ts';
import { securityOf } from '../../../server/sasl/channel-bindings.ts';
import { CertificateError } from '../../../server/streams/certificate-file.ts';
import { ALPN_CLIENT, TlsContexts, type TlsOptions } from '../../../server/streams/tls-context.ts';
import { TlsHandshakes } from '../../../server/streams/tls-handshakes.ts';

const DAY_MS = 86_400_000;
const OPENSSL = 'openssl';

/** A clock whose timers ring when the test says so. */
class HandClock {
  nowMs = Date.now();
  #task: (() => void) | undefined;
  #scheduled: (() => void) | undefined;

  now = (): number => this.nowMs;
  monotonic = (): number => this.nowMs;

  schedule = (_delayMs: number, task: () => void): (() => void) => {
    this.#task = task;
    this.#scheduled?.();
    return () => (this.#task = undefined);
  };

  /** Runs the task that is due, and waits until it has scheduled itself again. */
  async ring(): Promise<void> {
    const again = new Promise<void>((resolve) => (this.#scheduled = resolve));
    const task = this.#task;
    if (task === undefined) throw new Error('nothing is scheduled');
    task();
    await again;
  }

  get isIdle(): boolean {
    return this.#task === undefined;
  }
}

describe('server/streams/tls-context', () => {
  let directory: string;
  let ca: Buffer;
  let clock: HandClock;
  let lines: string[];
  let servers: Server[];
  let sockets: Socket[];

  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), 'posthorn-tls-'));
    clock = new HandClock();
    lines = [];
    servers = [];
    sockets = [];
    ca = await make('capulet.example', 'montague.example');
  });

  afterEach(() => {
    for (const socket of sockets) socket.destroy();
    for (const server of servers) server.close();
    rmSync(directory, { recursive: true });
  });

  /** Makes certificates below a folder of the test; returns the authority. */
  async function make(...domains: string[]): Promise<Buffer> {
    return await makeIn('.', 0, ...domains);
  }

  async function makeIn(folder: string, afterDays: number, ...domains: string[]): Promise<Buffer> {
    const log = { info: () => undefined, warn: () => undefined };
    const now = () => Date.now() + afterDays * DAY_MS;
    const { caFile } = await ensureCertificates({ directory: join(directory, folder), domains, now, log });
    return readFileSync(caFile);
  }

  const pem = (name: string) => join(directory, `${name}.pem`);
  const key = (name: string) => join(directory, `${name}.key`);
  const entry = (name: string, ...domains: string[]) => ({
    domains: domains.length === 0 ? [name] : domains,
    certificateFile: pem(name),
    keyFile: key(name),
  });

  function open(...entries: TlsOptions['entries']): TlsContexts {
    const say = (level: string) => (fields: unknown, text: string) =>
      void lines.push(`${level} ${text} ${JSON.stringify(fields)}`);
    const log = { info: say('info'), warn: say('warn'), error: say('error') };
    return new TlsContexts({ entries, minVersion: '1.2', ciphers: OPTIONS.tls.entries.ciphers.default, clock, log });
  }

  const both = () => open(entry('capulet.example', 'capulet.example', '*.capulet.example'), entry('montague.example'));

  /** A server that echoes over TLS, as a listener would use the contexts. */
  async function listen(contexts: TlsContexts, fallbackDomain?: string): Promise<number> {
    const server = createServer((plain) => {
      const socket = new TLSSocket(plain, {
        isServer: true,
        secureContext: contexts.contextFor(undefined, fallbackDomain),
        SNICallback: contexts.sniCallback,
        ALPNProtocols: [ALPN_CLIENT],
      });
      sockets.push(plain, socket);
      socket.on('error', () => socket.destroy());
      socket.on('data', (bytes: Buffer) => socket.write(bytes));
    });
    servers.push(server);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  }

  async function dial(port: number, options: ConnectionOptions): Promise<TLSSocket> {
    const socket = connect({ host: '127.0.0.1', port, ca, ...options });
    sockets.push(socket);
    await once(socket, 'secureConnect');
    return socket;
  }

  async function shownTo(port: number, options: ConnectionOptions): Promise<string> {
    const socket = await dial(port, options);
    return socket.getPeerCertificate().subject.CN as string;
  }

  async function echo(socket: TLSSocket, text: string): Promise<string> {
    socket.write(text);
    const [bytes] = (await once(socket, 'data')) as [Buffer];
    return bytes.toString();
  }

  it('knows what a client may bind to: the certificate it was shown (RFC 5929 4)', async () => {
    const cases = [
      [both(), 'capulet.example'],
      [both(), 'montague.example'],
      [both(), 'xmpp.verona.example'],
      [open(entry('capulet.example')), 'capulet.example'],
      [open(entry('capulet.example')), 'xmpp.verona.example'],
    ] as const;
    for (const [contexts, servername] of cases) {
      const handshakes = new TlsHandshakes({ contexts, maxHandshakes: 4, timeoutMs: 10_000, clock });
      const server = createServer({ pauseOnConnect: true }, (socket) => {
        sockets.push(socket);
        void handshakes.secure({ socket }).then((secured) => server.emit('secured', secured));
      });
      servers.push(server);
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      const secured = once(server, 'secured') as Promise<[TLSSocket]>;
      const { port } = server.address() as AddressInfo;
      const client = await dial(port, { servername, rejectUnauthorized: false });
      const { tlsServerEndPoint } = securityOf((await secured)[0]);
      const shown = client.getPeerCertificate();
      expect(shown.subject.CN).to.equal(servername === 'montague.example' ? servername : 'capulet.example');
      expect(tlsServerEndPoint?.toString('hex')).to.equal(createHash('sha256').update(shown.raw).digest('hex'));
    }
  });

  describe('choosing', () => {
    it('shows each client the certificate of the domain it names, which it verifies with the authority', async () => {
      const port = await listen(both());
      expect(await shownTo(port, { servername: 'capulet.example' })).to.equal('capulet.example');
      expect(await shownTo(port, { servername: 'montague.example' })).to.equal('montague.example');
      expect(await shownTo(port, { servername: 'conference.capulet.example' })).to.equal('capulet.example');
    });

    it('falls back on the domain of the stream, then on the first certificate', async () => {
      const contexts = both();
      const unchecked = { rejectUnauthorized: false };
      const toMontague = await listen(contexts, 'montague.example');
      expect(await shownTo(toMontague, { ...unchecked })).to.equal('montague.example');
      expect(await shownTo(toMontague, { ...unchecked, servername: 'xmpp.verona.example' })).to.equal(
        'montague.example',
      );
      const toNobody = await listen(contexts, 'verona.example');
      expect(await shownTo(toNobody, { ...unchecked, servername: 'verona.example' })).to.equal('capulet.example');
    });

    it('knows domains however they are written, and shares one context for one certificate', async () => {
      await make('faß.example');
      const contexts = open(entry('capulet.example', 'capulet.example', '*.capulet.example'), {
        ...entry('xn--fa-hia.example'),
        domains: ['faß.example'],
      });
      const capulet = contexts.contextFor('capulet.example');
      for (const name of [
        'CAPULET.example',
        'capulet.example.',
        'a.capulet.example',
        'a.b.example',
        '',
        '.',
        '\0',
        '*',
      ]) {
        expect(contexts.contextFor(name), name).to.equal(capulet);
      }
      const other = contexts.contextFor('xn--fa-hia.example');
      expect(other).not.to.equal(capulet);
      expect(contexts.contextFor(undefined, 'faß.example')).to.equal(other);
      expect(contexts.contextFor(false, 'faß.example')).to.equal(other);
    });

    it('takes a wildcard for one label, and the name itself before it', () => {
      const contexts = open(
        entry('montague.example'),
        entry('capulet.example', '*.verona.example'),
        entry('montague.example', 'a.verona.example'),
      );
      const [wildcard, exact, first] = ['b.verona.example', 'a.verona.example', 'verona.example'].map((name) =>
        contexts.contextFor(name),
      );
      expect(wildcard).not.to.equal(exact);
      expect(exact).not.to.equal(first);
      expect(first).to.equal(contexts.contextFor('montague.example'));
      expect(contexts.contextFor('c.b.verona.example')).to.equal(first);
    });
  });

  describe('TLS', () => {
    it('speaks 1.2 and 1.3 with forward secrecy, nothing older, and agrees on xmpp-client', async () => {
      const port = await listen(both());
      for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
        const options = { servername: 'capulet.example', minVersion: version, maxVersion: version };
        const socket = await dial(port, { ...options, ALPNProtocols: ['xmpp-client'] });
        expect(socket.getProtocol()).to.equal(version);
        expect(socket.getCipher().name).to.match(/^(TLS_|ECDHE-)/);
        expect(socket.alpnProtocol).to.equal('xmpp-client');
      }
      // The alerts are the server's: a client that is as lax as OpenSSL lets it be gets no further.
      const alertTo = (options: ConnectionOptions) =>
        dial(port, { servername: 'capulet.example', ...options }).then(
          () => 'none',
          (error: unknown) => (error instanceof Error && 'code' in error ? error.code : error),
        );
      const lax = 'ALL@SECLEVEL=0';
      expect(await alertTo({ minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: lax })).to.match(
        /ALERT_PROTOCOL_VERSION$/,
      );
      expect(await alertTo({ maxVersion: 'TLSv1.2', ciphers: 'AES128-SHA' })).to.match(/ALERT_HANDSHAKE_FAILURE$/);
    });

    it('resumes sessions while the certificates stay, and not over a new one', async () => {
      const contexts = both();
      const port = await listen(contexts);
      const options = { servername: 'capulet.example', maxVersion: 'TLSv1.2' } as const;
      const first = await dial(port, options);
      const session = first.getSession();
      expect(session).not.to.equal(undefined);
      expect((await dial(port, { ...options, session })).isSessionReused()).to.equal(true);

      contexts.reload();
      expect((await dial(port, { ...options, session })).isSessionReused()).to.equal(true);

      rmSync(pem('capulet.example'));
      await make('capulet.example');
      expect(contexts.reload()[0]).to.include({ outcome: 'replaced' });
      const later = await dial(port, { ...options, session });
      expect(later.isSessionReused()).to.equal(false);
      expect(later.getPeerCertificate().raw.equals(first.getPeerCertificate().raw)).to.equal(false);
    });

    it('binds a resumed session to no other certificate than its first handshake has shown (RFC 5929 4.1)', async () => {
      const handshakes = new TlsHandshakes({
        contexts: both(),
        maxHandshakes: 4,
        timeoutMs: 10_000,
        clock: systemClock,
      });
      const bindings: unknown[] = [];
      const server = createServer({ pauseOnConnect: true }, (plain) => {
        sockets.push(plain);
        void handshakes.secure({ socket: plain }).then((socket) => {
          bindings.push(securityOf(socket).tlsServerEndPoint?.toString('hex'));
          socket.write('<a/>');
        });
      });
      servers.push(server);
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      const { port } = server.address() as AddressInfo;
      const expected = createHash('sha256')
        .update(new X509Certificate(readFileSync(pem('montague.example'))).raw)
        .digest('hex');
      for (const [version, whenResumed] of [
        ['TLSv1.3', expected],
        ['TLSv1.2', undefined], // by OpenSSL nobody can know which it was
      ] as const) {
        const options = { servername: 'montague.example', minVersion: version, maxVersion: version };
        const first = connect({ host: '127.0.0.1', port, ca, ...options });
        sockets.push(first);
        const [[session]] = await Promise.all([once(first, 'session') as Promise<[Buffer]>, once(first, 'data')]);
        const again = await dial(port, { ...options, session });
        await once(again, 'data');
        expect([first.isSessionReused(), again.isSessionReused()], version).to.deep.equal([false, true]);
        expect(bindings.splice(0), version).to.deep.equal([expected, whenResumed]);
      }
    });

    it('resumes in one process what another began, where both have the same ticket keys', async () => {
      const ticketKeys = Buffer.alloc(48, 7);
      const log = { info: () => undefined, warn: () => undefined, error: () => undefined };
      const options = {
        entries: [entry('capulet.example')],
        minVersion: '1.2',
        ciphers: 'DEFAULT',
        clock,
        log,
      } as const;
      const [one, other] = await Promise.all(
        [new TlsContexts({ ...options, ticketKeys }), new TlsContexts({ ...options, ticketKeys })].map((each) =>
          listen(each),
        ),
      );
      const to = { servername: 'capulet.example', maxVersion: 'TLSv1.2' } as const;
      const session = (await dial(one ?? 0, to)).getSession();
      expect((await dial(other ?? 0, { ...to, session })).isSessionReused()).to.equal(true);
    });
  });

  describe('reloading', () => {
    it('shows the new certificate to new connections and leaves the open ones alone', async () => {
      const contexts = both();
      const port = await listen(contexts);
      const juliet = await dial(port, { servername: 'capulet.example' });
      const before = juliet.getPeerCertificate().serialNumber;

      rmSync(pem('capulet.example'));
      await make('capulet.example');
      expect(contexts.reload()).to.deep.equal([
        {
          certificateFile: pem('capulet.example'),
          domains: ['capulet.example', '*.capulet.example'],
          outcome: 'replaced',
        },
        { certificateFile: pem('montague.example'), domains: ['montague.example'], outcome: 'unchanged' },
      ]);

      expect(await echo(juliet, 'Art thou not Romeo, and a Montague?')).to.equal('Art thou not Romeo, and a Montague?');
      const romeo = await dial(port, { servername: 'capulet.example' });
      expect(romeo.getPeerCertificate().serialNumber).not.to.equal(before);
    });

    it('keeps the old certificate where the new one cannot be used, and says what to do', async () => {
      const contexts = both();
      const port = await listen(contexts);
      writeFileSync(pem('capulet.example'), 'wherefore');
      const [capulet, montague] = contexts.reload();
      expect(capulet).to.include({ outcome: 'kept' });
      expect(capulet?.problem).to.include(pem('capulet.example')).and.include('holds no PEM certificate');
      expect(montague).to.include({ outcome: 'unchanged' });
      expect(await shownTo(port, { servername: 'capulet.example' })).to.equal('capulet.example');
      expect(lines.filter((line) => line.startsWith('error'))).to.have.length(1);
    });

    it('does not go from a valid certificate to one that has expired', async () => {
      const contexts = both();
      await makeIn('old', -500, 'capulet.example');
      copyFileSync(join(directory, 'old', 'capulet.example.key'), key('capulet.example'));
      copyFileSync(join(directory, 'old', 'capulet.example.pem'), pem('capulet.example'));
      expect(contexts.reload()[0]).to.include({ outcome: 'kept' });
      clock.nowMs += 400 * DAY_MS;
      expect(contexts.reload()[0]).to.include({ outcome: 'replaced' });
    });
  });

  describe('watching', () => {
    let contexts: TlsContexts;

    beforeEach(async () => {
      await makeIn('next', 0, 'capulet.example');
      contexts = both();
      contexts.watch();
    });

    afterEach(() => contexts.close());

    const shown = () => contexts.contextFor('capulet.example');

    it('takes over files that are renamed over, once they have come to rest', async () => {
      const before = shown();
      renameSync(join(directory, 'next', 'capulet.example.key'), key('capulet.example'));
      await clock.ring();
      renameSync(join(directory, 'next', 'capulet.example.pem'), pem('capulet.example'));
      await clock.ring();
      expect(shown(), 'between two looks').to.equal(before);
      await clock.ring();
      expect(shown(), 'at rest').not.to.equal(before);
      expect(lines.filter((line) => line.startsWith('error'))).to.deep.equal([]);
    });

    it('takes over files that a symbolic link of their folder leads to', async () => {
      contexts.close();
      mkdirSync(join(directory, 'archive'));
      const live = join(directory, 'live');
      symlinkSync(directory, live);
      contexts = open({
        domains: ['capulet.example'],
        certificateFile: join(live, 'capulet.example.pem'),
        keyFile: join(live, 'capulet.example.key'),
      });
      contexts.watch();
      const before = shown();
      symlinkSync(join(directory, 'next'), join(directory, 'new-live'));
      renameSync(join(directory, 'new-live'), live);
      await clock.ring();
      await clock.ring();
      expect(shown()).not.to.equal(before);
    });

    it('reports files that cannot be used once, and tries again when they change', async () => {
      const before = shown();
      rmSync(pem('capulet.example'));
      for (let times = 0; times < 5; times += 1) await clock.ring();
      expect(shown()).to.equal(before);
      expect(lines.filter((line) => line.startsWith('error'))).to.have.length(1);

      copyFileSync(join(directory, 'next', 'capulet.example.key'), key('capulet.example'));
      copyFileSync(join(directory, 'next', 'capulet.example.pem'), pem('capulet.example'));
      await clock.ring();
      await clock.ring();
      expect(shown()).not.to.equal(before);
    });

    it('sees what changed between reading and the first look', async () => {
      contexts.close();
      contexts = both();
      const before = shown();
      copyFileSync(join(directory, 'next', 'capulet.example.key'), key('capulet.example'));
      copyFileSync(join(directory, 'next', 'capulet.example.pem'), pem('capulet.example'));
      contexts.watch();
      await clock.ring();
      await clock.ring();
      expect(shown()).not.to.equal(before);
    });

    it('leaves no timer behind', () => {
      expect(clock.isIdle).to.equal(false);
      contexts.close();
      expect(clock.isIdle).to.equal(true);
    });
  });

  describe('mistakes', () => {
    function refusal(...entries: TlsOptions['entries']): string {
      try {
        open(...entries);
      } catch (error) {
        if (error instanceof CertificateError) return error.message;
        throw error;
      }
      return '';
    }

    it('are all named at once, each with the file and what to do', () => {
      writeFileSync(pem('no'), 'wherefore');
      writeFileSync(key('no'), 'art thou');
      const locked = [
        'genpkey',
        '-algorithm',
        'EC',
        '-pkeyopt',
        'ec_paramgen_curve:P-256',
        '-aes128',
        '-pass',
        'pass:rose',
      ];
      execFileSync(OPENSSL, [...locked, '-out', key('locked')], { stdio: 'ignore' });
      const small = ['req', '-x509', '-nodes', '-newkey', 'rsa:512', '-subj', '/CN=small.example'];
      execFileSync(OPENSSL, [...small, '-out', pem('small'), '-keyout', key('small')], { stdio: 'ignore' });
      expect(
        refusal(
          entry('missing'),
          entry('no'),
          { ...entry('capulet.example'), keyFile: key('no') },
          { ...entry('capulet.example'), keyFile: key('montague.example') },
          { ...entry('capulet.example'), keyFile: key('locked') },
          { ...entry('capulet.example'), certificateFile: directory },
          entry('small'),
          entry('montague.example'),
        )
          .replaceAll(directory, '')
          .replace(/\(error:.*key too small\)/, '(key too small)')
          .split('\n'),
      ).to.deep.equal([
        'cannot read /missing.pem (ENOENT): put it there or correct tls.certificates',
        '/no.pem holds no PEM certificate: name a file that begins with one',
        '/no.key holds no PEM private key: name a file that does',
        'the key /montague.example.key does not belong to the certificate /capulet.example.pem: name the key that the certificate was made with, and put the server certificate first in its file',
        '/locked.key is locked with a passphrase: remove it with "openssl pkey"',
        'cannot read  (EISDIR): see that it is a readable file',
        '/small.pem cannot be used (key too small): have it issued anew',
      ]);
      expect(refusal()).to.equal('there is no certificate: configure one in tls.certificates');
    });

    it('never show what a key file holds', () => {
      writeFileSync(key('no'), '-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n');
      expect(refusal({ ...entry('capulet.example'), keyFile: key('no') })).not.to.include('c2Vj');
    });

    it('that clients will notice are warned of, and told as the state of the certificate', () => {
      chmodSync(key('capulet.example'), 0o640);
      const contexts = open(entry('capulet.example', 'capulet.example', 'verona.example', '*.verona.example'));
      const concerns = () => contexts.statuses()[0]?.concerns.map((text) => text.replaceAll(directory, ''));
      const always = [
        '/capulet.example.pem does not name verona.example: clients refuse it there; have it issued for that name too',
        '/capulet.example.pem does not name *.verona.example: clients refuse it there; have it issued for that name too',
        '/capulet.example.key can be read by its group: chmod 600 it',
      ];
      expect(concerns()).to.deep.equal(always);
      expect(lines).to.have.length(3);

      const end = contexts.statuses()[0]?.notAfterMs ?? 0;
      const date = new Date(end).toISOString().slice(0, 10);
      clock.nowMs = end - 13 * DAY_MS;
      expect(concerns()?.[0]).to.equal(`/capulet.example.pem expires on ${date}: renew it`);
      clock.nowMs = end + 1;
      expect(concerns()?.[0]).to.equal(`/capulet.example.pem expired on ${date}: clients refuse it; renew it`);
      clock.nowMs = end - 500 * DAY_MS;
      expect(concerns()?.[0]).to.match(/is valid only from .* check the clock/);
      chmodSync(key('capulet.example'), 0o604);
      expect(concerns()?.at(-1)).to.equal(
        '/capulet.example.key can be read by every user of this machine: chmod 600 it',
      );
    });

    it('are none in a certificate that Posthorn made', () => {
      const [capulet] = both().statuses();
      expect(capulet?.concerns).to.deep.equal([]);
      expect(capulet?.names).to.match(/^DNS:capulet\.example, DNS:\*\.capulet\.example/);
      expect(capulet?.issuer).to.match(/^CN=Posthorn local authority/);
      expect(lines).to.deep.equal([]);
    });
  });
});
