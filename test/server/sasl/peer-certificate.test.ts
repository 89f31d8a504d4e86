import { createServer, connect, type TLSSocket } from 'node:tls';
import type { AddressInfo } from 'node:net';
import { expect } from 'chai';
import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { makeCertificate } from '../../../certs/x509.ts';
import type { CertificateNames } from '../../../certs/certificate-names.ts';
import { namesDomain, peerCertificateOf, peerNames, type PeerNames } from '../../../server/sasl/peer-certificate.ts';
import { makeTestCertificates } from '../../support/tls-contexts.ts';

const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });

function certificate(names: CertificateNames): Buffer {
  const content = {
    subject: 'verona.example',
    issuer: 'verona.example',
    serial: Buffer.from([1]),
    notBeforeMs: Date.UTC(2026, 0, 1),
    notAfterMs: Date.UTC(2027, 0, 1),
    publicKey,
    issuerPublicKey: publicKey,
    names,
  };
  return new X509Certificate(makeCertificate(content, privateKey)).raw;
}

const none: PeerNames = { dns: [], srv: [], xmpp: [], ip: [] };

describe('the names of a certificate', () => {
  it('are read from its subjectAltName', () => {
    const names = {
      dns: ['capulet.example', '*.capulet.example'],
      ip: ['192.0.2.1', '2001:db8::1'],
      srv: ['_xmpp-server.capulet.example'],
    };
    expect(peerNames(certificate(names))).to.deep.equal({ ...names, xmpp: [] });
  });

  it('are none where it cannot be read', () => {
    const whole = certificate({ dns: ['capulet.example'], ip: [], srv: [] });
    for (const length of [0, 1, 10, 100, whole.length - 150]) {
      expect(() => peerNames(whole.subarray(0, length))).not.to.throw();
    }
    expect(peerNames(Buffer.from('not DER at all'))).to.deep.equal(none);
  });

  const table: readonly (readonly [string, PeerNames, string, boolean])[] = [
    ['a DNS-ID', { ...none, dns: ['capulet.example'] }, 'capulet.example', true],
    ['a DNS-ID of another domain', { ...none, dns: ['montague.example'] }, 'capulet.example', false],
    ['a DNS-ID of the parent', { ...none, dns: ['capulet.example'] }, 'rooms.capulet.example', false],
    ['a wildcard for one label', { ...none, dns: ['*.capulet.example'] }, 'rooms.capulet.example', true],
    ['a wildcard for no label', { ...none, dns: ['*.capulet.example'] }, 'capulet.example', false],
    ['a wildcard for two labels', { ...none, dns: ['*.capulet.example'] }, 'a.rooms.capulet.example', false],
    ['a wildcard that is part of a label', { ...none, dns: ['r*.capulet.example'] }, 'rooms.capulet.example', false],
    ['a wildcard above everything', { ...none, dns: ['*.example'] }, 'capulet.example', false],
    ['a wildcard alone', { ...none, dns: ['*'] }, 'capulet', false],
    ['an SRV-ID', { ...none, srv: ['_xmpp-server.capulet.example'] }, 'capulet.example', true],
    ['an SRV-ID for clients', { ...none, srv: ['_xmpp-client.capulet.example'] }, 'capulet.example', false],
    ['an XmppAddr', { ...none, xmpp: ['capulet.example'] }, 'capulet.example', true],
    ['an XmppAddr of a person', { ...none, xmpp: ['juliet@capulet.example'] }, 'capulet.example', false],
    ['A-labels', { ...none, dns: ['xn--bcher-kva.example'] }, 'bücher.example', true],
    ['an address', { ...none, ip: ['2001:db8::1'] }, '[2001:db8::1]', true],
    ['an address as a DNS-ID', { ...none, dns: ['192.0.2.1'] }, '192.0.2.1', false],
    // What browsers make a host name of is none in a certificate.
    ['an XmppAddr with a resource', { ...none, xmpp: ['capulet.example/balcony'] }, 'capulet.example', false],
    ['an XmppAddr with a percent sign', { ...none, xmpp: ['%63apulet.example'] }, 'capulet.example', false],
    ['a DNS-ID with a line break', { ...none, dns: ['capu\nlet.example'] }, 'capulet.example', false],
    ['a DNS-ID with a number sign', { ...none, dns: ['capulet.example#.tybalt.example'] }, 'capulet.example', false],
    ['a DNS-ID that ends early', { ...none, dns: ['capulet.example\0.tybalt.example'] }, 'capulet.example', false],
    ['an SRV-ID with a path', { ...none, srv: ['_xmpp-server.capulet.example/x'] }, 'capulet.example', false],
    ['nothing', none, 'capulet.example', false],
  ];
  for (const [what, names, domain, expected] of table) {
    it(`${expected ? 'name' : 'do not name'} ${domain} with ${what}`, () => {
      expect(namesDomain(names, domain)).to.equal(expected);
    });
  }

  it('come with what is wrong with the chain', async () => {
    const { contexts, ca } = await makeTestCertificates(['capulet.example']);
    const server = createServer({ SNICallback: contexts.sniCallback }, (socket) => socket.on('error', () => undefined));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const shown = async (trusted: string | undefined): Promise<ReturnType<typeof peerCertificateOf>> => {
      const options = { host: '127.0.0.1', port, servername: 'capulet.example', rejectUnauthorized: false };
      const socket: TLSSocket = connect({ ...options, ...(trusted !== undefined && { ca: trusted }) });
      await new Promise<void>((resolve, reject) => socket.once('secureConnect', resolve).once('error', reject));
      const certificate = peerCertificateOf(socket);
      socket.destroy();
      return certificate;
    };
    const trusted = await shown(ca);
    expect(trusted?.problem).to.equal(undefined);
    expect(trusted?.names.dns).to.deep.equal(['capulet.example', '*.capulet.example']);
    expect((await shown(undefined))?.problem).to.equal('UNABLE_TO_VERIFY_LEAF_SIGNATURE');
    server.close();
  });
});
