import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { openStorage } from '../../storage/storage.ts';
import type { Storage } from '../../storage/storage.ts';
import { temporaryDirectory } from './temporary-directory.ts';

const WRITER = fileURLToPath(new URL('crash-writer.ts', import.meta.url));

describe('kill -9 in the middle of writing', () => {
  for (const durability of ['process', 'sync'] as const) {
    it(`loses nothing that was acknowledged, and leaves no gap (${durability})`, async () => {
      const directory = await temporaryDirectory();
      const acknowledged = await killAfter(1000, [directory.path, durability]);
      expect(acknowledged.length).to.be.at.least(1000);
      expect(acknowledged).to.deep.equal(Array.from({ length: acknowledged.length }, (_, index) => index + 1));

      const storage = await openStorage({ backend: 'level', directory: directory.path, durability });
      const stored = await sequencesOf(storage);
      // Perhaps a batch more than was acknowledged, and never one less or half of one.
      expect(stored.length).to.be.at.least(acknowledged.length);
      expect(stored).to.deep.equal(Array.from({ length: stored.length }, (_, index) => index + 1));
      const last = await storage.sequences.load('romeo@montague.example juliet@capulet.example');
      expect(last).to.equal(stored.length);
      await storage.close();
      await directory.remove();
    });
  }
});

/** Runs the writer, kills it when it has acknowledged `count` messages and returns all it had acknowledged by then. */
async function killAfter(count: number, writerArguments: readonly string[]): Promise<number[]> {
  const writer = spawn(process.execPath, ['--import', 'tsx', WRITER, ...writerArguments], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const closed = once(writer, 'close');
  let printed = '';
  writer.stdout.setEncoding('utf8').on('data', (text: string) => {
    printed += text;
    if (!writer.killed && printed.split('\n').length > count) writer.kill('SIGKILL');
  });
  const [code, signal] = (await closed) as [number | null, string | null];
  expect(signal, `exit code ${code ?? 'none'}`).to.equal('SIGKILL');
  // A line without its end was cut by the kill.
  return printed.split('\n').slice(0, -1).map(Number);
}

async function sequencesOf(storage: Storage): Promise<(number | undefined)[]> {
  const sequences: (number | undefined)[] = [];
  for (let after = 0; ;) {
    const page = await storage.log.page('juliet@capulet.example', { after, limit: 500 });
    sequences.push(...page.map(({ sequence }) => sequence));
    const last = page.at(-1);
    if (last === undefined) return sequences;
    after = last.position;
  }
}
