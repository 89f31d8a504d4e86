import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import { createHash, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, createServer, type SecureVersion, type TLSSocket } from 'node:tls';

import { securityOf, serverEndPoint } from '../../../server/sasl/channel-bindings.ts';
import type { SecurityLayer } from '../../../server/sasl/mechanisms.ts';

interface KeyPair {
  readonly key: string;
  readonly cert: string;
}

const ECDSA = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'];
const RSA = ['-newkey', 'rsa:2048'];
const PSS = [...RSA, '-sigopt', 'rsa_padding_mode:pss'];

describe('channel bindings', () => {
  let directory: string;

  before(() => {
    directory = mkdtempSync(join(tmpdir(), 'channel-bindings-'));
  });

  after(() => rmSync(directory, { recursive: true }));

  /** A self-signed certificate by OpenSSL, which shares no code with the parser. */
  function certify(parameters: readonly string[]): KeyPair {
    const key = join(directory, 'key.pem');
    const cert = join(directory, 'cert.pem');
    const common = ['req', '-x509', '-nodes', '-subj', '/CN=capulet.lit', '-keyout', key, '-out', cert];
    execFileSync('openssl', [...common, ...parameters], { stdio: 'pipe' });
    return { key: readFileSync(key, 'utf8'), cert: readFileSync(cert, 'utf8') };
  }

  describe('tls-server-end-point (RFC 5929 4.1) hashes by the signature algorithm', () => {
    const table: readonly [string, readonly string[], string][] = [
      ['ecdsa-with-SHA256', [...ECDSA, '-sha256'], 'sha256'],
      ['ecdsa-with-SHA384', [...ECDSA, '-sha384'], 'sha384'],
      ['ecdsa-with-SHA512', [...ECDSA, '-sha512'], 'sha512'],
      ['ecdsa-with-SHA1: SHA-256 instead', [...ECDSA, '-sha1'], 'sha256'],
      ['sha256WithRSAEncryption', [...RSA, '-sha256'], 'sha256'],
      ['sha512WithRSAEncryption', [...RSA, '-sha512'], 'sha512'],
      ['sha1WithRSAEncryption: SHA-256 instead', [...RSA, '-sha1'], 'sha256'],
      ['md5WithRSAEncryption: SHA-256 instead', [...RSA, '-md5'], 'sha256'],
      ['RSASSA-PSS with SHA-256', [...PSS, '-sha256'], 'sha256'],
      ['RSASSA-PSS with SHA-384', [...PSS, '-sha384'], 'sha384'],
      ['RSASSA-PSS with its default, SHA-1: SHA-256 instead', [...PSS, '-sha1'], 'sha256'],
    ];
    for (const [title, parameters, digest] of table) {
      it(title, () => {
        const { raw } = new X509Certificate(certify(parameters).cert);
        expect(serverEndPoint(raw)).to.deep.equal(createHash(digest).update(raw).digest());
      });
    }

    it('Ed25519 has none', () => {
      const { raw } = new X509Certificate(certify(['-newkey', 'ed25519']).cert);
      expect(serverEndPoint(raw)).to.equal(undefined);
    });

    it('neither has a missing or broken certificate', () => {
      const { raw } = new X509Certificate(certify(ECDSA).cert);
      expect(serverEndPoint(undefined)).to.equal(undefined);
      for (let length = 0; length < raw.length; length += 1) {
        expect(serverEndPoint(raw.subarray(0, length))).to.equal(undefined);
      }
    });
  });

  describe('of a connection', () => {
    /** What the server has, and the client's view of the same connection. */
    async function handshake(
      version: SecureVersion,
    ): Promise<{ server: SecurityLayer; client: TLSSocket; leave: () => void }> {
      const pair = certify([...ECDSA, '-sha256']);
      const listener = createServer({ ...pair, minVersion: version, maxVersion: version });
      listener.listen(0, '127.0.0.1');
      await once(listener, 'listening');
      const { port } = listener.address() as AddressInfo;
      const client = connect({ port, host: '127.0.0.1', ca: pair.cert, servername: 'capulet.lit' });
      const [[socket]] = (await Promise.all([once(listener, 'secureConnection'), once(client, 'secureConnect')])) as [
        [TLSSocket],
        unknown,
      ];
      const leave = (): void => {
        socket.destroy();
        client.destroy();
        listener.close();
      };
      return { server: securityOf(socket), client, leave };
    }

    it('TLS 1.3 has both, and the client has the same', async () => {
      const { server, client, leave } = await handshake('TLSv1.3');
      const certificate = client.getPeerX509Certificate();
      expect(server.encrypted).to.equal(true);
      expect(server.tlsExporter).to.deep.equal(
        client.exportKeyingMaterial(32, 'EXPORTER-Channel-Binding', Buffer.alloc(0)),
      );
      expect(server.tlsServerEndPoint?.toString('hex')).to.equal(
        certificate?.fingerprint256.replaceAll(':', '').toLowerCase(),
      );
      expect(server.tlsUnique).to.deep.equal(client.getFinished()); // RFC 5929 3.1
      leave();
    });

    it('names the types it has without computing the data, which are gone with the connection', async () => {
      const { server, leave } = await handshake('TLSv1.3');
      leave();
      expect(server.bindingTypes).to.deep.equal(['tls-exporter', 'tls-server-end-point', 'tls-unique']);
      expect(server.tlsExporter).to.equal(undefined);
      expect(server.tlsUnique).to.equal(undefined);
    });

    it('TLS 1.2 has no tls-exporter (RFC 9266 3)', async () => {
      const { server, leave } = await handshake('TLSv1.2');
      expect(server.tlsExporter).to.equal(undefined);
      expect(server.bindingTypes).not.to.contain('tls-exporter');
      expect(server.tlsServerEndPoint).to.have.length(32);
      leave();
    });
  });
});
