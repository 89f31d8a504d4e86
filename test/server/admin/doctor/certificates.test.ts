import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import { chmod, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { ensureCertificates } from '../../../../certs/make-certs.ts';
import { certificates } from '../../../../server/admin/doctor/certificates.ts';
import { temporaryDirectory } from '../../../storage/temporary-directory.ts';
import { silentLog } from '../../../support/silent-log.ts';
import { saysOf, type Scene } from './scene.ts';

const DAY_MS = 86_400_000;

describe('server/admin/doctor/certificates', () => {
  let directory: string;
  let remove: () => Promise<void>;

  beforeEach(async () => ({ path: directory, remove } = await temporaryDirectory()));
  afterEach(() => remove());

  const says = (more: Partial<Scene> = {}): Promise<string[]> => saysOf(certificates, { directory, ...more });

  describe('that Posthorn makes', () => {
    const make = () =>
      ensureCertificates({
        directory: join(directory, 'data', 'certificates'),
        domains: ['localhost'],
        now: () => Date.now(),
        log: silentLog,
      });

    it('are made at the next start', async () => {
      expect(await says()).to.deep.equal([
        'ok data/certificates: a local authority and its certificates are made at the next start',
      ]);
    });

    it('are fine, and known to nobody else', async () => {
      await make();
      const lines = await says();
      expect(lines[0]).to.match(/^ok data\/certificates\/local_ca.pem: is valid until \d{4}-\d\d-\d\d$/);
      expect(lines[1]).to.match(/^ok data\/certificates\/localhost.pem: is valid for localhost until/);
      expect(lines[2]).to.match(/^note data\/certificates\/local_ca.pem: the authority is known to nobody else$/);
      expect(lines).to.have.length(3);
    });

    it('may lack that of a new domain, which a running server cannot do without', async () => {
      await make();
      const environment = { POSTHORN_DOMAINS: 'localhost,capulet.example' };
      expect(await says({ environment })).to.include(
        'ok data/certificates/capulet.example.pem: is made at the next start',
      );
      const lines = await says({ environment, running: {} });
      expect(
        lines.some((line) => line.startsWith('error data/certificates/capulet.example.pem: cannot read')),
      ).to.equal(true);
    });

    it('have expired, or will', async () => {
      await make();
      const inDays = (days: number) => says({ nowMs: Date.now() + days * DAY_MS });
      expect((await inDays(390))[1]).to.match(/^warning data\/certificates\/localhost.pem: expires on/);
      expect((await inDays(398))[1]).to.match(/^error data\/certificates\/localhost.pem: expired on/);
    });

    it('have keys that others can read', async () => {
      await make();
      await chmod(join(directory, 'data/certificates/localhost.key'), 0o640);
      expect((await says())[1]).to.equal('warning data/certificates/localhost.key: can be read by its group');
    });

    it('are not those the server shows', async () => {
      await make();
      const certificateFile = join(directory, 'data/certificates/localhost.pem');
      const running = { certificates: [{ certificateFile, notAfterMs: 1 }] };
      expect((await says({ running }))[1]).to.equal(
        'warning data/certificates/localhost.pem: the running server shows another certificate than the file holds',
      );
    });
  });

  describe('of the operator', () => {
    const file = (name: string): string => join(directory, name);

    const openssl = (...words: string[]): void => {
      execFileSync('openssl', words, { stdio: 'ignore' });
    };

    /** An authority `root`, one below it, and `leaf` of capulet.example by the latter. */
    function makeChain(): void {
      const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '100'];
      const request = (name: string, subject: string, ...more: string[]): void => {
        const files = ['-keyout', file(`${name}.key`), '-out', file(`${name}.pem`)];
        openssl('req', '-x509', ...ec, '-subj', `/CN=${subject}`, ...files, ...more);
      };
      const by = (name: string): string[] => ['-CA', file(`${name}.pem`), '-CAkey', file(`${name}.key`)];
      request('root', 'House of Escalus');
      request('between', 'Prince of Verona', ...by('root'), '-addext', 'basicConstraints=critical,CA:TRUE');
      request('leaf', 'capulet.example', ...by('between'), '-addext', 'subjectAltName=DNS:capulet.example');
    }

    async function configure(...pems: string[]): Promise<void> {
      const parts = await Promise.all(pems.map((name) => readFile(file(`${name}.pem`), 'utf8')));
      await writeFile(file('chain.pem'), parts.join(''));
      await chmod(file('leaf.key'), 0o600);
      const entry = [
        '[[tls.certificates]]',
        'domains = ["capulet.example"]',
        'certificate = "chain.pem"',
        'key = "leaf.key"',
      ];
      await writeFile(file('posthorn.toml'), ['domains = ["capulet.example"]', ...entry].join('\n'));
    }

    it('are fine with their chain up to an authority of their own', async () => {
      makeChain();
      await configure('leaf', 'between', 'root');
      expect(await says()).to.have.length(1);
      expect((await says())[0]).to.match(/^ok chain.pem: is valid for capulet.example until/);
    });

    it('lack intermediate certificates', async () => {
      makeChain();
      await configure('leaf');
      expect(await says()).to.deep.equal([
        'note chain.pem: ends with a certificate issued by CN=Prince of Verona, which is no public authority',
      ]);
    });

    it('have a key of another certificate, or none', async () => {
      makeChain();
      await configure('between');
      expect((await says())[0]).to.match(
        /^error chain.pem: the key leaf.key does not belong to the certificate chain.pem$/,
      );
      await rm(file('leaf.key'));
      expect((await says())[0]).to.match(/^error chain.pem: cannot read leaf.key \(ENOENT\)$/);
    });
  });
});
