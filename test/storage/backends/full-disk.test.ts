import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { openLevelStore } from '../../../storage/backends/level.ts';
import { temporaryDirectory } from '../temporary-directory.ts';

const WRITER = fileURLToPath(new URL('limited-writer.ts', import.meta.url));
const FILE_LIMIT_BYTES = 300_000;

interface Seen {
  readonly refused?: string;
  readonly refusedAgain?: string;
  readonly storedWhileFull: string[];
  readonly readWhileFull: string[];
  readonly refusedWithRoom?: string;
  readonly stored: string[];
  readonly readAfter: string[];
}

describe('LevelDB where the system cuts a write short', () => {
  // prlimit is part of util-linux.
  it('refuses, goes on reading, and writes again without a restart when there is room', async () => {
    const directory = await temporaryDirectory();
    const limited = [`--fsize=${FILE_LIMIT_BYTES}:unlimited`, process.execPath, '--import', 'tsx', WRITER];
    const { stdout } = await promisify(execFile)('prlimit', [...limited, directory.path], { env: withoutCache() });
    const seen = JSON.parse(stdout) as Seen;
    expect(seen.refused).to.equal('failed');
    expect(seen.refusedAgain).to.equal('failed');
    expect(seen.storedWhileFull.length).to.be.greaterThan(20);
    expect(seen.readWhileFull).to.deep.equal(seen.storedWhileFull);
    expect(seen.refusedWithRoom).to.equal(undefined);
    expect(seen.stored).to.deep.equal([...seen.storedWhileFull, 'key with room']);
    expect(seen.readAfter).to.deep.equal(seen.stored);

    const store = await openLevelStore({ directory: directory.path, durability: 'process' });
    const entries = await store.page({ from: Buffer.from('a'), to: Buffer.from('z') }, 1000);
    expect(entries.map(([key]) => Buffer.from(key).toString())).to.deep.equal(seen.stored);
    await store.close();
    await directory.remove();
  });
});

/** tsx would keep compiled files, some of which are larger than the limit. */
function withoutCache(): NodeJS.ProcessEnv {
  return { ...process.env, TSX_DISABLE_CACHE: '1' };
}
