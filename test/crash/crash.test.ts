import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { PEOPLE, playMixedLoad, type RunReport } from './mixed-load.ts';
import { freePort, makeAccounts, ServerProcess } from './server-process.ts';

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

  it('finds a server out that acknowledges before the commit', async () => {
    const mutant = await mkdtemp(join(tmpdir(), 'posthorn-mutant-'));
    try {
      await cp(join(ROOT, 'dist'), join(mutant, 'dist'), { recursive: true });
      await cp(join(ROOT, 'package.json'), join(mutant, 'package.json'));
      await symlink(join(ROOT, 'node_modules'), join(mutant, 'node_modules'));
      const file = join(mutant, 'dist/server/routing/receipt.js');
      const source = await readFile(file, 'utf8');
      const mutated = source.replace('this.isBatched = true;', 'this.isBatched = true; this.settle();');
      expect(mutated, 'the place to change is there').to.not.equal(source);
      await writeFile(file, mutated);
      let violations: readonly string[] = [];
      for (let attempt = 0; attempt < 5 && violations.length === 0; attempt++) {
        ({ violations } = await play(mutant, 'sync', SEED + 2 + attempt, 10, 5000));
      }
      expect(violations.filter((violation) => violation.startsWith('lost:'))).to.not.be.empty;
    } finally {
      await rm(mutant, { recursive: true, force: true });
    }
  });
});
