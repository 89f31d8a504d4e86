/*
 * What a stored message costs: `npx tsx bench/micro/storage.ts`. A record is an entry of a log and the counter of its
 * chat, as the sequencer commits them; batches are closed by hand so that their size is known. The last row lets the group
 * commit find its own size with 64 senders, each waiting for its own acknowledgement.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openStorage } from '../../storage/storage.ts';
import type { Storage } from '../../storage/storage.ts';
import type { Write } from '../../storage/ordered-store.ts';

const DURABILITIES = ['process', 'sync'] as const;
const BATCH_SIZES = [1, 50, 200];
const SENDERS = 64;
const STANZA = `<message xmlns='jabber:client' type='chat'><body>${'x'.repeat(250)}</body></message>`;
const FLAGS = { archived: false, pending: true, sent: false };

interface Measured {
  readonly wallUs: number;
  readonly cpuUs: number;
}

function recordWrites(storage: Storage, n: number): Write[] {
  const owner = `juliet${n % 100}@capulet.example`;
  const entry = { position: 1_700_000_000_000_000 + n, flags: FLAGS, peer: 'romeo@montague.example', sequence: n };
  return [
    ...storage.log.appendWrites(owner, { ...entry, stanza: STANZA }),
    ...storage.sequences.putWrites(`${owner} romeo@montague.example`, n),
  ];
}

/** Wall and processor time (all threads) per record. */
async function measure(records: number, run: () => Promise<void>): Promise<Measured> {
  const cpu = process.cpuUsage();
  const start = performance.now();
  await run();
  const wallUs = ((performance.now() - start) * 1000) / records;
  const { user, system } = process.cpuUsage(cpu);
  return { wallUs, cpuUs: (user + system) / records };
}

function inBatches(storage: Storage, records: number, size: number): Promise<Measured> {
  return measure(records, async () => {
    for (let n = 1; n <= records; n += size) {
      const writes: Write[] = [];
      for (let index = 0; index < size; index++) writes.push(...recordWrites(storage, n + index));
      await storage.commit.write(writes);
    }
  });
}

function bySenders(storage: Storage, records: number): Promise<Measured> {
  return measure(records, async () => {
    let next = 1;
    const sender = async (): Promise<void> => {
      while (next <= records) await storage.commit.write(recordWrites(storage, next++));
    };
    await Promise.all(Array.from({ length: SENDERS }, sender));
  });
}

function row(durability: string, how: string, { wallUs, cpuUs }: Measured): string {
  return `${durability.padEnd(12)}${how.padEnd(16)}${wallUs.toFixed(1).padStart(10)}${cpuUs.toFixed(1).padStart(10)}`;
}

console.log('durability  batch                 us/rec  cpu us/rec');
for (const durability of DURABILITIES) {
  const directory = await mkdtemp(join(tmpdir(), 'posthorn-bench-'));
  const storage = await openStorage({ backend: 'level', directory: join(directory, 'store'), durability });
  await inBatches(storage, 2000, 50); // warms up
  for (const size of BATCH_SIZES) {
    console.log(row(durability, String(size), await inBatches(storage, size === 1 ? 1000 : 10_000, size)));
  }
  console.log(row(durability, `${SENDERS} senders`, await bySenders(storage, 10_000)));
  await storage.close();
  await rm(directory, { recursive: true });
}
