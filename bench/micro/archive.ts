/*
 * What the archive costs: `npx tsx bench/micro/archive.ts [messages]`.
 *
 * First the time of a page of 50 messages from the beginning, the middle and the end of archives of growing size, and of a
 * contact who wrote three of the messages: none of it may depend on the size. Then what history adds to a message from
 * one session to another: stamp, both logs, indexes and commit, in the routing core over LevelDB, without sockets.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '../../config/load.ts';
import { createCore, type Core } from '../../server/core.ts';
import { systemClock } from '../../server/clock.ts';
import { MODULES } from '../../server/module-list.ts';
import { Session, type SessionStream } from '../../server/routing/session.ts';
import { element } from '../../stanzas/element.ts';
import { Jid } from '../../stanzas/jid.ts';
import { Stanza } from '../../stanzas/stanza.ts';
import type { ArchivePageOptions } from '../../storage/message-archive.ts';
import { openStorage, type Storage } from '../../storage/storage.ts';

const OWNER = 'juliet@capulet.example';
const RARE = 'friar@verona.example';
const PAGE = { limit: 50, maxBytes: 1024 * 1024 };
const START = 1_700_000_000_000_000;
const STANZA = `<message xmlns='jabber:client' type='chat'><body>${'x'.repeat(250)}</body></message>`;
const FLAGS = { archived: true, pending: false, sent: false };
const REPEATS = 200;

async function withStorage(durability: 'sync' | 'process', use: (storage: Storage) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'posthorn-bench-'));
  const storage = await openStorage({ backend: 'level', directory: join(directory, 'store'), durability });
  await use(storage);
  await storage.close();
  await rm(directory, { recursive: true });
}

async function fill(storage: Storage, from: number, to: number): Promise<void> {
  for (let n = from; n < to;) {
    const writes = [];
    for (const end = Math.min(to, n + 200); n < end; n++) {
      const peer = n % (to >> 1) === 7 ? RARE : `citizen${n % 100}@verona.example`;
      writes.push(
        ...storage.log.appendWrites(OWNER, {
          position: START + n,
          flags: FLAGS,
          peer,
          sequence: n + 1,
          stanza: STANZA,
        }),
      );
    }
    await storage.commit.write(writes);
  }
}

/** Milliseconds of a page, the median of many. */
async function time(storage: Storage, options: Omit<ArchivePageOptions, 'limit' | 'maxBytes'>): Promise<string> {
  const times: number[] = [];
  for (let repeat = 0; repeat < REPEATS; repeat++) {
    const start = performance.now();
    await storage.archive.page(OWNER, { ...PAGE, ...options });
    times.push(performance.now() - start);
  }
  times.sort((one, other) => one - other);
  return (times[REPEATS >> 1] ?? NaN).toFixed(2).padStart(10);
}

async function measurePages(most: number): Promise<void> {
  console.log('a page of 50, ms     first    middle      last  a contact of 100      a rare one');
  await withStorage('process', async (storage) => {
    let filled = 0;
    for (const size of [most / 100, most / 10, most]) {
      await fill(storage, filled, size);
      filled = size;
      const contact = { bare: 'citizen42@verona.example', resource: '' };
      const row = [
        await time(storage, {}),
        await time(storage, { after: START + (size >> 1) }),
        await time(storage, { reverse: true }),
        (await time(storage, { contact, reverse: true })).padStart(18),
        (await time(storage, { contact: { bare: RARE, resource: '' } })).padStart(16),
      ];
      console.log(String(size).padEnd(16) + row.join(''));
    }
  });
}

const SINK: SessionStream = {
  remoteAddress: '192.0.2.1',
  transport: 'none',
  isSecure: true,
  bufferedBytes: 0,
  writeStanza: (stanza) => void stanza.toBytes(),
  closeWithError: (error) => {
    throw error;
  },
};

const PAIRS = 50;
const IN_FLIGHT = 8;

async function bind(core: Core, full: string): Promise<Session> {
  const jid = Jid.parse(full);
  const account = core.table.account(jid.toBare());
  await account.loaded;
  const limits = { maxQueueStanzas: 100_000, maxQueueBytes: 1e9, maxUnprocessedStanzas: 100_000 };
  const session = new Session(account, jid, SINK, Date.now(), limits);
  core.table.add(session);
  session.priority = 0;
  return session;
}

/** Processor time (all threads) and wall time of a message, microseconds. */
async function measureMessages(history: 'on' | 'off', durability: 'sync' | 'process', messages: number): Promise<void> {
  await withStorage(durability, async (storage) => {
    const config = loadConfig({
      environment: { POSTHORN_DOMAINS: 'capulet.example', POSTHORN_MESSAGES_HISTORY: history },
      workingDirectory: tmpdir(),
    });
    const log = { debug: noLog, info: noLog, warn: noLog, error: noLog };
    const secrets = { randomId: () => 'id', archiveIdKey: new Uint8Array(16) };
    const core = createCore({ config, storage, clock: systemClock, log, modules: MODULES, ...secrets });
    const pairs: (readonly [Session, Session])[] = [];
    for (let pair = 0; pair < PAIRS; pair++) {
      const names = [`j${pair}@capulet.example`, `r${pair}@capulet.example`] as const;
      for (const name of names) await storage.accounts.create(name, { createdAt: 0, disabled: false, credentials: {} });
      pairs.push([await bind(core, `${names[0]}/a`), await bind(core, `${names[1]}/b`)]);
    }
    let next = 0;
    const send = (from: Session, to: Session): Promise<void> =>
      new Promise((resolve) => {
        next++;
        const body = element('body', 'jabber:client', {}, `${next}${'x'.repeat(250)}`);
        const id = element('origin-id', 'urn:xmpp:sid:0', { id: `o${next}` });
        const header = { from: from.jid, to: to.jid.toBare(), id: `o${next}`, type: 'chat' };
        core.router.send(from, Stanza.create('message', header, [body, id]), from.inbound.begin());
        from.inbound.whenReached(() => {
          to.flushed(to.flushMark());
          resolve();
        });
      });
    const run = async (count: number): Promise<void> => {
      const until = next + count;
      const sender = async ([from, to]: readonly [Session, Session]): Promise<void> => {
        while (next < until) await send(from, to);
      };
      await Promise.all(pairs.flatMap((pair) => Array.from({ length: IN_FLIGHT }, () => sender(pair))));
    };
    await run(5000); // warms up
    const cpu = process.cpuUsage();
    const start = performance.now();
    await run(messages);
    const wall = ((performance.now() - start) * 1000) / messages;
    const { user, system } = process.cpuUsage(cpu);
    const numbers = [wall, (user + system) / messages].map((value) => value.toFixed(1).padStart(10));
    console.log(`${history.padEnd(8)}${durability.padEnd(10)}${numbers.join('')}`);
    await core.table.saveCursors();
  });
}

function noLog(): void {
  // Nothing is said while it is measured.
}

const most = Number(process.argv[2] ?? 100_000);
await measurePages(most);
console.log('\nhistory durability  us/msg  cpu us/msg');
for (const durability of ['process', 'sync'] as const) {
  for (const history of ['off', 'on'] as const) await measureMessages(history, durability, most / 2);
}
process.exit(0); // timers of the core still run
