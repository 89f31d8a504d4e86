import { expect } from 'chai';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { CHECKS } from '../../../../server/admin/doctor/checks.ts';
import { configuration } from '../../../../server/admin/doctor/configuration.ts';
import { countOf, examine, renderFindings } from '../../../../server/admin/doctor/examination.ts';
import { ports } from '../../../../server/admin/doctor/ports.ts';
import { serverState } from '../../../../server/admin/doctor/server-state.ts';
import { posthornVersion } from '../../../../server/version.ts';
import { temporaryDirectory } from '../../../storage/temporary-directory.ts';
import { contextOf, saysOf, type Scene } from './scene.ts';

describe('server/admin/doctor: configuration', () => {
  let directory: string;
  let remove: () => Promise<void>;

  beforeEach(async () => ({ path: directory, remove } = await temporaryDirectory()));
  afterEach(() => remove());

  describe('options', () => {
    const says = (environment: Record<string, string>, running?: Scene['running']): Promise<string[]> =>
      saysOf(configuration, { directory, environment, ...(running !== undefined && { running }) });

    it('are fine by default', async () => {
      expect(await says({})).to.deep.equal(['ok configuration: no file: the defaults hold']);
    });

    for (const [environment, start] of [
      [{ POSTHORN_C2S_ALLOW_PLAINTEXT_AUTHENTICATION: 'true' }, 'error c2s.allow_plaintext_authentication: '],
      [{ POSTHORN_STORAGE_BACKEND: 'memory' }, 'warning storage.backend: '],
      [{ POSTHORN_HTTP_TLS: 'false' }, 'warning http.tls: '],
      [{ POSTHORN_OPERATIONS_ADDRESS: '0.0.0.0' }, 'warning operations.address: '],
      [{ POSTHORN_SASL_PASSWORD_WORK_RUNNING: '64' }, 'warning sasl.password_work_running: '],
    ] as const) {
      it(`are hardly meant: ${Object.keys(environment).join()}`, async () => {
        const lines = await says(environment);
        expect(lines).to.have.length(2);
        expect(lines[1]?.startsWith(start), lines[1]).to.equal(true);
      });
    }

    it('may be meant on loopback', async () => {
      const loopback = { POSTHORN_C2S_ADDRESSES: '127.0.0.1,::1', POSTHORN_HTTP_ADDRESSES: '127.0.0.1' };
      const lines = await says({
        ...loopback,
        POSTHORN_C2S_ALLOW_PLAINTEXT_AUTHENTICATION: 'true',
        POSTHORN_HTTP_TLS: 'false',
      });
      expect(lines).to.have.length(1);
    });

    it('have changed since the server started, or are those of another file', async () => {
      const file = join(directory, 'posthorn.toml');
      await writeFile(file, '');
      const startedAt = Date.now();
      const at = async (seconds: number): Promise<string[]> => {
        await utimes(file, startedAt / 1000 + seconds, startedAt / 1000 + seconds);
        return await says({}, { startedAt, configurationFile: file });
      };
      expect(await at(-60)).to.have.length(1);
      expect((await at(60))[1]).to.equal('warning posthorn.toml: has changed since the server started');
      expect((await says({}, { startedAt, configurationFile: undefined }))[1]).to.match(
        /^warning configuration: the server was/,
      );
    });
  });

  describe('ports', () => {
    let other: Server | undefined;

    beforeEach(() => (other = undefined));
    afterEach(() => other?.close());

    const listeningOnlyOn = (port: number): Record<string, string> => ({
      POSTHORN_C2S_PORT: String(port),
      POSTHORN_C2S_ADDRESSES: '127.0.0.1',
      POSTHORN_C2S_TLS_PORT: 'false',
      POSTHORN_HTTP_PORT: 'false',
      POSTHORN_OPERATIONS_PORT: 'false',
    });
    const listen = async (): Promise<number> => {
      const server = (other = createServer());
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      return (server.address() as AddressInfo).port;
    };

    it('are off, or free', async () => {
      const lines = await saysOf(ports, { directory, environment: listeningOnlyOn(0) });
      expect(lines).to.include('ok c2s.port: port of any number of 127.0.0.1 is free');
      expect(lines).to.include('ok http.port: is off');
    });

    it('are held by another program', async () => {
      const port = await listen();
      const lines = await saysOf(ports, { directory, environment: listeningOnlyOn(port) });
      expect(lines[0]).to.equal(
        `error c2s.port: cannot listen on port ${port} of 127.0.0.1: another program does (EADDRINUSE)`,
      );
    });

    it('are held by the server itself', async () => {
      const port = await listen();
      const running = { listening: [{ name: 'c2s', address: '127.0.0.1', port }] };
      const lines = await saysOf(ports, { directory, environment: listeningOnlyOn(port), running });
      expect(lines[0]).to.equal(`ok c2s.port: the server listens on port ${port} of 127.0.0.1`);
    });

    it('are those of a configuration the running server has not read', async () => {
      const running = { listening: [{ name: 'c2s', address: '127.0.0.1', port: 1 }] };
      const port = await listen();
      other?.close();
      const lines = await saysOf(ports, { directory, environment: listeningOnlyOn(port), running });
      expect(lines[0]).to.equal(`warning c2s.port: the running server does not listen on port ${port} of 127.0.0.1`);
    });

    it('need an address that the machine has', async () => {
      const environment = { ...listeningOnlyOn(0), POSTHORN_C2S_ADDRESSES: '192.0.2.1' };
      const [observation] = await ports.examine(contextOf({ directory, environment }));
      expect(observation).to.include({ severity: 'error', where: 'c2s.port' });
      expect(observation?.advice).to.equal('set c2s.addresses to addresses it has');
    });
  });

  describe('the server', () => {
    const says = (running?: Scene['running']): Promise<string[]> =>
      saysOf(serverState, {
        directory,
        ...(running !== undefined && { running: { version: posthornVersion(), ...running } }),
      });

    it('runs, or does not', async () => {
      expect((await says())[0]).to.match(/^ok server: is not running/);
      expect(await says({ processId: 7 })).to.deep.equal(['ok server: runs as process 7']);
    });

    it('is of another version, has failures of its store, and errors nothing caught', async () => {
      const faults = [{ at: 0, text: 'Error: alas' }];
      expect((await says({ version: '9.9.9', faults, storeFailure: 'the disk is full' })).slice(1)).to.deep.equal([
        `warning server: runs version 9.9.9, this command is of version ${posthornVersion()}`,
        'error server: the store refuses what is written: the disk is full',
        'warning server: an error that nothing caught at 1970-01-01T00:00:00.000Z: Error: alas',
      ]);
    });
  });

  describe('the examination', () => {
    it('goes on when a check fails', async () => {
      const failing = { name: 'weather', examine: () => Promise.reject(new Error('it rains')) };
      const findings = await examine([failing, serverState], contextOf({ directory }));
      expect(findings.map(({ check, severity }) => `${check} ${severity}`)).to.deep.equal([
        'weather error',
        'server ok',
      ]);
      expect(countOf(findings, 'error')).to.equal(1);
      expect(renderFindings(findings).split('\n')).to.deep.equal([
        'error   weather: could not be examined: it rains',
        '        -> see to what the message names',
        'ok      server: is not running: what it would find at a start is examined',
        '1 error',
      ]);
    });

    it('says that all is well', async () => {
      expect(renderFindings(await examine([serverState], contextOf({ directory })))).to.match(/\nall is well$/);
    });

    it('has advice for whatever is not fine', async () => {
      const findings = await examine(CHECKS, contextOf({ directory, running: { storeFailure: 'full' } }));
      const silent = findings.filter(({ severity, advice }) => (severity === 'ok') !== (advice === ''));
      expect(silent).to.deep.equal([]);
    });
  });
});
