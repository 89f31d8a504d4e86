import { expect } from 'chai';
import { loadConfig } from '../../../config/load.ts';
import type { Config } from '../../../config/options.ts';
import { ArchiveSweep, limitsOf } from '../../../server/services/archive-sweep.ts';
import { MemoryStore } from '../../../storage/backends/memory.ts';
import type { LogEntry } from '../../../storage/message-log.ts';
import { storageOver, type Storage } from '../../../storage/storage.ts';
import type { Clock } from '../../../server/clock.ts';
import { silentLog } from '../../support/silent-log.ts';

const JULIET = 'juliet@example.com';
const ROMEO = 'romeo@example.net';
const DAY_US = 24 * 3600 * 1_000_000;
const NOW_MS = 1_700_000_000_000;

/** It is always the same time, and nothing has to be waited for. */
const CLOCK: Clock = {
  now: () => NOW_MS,
  monotonic: () => 0,
  schedule(_delayMs, task) {
    setImmediate(task);
    return () => undefined;
  },
};

describe('the retention of archives', () => {
  let storage: Storage;

  beforeEach(() => {
    storage = storageOver(new MemoryStore());
  });

  function config(environment: Record<string, string>): Config {
    return loadConfig({
      environment: { POSTHORN_DOMAINS: 'example.com,example.net', ...environment },
      workingDirectory: '/',
    });
  }

  /** One message a day, the last one now. */
  async function fill(owner: string, days: number, change: Partial<LogEntry> = {}): Promise<void> {
    await storage.accounts.create(owner, { createdAt: 0, disabled: false, credentials: {} });
    const entries = Array.from({ length: days }, (_, day): LogEntry => ({
      position: NOW_MS * 1000 - (days - 1 - day) * DAY_US,
      flags: { archived: true, pending: false, sent: true },
      peer: 'nurse@example.com',
      sequence: day + 1,
      stanza: 'x'.repeat(100),
      ...change,
    }));
    await storage.commit.write(entries.flatMap((entry) => storage.log.appendWrites(owner, entry)));
  }

  const sweep = (settings: Record<string, string>): Promise<void> =>
    new ArchiveSweep({ config: config(settings), storage, clock: CLOCK, log: silentLog }).sweep();

  async function numbers(owner: string): Promise<(number | undefined)[]> {
    return (await storage.log.page(owner, { limit: 2000 })).map(({ sequence }) => sequence);
  }

  it('removes what is too old, the oldest first, from both indexes, and says so', async () => {
    await fill(JULIET, 10);
    await sweep({ POSTHORN_ARCHIVE_MAX_AGE_DAYS: '3' });
    expect(await numbers(JULIET)).to.deep.equal([7, 8, 9, 10]);
    const contact = { bare: 'nurse@example.com', resource: '' };
    const page = await storage.archive.page(JULIET, { contact, limit: 100, maxBytes: Infinity });
    expect(page.entries).to.have.lengthOf(4);
    expect(await storage.retention.usage(JULIET)).to.include({ count: 4, bytes: 400 });
    expect(await storage.retention.removals(JULIET)).to.deep.equal([
      {
        from: NOW_MS * 1000 - 9 * DAY_US,
        upTo: NOW_MS * 1000 - 4 * DAY_US,
        reason: 'age',
        count: 6,
        bytes: 600,
        at: NOW_MS,
      },
    ]);
  });

  it('removes what is too much, and joins one range to the last of the same reason', async () => {
    await fill(JULIET, 10);
    await sweep({ POSTHORN_ARCHIVE_MAX_BYTES: '800' });
    await sweep({ POSTHORN_ARCHIVE_MAX_BYTES: '350' });
    expect(await numbers(JULIET)).to.deep.equal([8, 9, 10]);
    const removals = await storage.retention.removals(JULIET);
    expect(removals.map(({ reason, count, from, upTo }) => [reason, count, from, upTo])).to.deep.equal([
      ['size', 7, NOW_MS * 1000 - 9 * DAY_US, NOW_MS * 1000 - 3 * DAY_US],
    ]);
    await sweep({ POSTHORN_ARCHIVE_MAX_AGE_DAYS: '1' });
    expect((await storage.retention.removals(JULIET)).map(({ reason, count }) => [reason, count])).to.deep.equal([
      ['size', 7],
      ['age', 1],
    ]);
  });

  it('works in pieces', async () => {
    await fill(JULIET, 950);
    await sweep({ POSTHORN_ARCHIVE_MAX_AGE_DAYS: '3' });
    expect(await numbers(JULIET)).to.have.lengthOf(4);
    expect((await storage.retention.removals(JULIET)).map(({ count }) => count)).to.deep.equal([946]);
  });

  it('leaves what waits for its owner, out of the archive', async () => {
    await fill(JULIET, 5, { flags: { archived: true, pending: true, sent: false } });
    await storage.commit.write(storage.log.cursorWrites(JULIET, NOW_MS * 1000 - 3 * DAY_US));
    await sweep({ POSTHORN_ARCHIVE_MAX_AGE_DAYS: '1' });
    const entries = await storage.log.page(JULIET, { limit: 10 });
    expect(entries.map(({ sequence, flags }) => [sequence, flags.archived])).to.deep.equal([
      [3, false],
      [4, true],
      [5, true],
    ]);
    expect((await storage.log.pendingUsage(JULIET)).count).to.equal(3);
    await sweep({ POSTHORN_ARCHIVE_MAX_AGE_DAYS: '1' });
    expect(await numbers(JULIET)).to.deep.equal([3, 4, 5]);
  });

  it('keeps everything where nothing is said, and goes by account, then domain, then everybody', async () => {
    await fill(JULIET, 10);
    await fill(ROMEO, 10);
    await sweep({});
    expect(await numbers(JULIET)).to.have.lengthOf(10);
    const domains = JSON.stringify([{ domain: 'example.net', max_age_days: 2, max_bytes: 0 }]);
    const settings = { POSTHORN_ARCHIVE_MAX_AGE_DAYS: '5', POSTHORN_ARCHIVE_DOMAINS: domains };
    await sweep(settings);
    expect(await numbers(JULIET)).to.have.lengthOf(6);
    expect(await numbers(ROMEO)).to.have.lengthOf(3);
    await storage.retention.setLimits(JULIET, { maxAgeMs: undefined, maxBytes: 100 });
    expect(await limitsOf(JULIET, config(settings), storage)).to.deep.equal({
      maxAgeMs: 5 * 86_400_000,
      maxBytes: 100,
    });
    await sweep(settings);
    expect(await numbers(JULIET)).to.deep.equal([10]);
  });

  it('counts what came since it was last counted, and deletes what a crash left over', async () => {
    await fill(JULIET, 3);
    expect(await storage.retention.usage(JULIET)).to.include({ count: 3, bytes: 300 });
    const left = { flags: { archived: false, pending: true, sent: false }, peer: ROMEO, sequence: undefined };
    const position = NOW_MS * 1000 + 1;
    await storage.commit.write([
      ...storage.log.appendWrites(JULIET, { ...left, position, stanza: 'delivered' }),
      ...storage.log.appendWrites(JULIET, { ...left, position: position + 1, stanza: 'waiting' }),
      ...storage.log.cursorWrites(JULIET, position),
    ]);
    expect(await storage.retention.usage(JULIET)).to.include({ count: 3, bytes: 300 });
    expect((await storage.log.page(JULIET, { limit: 9 })).map(({ stanza }) => stanza).slice(3)).to.deep.equal([
      'waiting',
    ]);
  });

  it('knows the count of an archive without reading it all, once that was counted', async () => {
    expect(await storage.retention.knownCount(JULIET)).to.equal(0);
    await fill(JULIET, 450);
    expect(await storage.retention.knownCount(JULIET)).to.equal(undefined);
    await storage.retention.usage(JULIET); // behind the counting that has begun
    expect(await storage.retention.knownCount(JULIET)).to.equal(450);
    await storage.commit.write(
      storage.log.appendWrites(JULIET, {
        flags: { archived: true, pending: false, sent: true },
        peer: ROMEO,
        sequence: undefined,
        position: NOW_MS * 1000 + 1,
        stanza: 'x',
      }),
    );
    expect(await storage.retention.knownCount(JULIET)).to.equal(451);
  });

  it('deletes what waited and was not archived, once it is delivered, whoever delivered it', async () => {
    // As a session that was saved over a restart does: it moves the cursor, and does not know what is archived.
    const delivered = async (day: number): Promise<void> => {
      await storage.commit.write(storage.log.cursorWrites(JULIET, NOW_MS * 1000 - (10 - day) * DAY_US));
    };
    await fill(JULIET, 10, { flags: { archived: false, pending: true, sent: false } });
    const [fifth] = await storage.log.page(JULIET, { after: NOW_MS * 1000 - 6 * DAY_US, limit: 1 });
    const archived = { ...fifth!, flags: { archived: true, pending: true, sent: false } };
    await storage.commit.write(storage.log.appendWrites(JULIET, archived));
    await sweep({});
    expect(await numbers(JULIET)).to.deep.equal([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    await delivered(3);
    await sweep({});
    expect(await numbers(JULIET)).to.deep.equal([4, 5, 6, 7, 8, 9, 10]);
    await delivered(8);
    await sweep({});
    expect(await numbers(JULIET)).to.deep.equal([5, 9, 10]);
    await delivered(10);
    await sweep({});
    expect(await numbers(JULIET)).to.deep.equal([5]);
    expect(await storage.retention.usage(JULIET)).to.include({ count: 1, bytes: 100, waitingFrom: undefined });
  });

  it('deletes what it took from the archive while it waited, once it is delivered', async () => {
    await fill(JULIET, 6, { flags: { archived: true, pending: true, sent: false } });
    const settings = { POSTHORN_ARCHIVE_MAX_AGE_DAYS: '3' };
    await sweep(settings);
    expect(await numbers(JULIET)).to.deep.equal([1, 2, 3, 4, 5, 6]);
    await storage.commit.write(storage.log.cursorWrites(JULIET, NOW_MS * 1000));
    await sweep(settings);
    expect(await numbers(JULIET)).to.deep.equal([3, 4, 5, 6]);
  });

  it('begins again after a time, and stops when it is told to', async () => {
    await fill(JULIET, 10);
    const settings = config({ POSTHORN_ARCHIVE_MAX_AGE_DAYS: '3' });
    const tasks: (() => void)[] = [];
    const clock: Clock = {
      ...CLOCK,
      schedule: (delayMs, task) => (delayMs > 1000 ? tasks.push(task) : setImmediate(task), () => undefined),
    };
    const running = new ArchiveSweep({ config: settings, storage, clock, log: silentLog });
    running.start();
    tasks.shift()?.();
    await running.close();
    expect(await numbers(JULIET)).to.have.lengthOf(4);
    expect(tasks).to.deep.equal([]);
  });
});
