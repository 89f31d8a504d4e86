import { expect } from 'chai';
import { execFileSync, spawnSync } from 'node:child_process';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { JidError } from '../../stanzas/jid.ts';
import { ensureCertificates, type EnsuredCertificates } from '../../certs/make-certs.ts';

const DAY_MS = 86_400_000;
const OPENSSL = 'openssl';

describe('certs/make-certs', () => {
  let parent: string;
  let directory: string;
  let warnings: string[];

  beforeEach(() => {
    parent = mkdtempSync(join(tmpdir(), 'posthorn-certs-'));
    directory = join(parent, 'certificates');
    warnings = [];
  });

  afterEach(() => rmSync(parent, { recursive: true }));

  function ensure(domains: readonly string[], afterDays = 0): Promise<EnsuredCertificates> {
    const log = { info: () => undefined, warn: (_: unknown, text: string) => void warnings.push(text) };
    return ensureCertificates({ directory, domains, now: () => Date.now() + afterDays * DAY_MS, log });
  }

  const read = (file: string) => new X509Certificate(readFileSync(file));
  const mode = (file: string) => statSync(file).mode & 0o777;

  describe('the first time', () => {
    it('makes an authority and a certificate for each domain', async () => {
      const { caFile, certificates, created } = await ensure(['capulet.example', 'montague.example']);
      expect(certificates.map(({ domain }) => domain)).to.deep.equal(['capulet.example', 'montague.example']);
      expect(created).to.deep.equal([caFile, ...certificates.map(({ certificateFile }) => certificateFile)]);
      for (const { certificateFile, keyFile } of certificates) {
        expect(read(certificateFile).checkPrivateKey(createPrivateKey(readFileSync(keyFile)))).to.equal(true);
      }
      expect(new Set(created.map((file) => read(file).serialNumber)).size).to.equal(3);
    });

    it('makes certificates that OpenSSL verifies, for their domain, the services below it and no other name', async () => {
      const { caFile, certificates } = await ensure([
        'capulet.example',
        'faß.example',
        'localhost',
        '192.0.2.1',
        '[2001:db8::1]',
      ]);
      const verify = (index: number, ...names: string[]) => {
        const file = certificates[index]?.certificateFile ?? '';
        const options = ['verify', '-x509_strict', '-purpose', 'sslserver', '-CAfile', caFile, ...names, file];
        return spawnSync(OPENSSL, options).status;
      };
      expect(verify(0, '-verify_hostname', 'capulet.example')).to.equal(0);
      expect(verify(0, '-verify_hostname', 'conference.capulet.example')).to.equal(0);
      expect(verify(0, '-verify_hostname', 'montague.example')).not.to.equal(0);
      expect(verify(1, '-verify_hostname', 'xn--fa-hia.example')).to.equal(0);
      expect(verify(2, '-verify_hostname', 'localhost')).to.equal(0);
      expect(verify(2, '-verify_ip', '127.0.0.1')).to.equal(0);
      expect(verify(2, '-verify_ip', '::1')).to.equal(0);
      expect(verify(3, '-verify_ip', '192.0.2.1')).to.equal(0);
      expect(verify(4, '-verify_ip', '2001:db8::1')).to.equal(0);
    });

    it('obeys RFC 6120 13.7.1', async () => {
      const { caFile, certificates } = await ensure(['capulet.example']);
      const print = (file: string) =>
        execFileSync(OPENSSL, ['x509', '-noout', '-text', '-in', file], { encoding: 'utf8' });
      const authority = print(caFile);
      expect(authority).to.match(/Basic Constraints: critical\s+CA:TRUE, pathlen:0/);
      expect(authority).to.match(/Key Usage: critical\s+Digital Signature, Certificate Sign, CRL Sign/);
      const leaf = print(certificates[0]?.certificateFile ?? '');
      expect(leaf).to.match(/Signature Algorithm: ecdsa-with-SHA256/);
      expect(leaf).to.match(/NIST CURVE: P-256/);
      expect(leaf).to.match(/Subject: CN ?= ?capulet\.example/);
      expect(leaf).to.match(/Basic Constraints: critical\s+CA:FALSE/);
      expect(leaf).to.match(/Key Usage: critical\s+Digital Signature\n/);
      expect(leaf).to.match(/Extended Key Usage:\s+TLS Web Server Authentication, TLS Web Client Authentication/);
      expect(leaf).to.match(/SRVName::?_xmpp-client\.capulet\.example/);
      expect(leaf).to.match(/SRVName::?_xmpp-server\.capulet\.example/);
    });

    it('lets them live 397 days, and the authority ten years', async () => {
      const { caFile, certificates } = await ensure(['localhost']);
      const days = (file: string) => (Date.parse(read(file).validTo) - Date.parse(read(file).validFrom)) / DAY_MS;
      expect(days(certificates[0]?.certificateFile ?? '')).to.equal(397);
      expect(days(caFile)).to.equal(3653);
    });

    it('closes the directory and the keys, whatever the umask, and leaves nothing half written', async () => {
      const umask = process.umask(0);
      try {
        await ensure(['localhost']);
      } finally {
        process.umask(umask);
      }
      expect(mode(directory)).to.equal(0o700);
      expect(readdirSync(directory).sort()).to.deep.equal([
        'local_ca.key',
        'local_ca.pem',
        'localhost.key',
        'localhost.pem',
      ]);
      expect(mode(join(directory, 'local_ca.key'))).to.equal(0o600);
      expect(mode(join(directory, 'localhost.key'))).to.equal(0o600);
      expect(mode(join(directory, 'local_ca.pem'))).to.equal(0o644);
      expect(mode(join(directory, 'localhost.pem'))).to.equal(0o644);
    });

    it('makes certificates that last past 2049, when years have four digits', async () => {
      const { caFile } = await ensure(['localhost'], 365 * 40);
      expect(new Date(read(caFile).validTo).getUTCFullYear()).to.be.greaterThan(2070);
      expect(spawnSync(OPENSSL, ['x509', '-noout', '-in', caFile]).status).to.equal(0);
    });
  });

  describe('the next time', () => {
    it('changes nothing', async () => {
      const { certificates, caFile } = await ensure(['localhost', 'capulet.example']);
      const files = [caFile, ...certificates.flatMap(({ certificateFile, keyFile }) => [certificateFile, keyFile])];
      const before = files.map((file) => readFileSync(file, 'utf8'));
      expect((await ensure(['localhost', 'capulet.example'], 360)).created).to.deep.equal([]);
      expect(files.map((file) => readFileSync(file, 'utf8'))).to.deep.equal(before);
    });

    it('makes a certificate for a domain that is new, by the same authority', async () => {
      const { caFile } = await ensure(['localhost']);
      const authority = readFileSync(caFile, 'utf8');
      const { created } = await ensure(['localhost', 'capulet.example']);
      expect(created).to.deep.equal([join(directory, 'capulet.example.pem')]);
      expect(readFileSync(caFile, 'utf8')).to.equal(authority);
      expect(read(created[0] ?? '').checkIssued(read(caFile))).to.equal(true);
    });

    it('renews a certificate that has less than 30 days', async () => {
      const { caFile, certificates } = await ensure(['localhost']);
      const file = certificates[0]?.certificateFile ?? '';
      expect((await ensure(['localhost'], 366)).created).to.deep.equal([]);
      expect((await ensure(['localhost'], 367)).created).to.deep.equal([file]);
      expect(read(file).verify(read(caFile).publicKey)).to.equal(true);
    });

    it('renews the authority before it ends, all certificates with it, and none outlives it', async () => {
      const { caFile, certificates } = await ensure(['localhost']);
      const file = certificates[0]?.certificateFile ?? '';
      await ensure(['localhost'], 3600);
      expect(Date.parse(read(file).validTo)).to.equal(Date.parse(read(caFile).validTo));
      expect((await ensure(['localhost'], 3622)).created).to.deep.equal([]);
      expect((await ensure(['localhost'], 3623)).created).to.deep.equal([caFile, file]);
      expect(warnings).to.have.length(1);
      expect(read(file).verify(read(caFile).publicKey)).to.equal(true);
    });

    const damages: readonly (readonly [title: string, damage: () => void, created: readonly string[]])[] = [
      ['a key is missing', () => rmSync(join(directory, 'localhost.key')), ['localhost.pem']],
      ['a certificate is missing', () => rmSync(join(directory, 'localhost.pem')), ['localhost.pem']],
      [
        'a certificate is no certificate',
        () => writeFileSync(join(directory, 'localhost.pem'), 'wherefore'),
        ['localhost.pem'],
      ],
      [
        'a key belongs to another certificate',
        () => writeFileSync(join(directory, 'localhost.key'), readFileSync(join(directory, 'local_ca.key'))),
        ['localhost.pem'],
      ],
      [
        'a certificate has the names of another domain',
        () => {
          for (const end of ['pem', 'key']) {
            writeFileSync(join(directory, `localhost.${end}`), readFileSync(join(directory, `capulet.example.${end}`)));
          }
        },
        ['localhost.pem'],
      ],
      [
        'the authority is missing',
        () => rmSync(join(directory, 'local_ca.pem')),
        ['local_ca.pem', 'localhost.pem', 'capulet.example.pem'],
      ],
    ];
    for (const [title, damage, expected] of damages) {
      it(`mends what is broken: ${title}`, async () => {
        await ensure(['localhost', 'capulet.example']);
        damage();
        const { created } = await ensure(['localhost', 'capulet.example']);
        expect(created).to.deep.equal(expected.map((name) => join(directory, name)));
        expect((await ensure(['localhost', 'capulet.example'])).created).to.deep.equal([]);
      });
    }

    it('needs the key of the authority only when something is to be made', async () => {
      await ensure(['localhost']);
      rmSync(join(directory, 'local_ca.key'));
      expect((await ensure(['localhost'])).created).to.deep.equal([]);
      expect((await ensure(['localhost', 'capulet.example'])).created).to.have.length(3);
    });

    it('closes a key that was opened to others, and says so', async () => {
      await ensure(['localhost']);
      chmodSync(join(directory, 'localhost.key'), 0o644);
      await ensure(['localhost']);
      expect(mode(join(directory, 'localhost.key'))).to.equal(0o600);
      expect(warnings).to.have.length(1);
    });

    it("does not overwrite somebody else's certificate", async () => {
      await ensure(['localhost']);
      const file = join(directory, 'localhost.pem');
      const key = join(directory, 'localhost.key');
      const foreign = [
        'req',
        '-x509',
        '-nodes',
        '-newkey',
        'ec',
        '-pkeyopt',
        'ec_paramgen_curve:P-256',
        '-subj',
        '/CN=verona',
      ];
      execFileSync(OPENSSL, [...foreign, '-out', file, '-keyout', key], { stdio: 'ignore' });
      const before = readFileSync(key, 'utf8');
      const error = await ensure(['localhost']).catch((refused: unknown) => refused);
      expect(error).to.be.an('error').with.property('message').that.includes(file).and.includes('tls.certificates');
      expect(readFileSync(key, 'utf8')).to.equal(before);
    });

    it('names the file that it cannot write', async () => {
      writeFileSync(directory, 'a file in the place of the folder');
      const error = await ensure(['localhost']).catch((refused: unknown) => refused);
      expect(error).to.be.an('error').with.property('message').that.includes(directory);
    });
  });

  it('refuses what is no domain', async () => {
    const error = await ensure(['../../etc']).catch((refused: unknown) => refused);
    expect(error).to.be.instanceOf(JidError);
    expect(existsSync(join(parent, '..', '..', 'etc.pem'))).to.equal(false);
  });

  describe('by hand', () => {
    const program = new URL('../../certs/make-certs.ts', import.meta.url).pathname;
    const run = (...words: string[]) =>
      spawnSync(process.execPath, ['--import', 'tsx', program, ...words], { encoding: 'utf8' });

    it('prints where everything is', () => {
      const { status, stdout } = run(directory, 'capulet.example');
      expect(status).to.equal(0);
      expect(stdout).to.include(`capulet.example: certificate ${join(directory, 'capulet.example.pem')}`);
      expect(stdout).to.include(`let clients trust ${join(directory, 'local_ca.pem')}`);
    });

    it('explains itself, and fails with a sentence', () => {
      expect(run(directory)).to.include({ status: 2, stdout: '', stderr: 'usage: make-certs DIRECTORY DOMAIN...\n' });
      const failed = run(directory, 'no domain');
      expect(failed.status).to.equal(1);
      expect(failed.stderr).to.match(/^make-certs: domainpart .+\n$/);
    });
  });
});
