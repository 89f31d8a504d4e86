import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { freePort } from '../support/free-ports.ts';
import { PEOPLE, playMixedLoad, type RunReport } from './mixed-load.ts';
import { makeAccounts, ServerProcess } from './server-process.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const KILLS = Number(process.env['POSTHORN_CRASH_KILLS'] ?? 200);
const SEED = Number(process.env['POSTHORN_CRASH_SEED'] ?? Date.now() % 1_000_000);

/** Plays against the built program below `root`, half of the kills with each durability. */
async function play(
  root: string,
  durability: 'sync' | 'process',
  seed: number,
  kills: number,
  settleMs = 60_000,
): Promise<RunReport> {
  const directory = await mkdtemp(join(tmpdir(), 'posthorn-crash-'));
  const port = await freePort();
  const server = new ServerProcess({ main: join(root, 'dist/server/main.js'), directory, port, durability });
  try {
    await makeAccounts(directory, PEOPLE);
    const report = await playMixedLoad(server, { directory, port, seed, kills, settleMs });
    console.log(
      `      seed ${seed}, ${durability}: ${JSON.stringify({ ...report, violations: report.violations.length })}`,
    );
    return report;
  } finally {
    await server.end();
    await rm(directory, { recursive: true, force: true });
  }
}

describe('kill -9 at random moments under a mixed load', function () {
  this.timeout(Math.max(240_000, KILLS * 5000));

  for (const [index, durability] of (['process', 'sync'] as const).entries()) {
    it(`loses, doubles, disorders and leaves out nothing (${durability})`, async () => {
      const report = await play(ROOT, durability, SEED + index, Math.ceil(KILLS / 2));
      expect(report.violations, `seed ${SEED + index}`).to.deep.equal([]);
      expect(report.acknowledged).to.be.greaterThan(report.kills);
    });
  }

  describe('on a disk that takes 50 ms for a batch', () => {
    let copy: string;

    /** Changes one place of the built copy. */
    async function change(file: string, place: string, instead: string): Promise<void> {
      const path = join(copy, 'dist', file);
      const source = await readFile(path, 'utf8');
      const changed = source.replace(place, instead);
      expect(changed, `the place to change in ${file} is there`).to.not.equal(source);
      await writeFile(path, changed);
    }

    before(async () => {
      copy = await mkdtemp(join(tmpdir(), 'posthorn-mutant-'));
      await cp(join(ROOT, 'dist'), join(copy, 'dist'), { recursive: true });
      await cp(join(ROOT, 'package.json'), join(copy, 'package.json'));
      await symlink(join(ROOT, 'node_modules'), join(copy, 'node_modules'));
      // A kill must find batches on their way, or the mutant is let off on a fast disk.
      const write = 'await this.#store.write(batch.writes);';
      await change('storage/group-commit.js', write, `await new Promise((go) => setTimeout(go, 50)); ${write}`);
    });

    after(() => rm(copy, { recursive: true, force: true }));

    it('loses nothing as it is', async () => {
      expect((await play(copy, 'sync', SEED + 2, 5)).violations, `seed ${SEED + 2}`).to.deep.equal([]);
    });

    it('is found out if it acknowledges before the commit', async () => {
      await change('server/routing/receipt.js', 'this.isBatched = true;', 'this.isBatched = true; this.settle();');
      let violations: readonly string[] = [];
      for (let attempt = 0; attempt < 3 && violations.length === 0; attempt++) {
        ({ violations } = await play(copy, 'sync', SEED + 3 + attempt, 10, 5000));
      }
      expect(violations.filter((violation) => violation.startsWith('lost:'))).to.not.be.empty;
    });
  });
});
