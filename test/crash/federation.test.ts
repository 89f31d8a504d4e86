import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { playFederatedLoad } from './federated-load.ts';

const MAIN = fileURLToPath(new URL('../../dist/server/main.js', import.meta.url));
const KILLS = Math.ceil(Number(process.env['POSTHORN_CRASH_KILLS'] ?? 200) / 2);
const SEED = Number(process.env['POSTHORN_CRASH_SEED'] ?? Date.now() % 1_000_000);

describe('kill -9 of one of two servers that talk to each other', function () {
  this.timeout(Math.max(120_000, KILLS * 5000));
  let directory: string;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'posthorn-crash-federation-'));
  });

  afterEach(() => rm(directory, { recursive: true, force: true }));

  it('loses, doubles and disorders nothing: what is acknowledged arrives once, or comes back', async () => {
    const report = await playFederatedLoad({ main: MAIN, directory, seed: SEED, kills: KILLS, settleMs: 30_000 });
    console.log(`      seed ${SEED}: ${JSON.stringify({ ...report, violations: report.violations.length })}`);
    expect(report.violations, `seed ${SEED}`).to.deep.equal([]);
    expect(report.acknowledged).to.be.greaterThan(report.kills);
  });
});
