import { expect } from 'chai';
import fc from 'fast-check';
import { PendingMessages } from '../../../server/routing/pending-messages.ts';
import type { LogEntry } from '../../../storage/message-log.ts';

const NONE = { count: 0, bytes: 0 };

/** A log in memory with a queue that reads it. */
function queue(): { pending: PendingMessages; log: LogEntry[]; record: (archived?: boolean) => LogEntry } {
  const log: LogEntry[] = [];
  const pending = new PendingMessages({
    page: (after, limit) => Promise.resolve(log.filter(({ position }) => position > after).slice(0, limit)),
    cursorMoved: () => undefined,
  });
  const record = (archived = false): LogEntry => {
    const position = pending.nextPosition(0);
    const flags = { archived, pending: true, sent: false };
    const entry = { position, flags, peer: 'romeo@montague.lit', sequence: position, stanza: '<message/>' };
    log.push(entry);
    return entry;
  };
  return { pending, log, record };
}

describe('pending messages', () => {
  it('keeps a message that was handed out and not confirmed', async () => {
    const { pending, record } = queue();
    const first = record();
    pending.handOut(first.position, 1);
    pending.takeBack([{ position: first.position, bytes: first.stanza.length, isReturned: false }]);
    expect((await pending.nextWaiting())?.entries).to.deep.equal([first]);
    expect(pending.cursor).to.equal(0);
  });

  it('leaves to a restored session what it holds, and passes nothing over that waits before it', async () => {
    const { pending, record, log } = queue();
    const entries = [record(), record(), record()];
    pending.load({
      cursor: 0,
      archivedCursor: 0,
      count: 3,
      bytes: 30,
      returned: NONE,
      lastPosition: entries[2]!.position,
    });
    pending.hold(entries[1]!.position, 10);
    pending.hold(entries[1]!.position, 10); // two sessions have it
    expect((await pending.nextWaiting())?.entries).to.deep.equal([entries[0], entries[2]]);
    pending.confirm(entries[1]!.position);
    expect(pending.cursor).to.equal(0);
    pending.handOutWaiting(entries[0]!.position, 10, 1);
    pending.confirm(entries[0]!.position);
    pending.handOutWaiting(entries[2]!.position, 10, 1);
    pending.confirm(entries[2]!.position);
    expect(pending.cursor).to.equal(log.at(-1)!.position);
    expect(pending.isSettled).to.equal(true);
  });

  it('does not pass a message that waits again when a later one is confirmed', () => {
    const { pending, record } = queue();
    const [first, second] = [record(), record()];
    pending.handOut(first.position, 1);
    pending.handOut(second.position, 1);
    pending.takeBack([{ position: first.position, bytes: first.stanza.length, isReturned: false }]);
    pending.confirm(second.position);
    expect(pending.cursor).to.be.lessThan(first.position);
  });

  it('does not give a session again what it still holds when another that held it ends', async () => {
    const { pending, record } = queue();
    const first = record();
    pending.handOut(first.position, 2);
    pending.takeBack([{ position: first.position, bytes: 10, isReturned: false }]);
    expect(await pending.nextWaiting()).to.equal(undefined);
    pending.takeBack([{ position: first.position, bytes: 10, isReturned: false }]);
    expect((await pending.nextWaiting())?.entries).to.deep.equal([first]);
  });

  it('clears what the archive holds, and passes over nothing else', async () => {
    const { pending, record } = queue();
    const entries = [record(), record(true), record(), record(true), record(true)];
    for (const { position, stanza } of entries) pending.addWaiting(position, stanza.length);
    await pending.clearArchived(entries[3]!.position);
    expect([pending.waitingCount, pending.cursor]).to.deep.equal([3, 0]);
    expect((await pending.nextWaiting())?.entries).to.deep.equal([entries[0], entries[2], entries[4]]);
    for (const { position } of [entries[0]!, entries[2]!, entries[4]!]) {
      pending.handOutWaiting(position, 10, 1);
      pending.confirm(position);
    }
    expect([pending.waitingCount, pending.cursor]).to.deep.equal([0, entries[4]!.position]);
  });

  it('does not clear from under a client what it has in hand, nor lose it when that client ends', async () => {
    const { pending, record } = queue();
    const [first, second] = [record(true), record()];
    pending.handOut(first.position, 1);
    pending.handOut(second.position, 1);
    await pending.clearArchived(second.position);
    expect(pending.cursor).to.equal(0);
    pending.takeBack([first, second].map(({ position }) => ({ position, bytes: 10, isReturned: false })));
    expect((await pending.nextWaiting())?.entries).to.deep.equal([second]);
  });

  it('loses nothing over any interleaving of two sessions that come, confirm, end and overflow in a flush', async () => {
    const kinds = [
      'record',
      'record archived',
      'record ahead',
      'clear',
      'send',
      'flush',
      'end of one',
      'end of other',
      'confirm',
      'save',
    ] as const;
    const action = fc.tuple(fc.constantFrom(...kinds), fc.nat({ max: 5 }));
    await fc.assert(
      fc.asyncProperty(fc.array(action, { maxLength: 80 }), async (actions) => {
        const { pending, log, record } = queue();
        const held: { one: number[]; other: number[] } = { one: [], other: [] };
        const confirmed = new Set<number>();
        /** What some client has from the archive, or is about to read there. */
        const fromArchive = new Set<number>();
        const end = (who: 'one' | 'other'): void => {
          pending.takeBack(held[who].splice(0).map((position) => ({ position, bytes: 10, isReturned: false })));
        };
        // Hands out like a flush; after `overflowAt` messages the session that takes them ends in the middle of a page.
        const flush = async (overflowAt: number): Promise<void> => {
          let count = 0;
          for (;;) {
            const page = await pending.nextWaiting();
            if (page === undefined) return;
            for (const { position, stanza } of page.entries) {
              if (!pending.isCurrent(page)) break;
              expect(fromArchive.has(position), 'a message came from archive and queue').to.equal(false);
              expect(confirmed.has(position), 'a confirmed message came again').to.equal(false);
              expect(held.one.concat(held.other), 'a held message came again').not.to.include(position);
              pending.handOutWaiting(position, stanza.length, 1);
              held.one.push(position);
              if (++count === overflowAt) end('one');
            }
          }
        };
        const confirm = (position: number): void => {
          pending.confirm(position);
          confirmed.add(position);
          for (const who of ['one', 'other'] as const) held[who] = held[who].filter((other) => other !== position);
        };
        for (const [kind, number] of actions) {
          if (kind === 'record' || kind === 'record archived') {
            const entry = record(kind === 'record archived');
            if (pending.waitingCount > 0 || number === 0) pending.addWaiting(entry.position, entry.stanza.length);
            else {
              pending.handOut(entry.position, number % 2 === 0 ? 1 : 2);
              held.one.push(entry.position);
              if (number % 2 === 1) held.other.push(entry.position);
            }
          } else if (kind === 'record ahead') {
            if (pending.waitingCount === 0) continue;
            const { position } = record();
            pending.handOutAhead(position);
            pending.deleteWhenDone(position);
            held.other.push(position);
          } else if (kind === 'save') {
            const { cursor, archivedCursor, done } = pending;
            for (const position of done) {
              expect(confirmed.has(position), 'what nobody has is deleted').to.equal(true);
              log.splice(
                log.findIndex((entry) => entry.position === position),
                1,
              );
            }
            pending.cursorSaved({ cursor, archivedCursor }, done);
            expect(pending.isSaved).to.equal(true);
          } else if (kind === 'send') {
            const entry = { ...record(), flags: { archived: true, pending: false, sent: true } };
            log.splice(-1, 1, entry);
            pending.passOver(entry.position);
          } else if (kind === 'clear') {
            // What a client is shown of the archive is everything up to some message.
            const upTo = log.at(-1 - number)?.position ?? 0;
            await pending.clearArchived(upTo);
            for (const { position, flags } of log) if (flags.archived && position <= upTo) fromArchive.add(position);
          } else if (kind === 'flush') await flush(number);
          else if (kind === 'end of one') end('one');
          else if (kind === 'end of other') end('other');
          else {
            const all = [...held.one, ...held.other];
            if (all.length > 0) confirm(all[number % all.length]!);
          }
          const passed = log.filter(
            ({ position, flags }) =>
              flags.pending && position <= pending.cursor && !confirmed.has(position) && !fromArchive.has(position),
          );
          expect(passed, 'the cursor passed what nobody has').to.deep.equal([]);
        }
        await flush(0);
        for (const position of [...held.one, ...held.other]) confirm(position);
        const received = log.filter(({ flags }) => flags.pending).map(({ position }) => position);
        const had = new Set([...confirmed, ...fromArchive]);
        expect(received.filter((position) => !had.has(position))).to.deep.equal([]);
        expect(pending.isSettled).to.equal(true);
        expect(pending.cursor).to.be.at.least(received.findLast((position) => confirmed.has(position)) ?? 0);
        // And it catches up with what was sent while others waited.
        const { position } = record();
        pending.passOver(position);
        expect(pending.cursor).to.equal(position);
      }),
      { numRuns: 1000 },
    );
  });

  it('hands out ahead of what waits, and deletes it before the cursor gets there', async () => {
    const { pending, log, record } = queue();
    const [first, second] = [record(), record()];
    pending.addWaiting(first.position, 10);
    pending.handOutAhead(second.position);
    pending.deleteWhenDone(second.position);
    expect([pending.done, pending.isSaved]).to.deep.equal([[], true]);
    pending.confirm(second.position);
    expect([pending.done, pending.isSaved, pending.cursor]).to.deep.equal([[second.position], false, 0]);
    const reading = pending.nextWaiting();
    log.pop();
    pending.cursorSaved({ cursor: 0, archivedCursor: 0 }, [second.position]);
    expect((await reading)?.entries).to.deep.equal([first]);
    expect([pending.done, pending.isSaved]).to.deep.equal([[], true]);
  });

  it('knows how much of what waits has come back', async () => {
    const { pending, record } = queue();
    const entries = [record(), record(), record()];
    const returned = (): number[] => [pending.returnedCount, pending.returnedBytes];
    entries.forEach(({ position }, n) => pending.addWaiting(position, 10, n > 0));
    expect(returned()).to.deep.equal([2, 20]);
    for (const [n, { position }] of entries.entries()) {
      await pending.nextWaiting();
      pending.handOutWaiting(position, 10, 1, n > 0);
    }
    expect(returned()).to.deep.equal([0, 0]);
    pending.takeBack(entries.map(({ position }, n) => ({ position, bytes: 10, isReturned: n > 0 })));
    expect(returned()).to.deep.equal([2, 20]);
    const restarted = queue().pending;
    const lastPosition = entries[2]!.position;
    restarted.load({
      cursor: 0,
      archivedCursor: 0,
      count: 3,
      bytes: 30,
      returned: { count: 2, bytes: 20 },
      lastPosition,
    });
    restarted.hold(lastPosition, 10, true); // by a session that was saved
    expect([restarted.returnedCount, restarted.returnedBytes]).to.deep.equal([1, 10]);
  });

  it('leaves alone what is committed and has not had its turn', async () => {
    const { pending, log, record } = queue();
    const [first, second] = [record(), record()];
    pending.addWaiting(first.position, first.stanza.length);
    expect((await pending.nextWaiting())?.entries).to.deep.equal([first]);
    pending.handOutWaiting(first.position, first.stanza.length, 1);
    expect(await pending.nextWaiting()).to.equal(undefined);
    pending.addWaiting(second.position, second.stanza.length);
    expect((await pending.nextWaiting())?.entries).to.deep.equal([second]);
    pending.handOutWaiting(second.position, second.stanza.length, 1);
    expect([pending.waitingCount, log.length]).to.deep.equal([0, 2]);
  });

  it('reads a page again when a session ended while it was read', async () => {
    const { pending, log, record } = queue();
    const [first, second] = [record(), record()];
    pending.handOut(first.position, 1);
    pending.addWaiting(second.position, second.stanza.length);
    const reading = pending.nextWaiting();
    pending.takeBack([{ position: first.position, bytes: 10, isReturned: false }]);
    expect((await reading)?.entries).to.deep.equal(log);
  });
});
