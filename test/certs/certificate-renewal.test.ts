import { expect } from 'chai';
import { once } from 'node:events';
import { mkdirSync, readFileSync, rmdirSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { connect, TLSSocket } from 'node:tls';

import { CertificateRenewal } from '../../certs/certificate-renewal.ts';
import { ensureCertificates } from '../../certs/make-certs.ts';
import { OPTIONS } from '../../config/options.ts';
import { TlsContexts } from '../../server/streams/tls-context.ts';
import { temporaryDirectory } from '../storage/temporary-directory.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { silentLog } from '../support/silent-log.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

describe('certs/certificate-renewal', () => {
  let directory: string;
  let remove: () => Promise<void>;
  let clock: ManualClock;
  let renewal: CertificateRenewal;
  let errors: string[];
  let server: Server | undefined;
  let whenScheduled: () => void;
  let whenRenewed: () => void;

  beforeEach(async () => {
    ({ path: directory, remove } = await temporaryDirectory());
    // So that a certificate that was made at first and one that is made a year later are both in force now.
    clock = new ManualClock(Date.now() - 370 * DAY_MS);
    server = undefined;
    errors = [];
    whenScheduled = whenRenewed = () => undefined;
  });

  afterEach(async () => {
    renewal.close();
    server?.close();
    await remove();
  });

  function request() {
    const log = { ...silentLog, error: (_: unknown, text: string) => void errors.push(text) };
    return { directory, domains: ['localhost'], now: () => clock.now(), log };
  }

  function startRenewal(): void {
    const watched = {
      schedule: (delayMs: number, task: () => void): (() => void) => {
        const cancel = clock.schedule(delayMs, task);
        whenScheduled();
        return cancel;
      },
    };
    renewal = new CertificateRenewal({ ...request(), clock: watched, renewed: () => whenRenewed() });
    renewal.start();
  }

  /** Lets time pass, and waits until the renewal has looked once and waits again. */
  async function looked(afterMs: number): Promise<void> {
    const again = new Promise<void>((resolve) => (whenScheduled = resolve));
    clock.advance(afterMs);
    await again;
  }

  it('renews a certificate within its last 30 days and not before', async () => {
    const { certificates } = await ensureCertificates(request());
    const file = certificates[0]?.certificateFile ?? '';
    const before = readFileSync(file, 'utf8');
    let renewed = 0;
    whenRenewed = () => renewed++;
    clock.advance(365 * DAY_MS);
    startRenewal();
    await looked(12 * HOUR_MS);
    expect(readFileSync(file, 'utf8')).to.equal(before);
    await looked(2 * DAY_MS);
    expect(readFileSync(file, 'utf8')).not.to.equal(before);
    expect(renewed).to.equal(1);
    await looked(12 * HOUR_MS);
    expect(renewed).to.equal(1);
  });

  it('shows the new one to who connects, and keeps who is connected', async () => {
    const made = await ensureCertificates(request());
    const ca = readFileSync(made.caFile);
    const contexts = new TlsContexts({
      entries: made.certificates.map((certificate) => ({ ...certificate, domains: [certificate.domain] })),
      minVersion: OPTIONS.tls.entries.min_version.default,
      ciphers: OPTIONS.tls.entries.ciphers.default,
      clock,
      log: silentLog,
    });
    whenRenewed = () => void contexts.reload();
    clock.advance(366 * DAY_MS);
    startRenewal();
    const listening = (server = createServer((socket) => {
      const secured = new TLSSocket(socket, {
        isServer: true,
        secureContext: contexts.contextFor(),
        SNICallback: contexts.sniCallback,
      });
      secured.on('error', () => undefined).pipe(secured);
    }));
    listening.listen(0, '127.0.0.1');
    await once(listening, 'listening');
    const login = async () => {
      const { port } = listening.address() as AddressInfo;
      const socket = connect({ port, host: '127.0.0.1', servername: 'localhost', ca });
      await once(socket, 'secureConnect');
      return socket;
    };
    const early = await login();
    await looked(3 * DAY_MS);
    const late = await login();
    expect(late.getPeerX509Certificate()?.fingerprint256).not.to.equal(early.getPeerX509Certificate()?.fingerprint256);
    early.write('still here');
    expect(String((await once(early, 'data'))[0])).to.equal('still here');
    early.destroy();
    late.destroy();
  });

  it('says so and tries again in an hour when it cannot', async () => {
    const { certificates } = await ensureCertificates(request());
    const { certificateFile } = certificates[0] ?? { certificateFile: '' };
    clock.advance(370 * DAY_MS);
    rmSync(certificateFile);
    mkdirSync(certificateFile);
    startRenewal();
    await looked(12 * HOUR_MS);
    expect(errors).to.have.length(1);
    rmdirSync(certificateFile);
    await looked(HOUR_MS);
    expect(errors).to.have.length(1);
    expect(readFileSync(certificateFile, 'utf8')).to.include('BEGIN CERTIFICATE');
  });

  it('looks no more once it is closed', async () => {
    await ensureCertificates(request());
    startRenewal();
    renewal.close();
    expect(clock.scheduled).to.equal(0);
    rmSync(directory, { recursive: true });
  });
});
