import { expect } from 'chai';
import { chmod, mkdir, utimes, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';

import { controlSocket } from '../../../../server/admin/doctor/control-socket-file.ts';
import { dataDirectory } from '../../../../server/admin/doctor/data-directory.ts';
import { descriptors } from '../../../../server/admin/doctor/descriptors.ts';
import { disk } from '../../../../server/admin/doctor/disk.ts';
import { machineClock } from '../../../../server/admin/doctor/machine-clock.ts';
import { storeFormat } from '../../../../server/admin/doctor/store-format.ts';
import { openStorage } from '../../../../storage/storage.ts';
import { temporaryDirectory } from '../../../storage/temporary-directory.ts';
import { saysOf, type Scene } from './scene.ts';

describe('server/admin/doctor: files', () => {
  let directory: string;
  let remove: () => Promise<void>;

  beforeEach(async () => ({ path: directory, remove } = await temporaryDirectory()));
  afterEach(() => remove());

  const data = (...names: string[]): string => join(directory, 'data', ...names);
  const makeData = async (mode = 0o700): Promise<void> => {
    await mkdir(data());
    await chmod(data(), mode);
  };

  describe('the data directory', () => {
    const says = async (more: Partial<Scene> = {}): Promise<string[]> =>
      // Where temporary files are kept in memory, that is said as well.
      (await saysOf(dataDirectory, { directory, ...more })).filter((line) => !line.includes('tmpfs'));

    it('need not be there', async () => {
      expect(await says()).to.deep.equal(['ok data: is made at the first start']);
    });

    for (const [mode, line] of [
      [0o777, 'error data: others can write to it'],
      [0o730, 'error data: others can write to it'],
      [0o755, 'warning data: others can look into it'],
      [0o701, 'warning data: others can look into it'],
    ] as const) {
      it(`is open to others with mode ${mode.toString(8)}`, async () => {
        await makeData(mode);
        expect(await says()).to.deep.equal([line]);
      });
    }

    it('must be a directory', async () => {
      await writeFile(data(), '');
      expect(await says()).to.deep.equal(['error data: is no directory']);
    });

    it('must belong to the user the server runs as', async () => {
      await makeData();
      const own = process.getuid?.() ?? 0;
      const wrong = own + 1;
      expect(await says({ running: { userId: wrong } })).to.deep.equal([
        `error data: belongs to user ${own}, the server runs as user ${wrong}`,
      ]);
      expect(await says({ userId: wrong })).to.deep.equal([
        `warning data: belongs to user ${own}, this command runs as user ${wrong}`,
      ]);
    });
  });

  describe('the control socket', () => {
    let server: Server | undefined;

    beforeEach(() => (server = undefined));
    afterEach(() => server?.close());

    const listen = async (mode: number): Promise<void> => {
      await makeData();
      server = createServer();
      await new Promise<void>((resolve) => server?.listen(data('control.sock'), resolve));
      await chmod(data('control.sock'), mode);
    };
    const says = (more: Partial<Scene> = {}): Promise<string[]> => saysOf(controlSocket, { directory, ...more });

    it('is made when the server starts', async () => {
      expect(await says()).to.deep.equal(['ok data/control.sock: is made when the server starts']);
    });

    it('is to be open to its owner alone', async () => {
      await listen(0o600);
      expect(await says({ running: {} })).to.deep.equal([
        'ok data/control.sock: answers, and is open to its owner alone',
      ]);
      await chmod(data('control.sock'), 0o660);
      expect((await says({ running: {} }))[0]).to.match(/^error data\/control.sock: is open to other users/);
    });

    it('may be left over', async () => {
      await listen(0o600);
      expect((await says())[0]).to.match(/^note data\/control.sock: was left behind/);
    });

    it('cannot be where another file is, or at a path too long for the system', async () => {
      await makeData();
      await writeFile(data('control.sock'), '', { mode: 0o600 });
      expect(await says()).to.deep.equal(['error data/control.sock: is no socket']);
      const environment = { POSTHORN_ADMIN_CONTROL_SOCKET: `/tmp/${'x'.repeat(103)}` };
      expect((await says({ environment }))[0]).to.include('the path is longer than 107 bytes');
      expect((await says({ environment: { POSTHORN_ADMIN_CONTROL_SOCKET: `/tmp/${'x'.repeat(102)}` } }))[0]).to.match(
        /^ok/,
      );
    });
  });

  describe('the store', () => {
    const says = (more: Partial<Scene> = {}): Promise<string[]> => saysOf(storeFormat, { directory, ...more });
    const open = () => openStorage({ backend: 'level', directory: data('store'), durability: 'process' });

    it('is examined where there is one, and not made where there is none', async () => {
      expect(await says()).to.deep.equal(['ok data/store: is made at the first start']);
      await (await open()).close();
      expect((await says())[0]).to.match(/^ok data\/store: has layout \d+$/);
    });

    it('may be held by another process', async () => {
      const storage = await open();
      try {
        expect((await says())[0]).to.match(/^error data\/store: .* is in use by another process$/);
        expect(await says({ running: {} })).to.deep.equal(['ok data/store: is open in the server']);
      } finally {
        await storage.close();
      }
    });

    it('is not opened by a user it does not belong to', async () => {
      await (await open()).close();
      expect((await says({ userId: (process.getuid?.() ?? 0) + 1 }))[0]).to.match(
        /^note data\/store: .* was not opened/,
      );
    });

    it('may be damaged', async () => {
      await (await open()).close();
      await writeFile(data('store', 'CURRENT'), 'no manifest');
      expect((await says())[0]).to.match(/^error data\/store: /);
    });
  });

  describe('the machine', () => {
    it('has room on the disk, also before the data directory is made', async () => {
      expect((await saysOf(disk, { directory }))[0]).to.match(/\d+ MiB are free$/);
    });

    it('lets the process open as many files as connections are configured', async () => {
      const says = (connections: number, running: Scene['running']): Promise<string[]> =>
        saysOf(descriptors, {
          directory,
          environment: { POSTHORN_C2S_MAX_CONNECTIONS: String(connections) },
          ...(running !== undefined && { running }),
        });
      expect((await says(1, undefined))[0]).to.match(/^ok this user: may open (\d+|unlimited) files$/);
      if ((await says(1_000_000, undefined))[0]?.includes('unlimited') === true) return;
      expect((await says(1_000_000, undefined))[0]).to.match(/^note this user: .* 1001100 are needed/);
      expect((await says(1_000_000, { processId: process.pid }))[0]).to.match(/^warning process \d+: may open/);
    });

    it('has a clock that can be right', async () => {
      const says = (nowMs: number): Promise<string[]> => saysOf(machineClock, { directory, nowMs });
      const nowMs = Date.UTC(2030, 5, 1);
      expect(await says(nowMs)).to.deep.equal(['ok clock: shows 2030-06-01T00:00:00.000Z']);
      expect((await says(Date.UTC(1970, 0, 1)))[0]).to.match(/^error clock: .* before this version was made$/);
      await mkdir(data('store'), { recursive: true });
      await writeFile(data('store', 'LOG'), '');
      const later = nowMs / 1000 + 3600;
      await utimes(data('store', 'LOG'), later, later);
      expect((await says(nowMs))[0]).to.match(/^warning clock: .* it was set back$/);
    });
  });
});
