/*
 * The process of full-disk.test.ts. It runs under a limit of the size of files, which fails a write in the middle as a
 * full disk does, lets the limit be raised, and prints what it saw as JSON. Argument: directory.
 */
import { execFileSync } from 'node:child_process';
import { openLevelStore } from '../../../storage/backends/level.ts';
import { StoreError } from '../../../storage/ordered-store.ts';

const [directory = ''] = process.argv.slice(2);
const store = await openLevelStore({ directory, durability: 'sync' });
const value = new Uint8Array(10_000).fill(120);
const stored: string[] = [];
let refused: string | undefined;

async function put(name: string): Promise<string | undefined> {
  try {
    await store.write([{ type: 'put', key: Buffer.from(name), value }]);
    stored.push(name);
    return undefined;
  } catch (error) {
    return error instanceof StoreError ? error.code : 'not a StoreError';
  }
}

async function names(): Promise<string[]> {
  const entries = await store.page({ from: Buffer.from('a'), to: Buffer.from('z') }, 1000);
  return entries.map(([key]) => Buffer.from(key).toString());
}

for (let number = 100; refused === undefined && number < 200; number++) refused = await put(`key ${number}`);
const refusedAgain = await put('key again');
const readWhileFull = await names();
const storedWhileFull = [...stored];
execFileSync('prlimit', ['--pid', String(process.pid), '--fsize=unlimited:unlimited']);
const refusedWithRoom = await put('key with room');
const readAfter = await names();
await store.close();
console.log(
  JSON.stringify({ refused, refusedAgain, storedWhileFull, readWhileFull, refusedWithRoom, stored, readAfter }),
);
