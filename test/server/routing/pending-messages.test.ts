import { expect } from 'chai';
import fc from 'fast-check';
import { PendingMessages } from '../../../server/routing/pending-messages.ts';
import type { LogEntry } from '../../../storage/message-log.ts';

/** A log in memory with a queue that reads it. */
function queue(): { pending: PendingMessages; log: LogEntry[]; record: () => LogEntry } {
  const log: LogEntry[] = [];
  const pending = new PendingMessages({
    page: (after, limit) => Promise.resolve(log.filter(({ position }) => position > after).slice(0, limit)),
    cursorMoved: () => undefined,
  });
  const record = (): LogEntry => {
    const position = pending.nextPosition(0);
    const flags = { archived: false, pending: true, sent: false };
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
    pending.handOut(first.position);
    pending.takeBack([first.position], first.stanza.length);
    expect(await pending.nextWaiting()).to.deep.equal([first]);
    expect(pending.cursor).to.equal(0);
  });

  it('does not pass a message that waits again when a later one is confirmed', () => {
    const { pending, record } = queue();
    const [first, second] = [record(), record()];
    pending.handOut(first.position);
    pending.handOut(second.position);
    pending.takeBack([first.position], first.stanza.length);
    pending.confirm(second.position);
    expect(pending.cursor).to.be.lessThan(first.position);
  });

  it('delivers everything once confirmed, in order, over any interleaving of losses and confirmations', async () => {
    const step = fc.constantFrom('record', 'flush', 'confirm', 'lose');
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const { pending, log, record } = queue();
        const held: number[] = [];
        const confirmed = new Set<number>();
        const flush = async (): Promise<void> => {
          for (;;) {
            const entries = await pending.nextWaiting();
            if (entries.length === 0) return;
            for (const { position, stanza } of entries) {
              expect(confirmed.has(position), 'a confirmed message came again').to.equal(false);
              pending.handOutWaiting(position, stanza.length);
              held.push(position);
            }
            expect(held).to.deep.equal([...held].sort((one, other) => one - other));
          }
        };
        const confirm = (position: number): void => {
          pending.confirm(position);
          confirmed.add(position);
        };
        for (const action of steps) {
          if (action === 'record') pending.addWaiting(record().stanza.length);
          else if (action === 'flush') await flush();
          else if (action === 'confirm' && held.length > 0) confirm(held.shift()!);
          else if (action === 'lose') pending.takeBack(held.splice(0), 10);
          expect(log.filter(({ position }) => position <= pending.cursor && !confirmed.has(position))).to.deep.equal(
            [],
          );
        }
        await flush();
        for (const position of held.splice(0)) confirm(position);
        expect([...confirmed].sort((one, other) => one - other)).to.deep.equal(log.map(({ position }) => position));
        expect(pending.isSettled).to.equal(true);
        expect(pending.cursor).to.equal(log.at(-1)?.position ?? 0);
      }),
    );
  });
});
