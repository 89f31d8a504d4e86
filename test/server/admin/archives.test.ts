import { expect } from 'chai';
import { loadConfig } from '../../../config/load.ts';
import type { CommandContext } from '../../../server/admin/command.ts';
import { CommandError } from '../../../server/admin/exit-codes.ts';
import {
  archiveErase,
  archiveExport,
  archiveLimit,
  archiveShow,
  ExportReceipt,
} from '../../../server/admin/commands/archives.ts';
import { MemoryStore } from '../../../storage/backends/memory.ts';
import { storageOver } from '../../../storage/storage.ts';

const JULIET = 'juliet@example.com';
const NOW_MS = 1_700_000_000_000;

describe('archives from the command line', () => {
  let context: CommandContext;

  beforeEach(async () => {
    const storage = storageOver(new MemoryStore());
    const config = loadConfig({ environment: { POSTHORN_DOMAINS: 'example.com' }, workingDirectory: '/' });
    context = { config, storage, server: undefined, requestStop: undefined, now: () => NOW_MS };
    await storage.accounts.create(JULIET, { createdAt: 0, disabled: false, credentials: {} });
    for (let n = 1; n <= 250; n++) {
      await storage.commit.write(
        storage.log.appendWrites(JULIET, {
          position: (NOW_MS - 1000) * 1000 + n,
          flags: { archived: true, pending: false, sent: n % 2 === 0 },
          peer: 'romeo@example.net',
          sequence: n,
          stanza: "<message xmlns='jabber:client'><body>\u00c3\u00a9</body></message>",
        }),
      );
    }
  });

  it('show how much there is', async () => {
    const details = await archiveShow.run(context, { jid: JULIET });
    expect(details).to.deep.include({ messages: 250, firstAt: NOW_MS - 1000, removals: [] });
    expect(details.limits).to.deep.equal({ maxAgeMs: 0, maxBytes: 0 });
    expect(archiveShow.render(details)).to.include('250 messages').and.to.include('any age, any size');
  });

  it('are limited one by one', async () => {
    await archiveLimit.run(context, { jid: JULIET, days: 30, bytes: 1000 });
    expect((await archiveShow.run(context, { jid: JULIET })).limits).to.deep.equal({
      maxAgeMs: 30 * 86_400_000,
      maxBytes: 1000,
    });
    const { limits } = await archiveLimit.run(context, { jid: JULIET });
    expect(limits).to.deep.equal({ maxAgeMs: 0, maxBytes: 0 });
  });

  it('are exported page by page, as text, with a receipt over the lines', async () => {
    const lines: string[] = [];
    const receipt = new ExportReceipt();
    let after: number | undefined;
    do {
      const page = await archiveExport.run(context, after === undefined ? { jid: JULIET } : { jid: JULIET, after });
      lines.push(...page.messages.map((message) => JSON.stringify(message)));
      after = page.next;
    } while (after !== undefined);
    for (const line of lines) receipt.add(`${line}\n`);
    expect(lines).to.have.lengthOf(250);
    expect(JSON.parse(lines[1]!)).to.deep.include({
      sequence: 2,
      sent: true,
      stanza: "<message xmlns='jabber:client'><body>\u00e9</body></message>",
    });
    expect(receipt.text(JULIET)).to.match(/^juliet@example\.com: 250 messages, sha256 [0-9a-f]{64}$/);
  });

  it('are erased with a receipt, and the range stays on record', async () => {
    const none = await archiveErase.run(context, { jid: JULIET, olderThanDays: 1 });
    expect(none).to.deep.equal({ jid: JULIET, messages: 0, bytes: 0, erasedAt: NOW_MS });
    const receipt = await archiveErase.run(context, { jid: JULIET });
    expect(receipt).to.deep.include({ messages: 250, firstAt: NOW_MS - 1000, lastAt: NOW_MS - 1000, erasedAt: NOW_MS });
    expect(archiveErase.render(receipt)).to.include('250 messages');
    expect(await context.storage.log.page(JULIET, { limit: 1 })).to.deep.equal([]);
    const details = await archiveShow.run(context, { jid: JULIET });
    expect(details.messages).to.equal(0);
    expect(details.removals).to.have.lengthOf(1);
    expect(archiveShow.render(details)).to.include('removed:  250 messages').and.to.include('for erasure');
  });

  it('are of accounts that exist', async () => {
    const error = await archiveShow.run(context, { jid: 'nobody@example.com' }).catch((reason: unknown) => reason);
    expect(error).to.be.instanceOf(CommandError).with.property('code', 'not-found');
  });
});
