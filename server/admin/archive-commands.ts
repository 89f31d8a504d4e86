import { InvalidArgumentError, type Command as CommandLine } from 'commander';

import type { Command } from './command.ts';
import { archiveErase, archiveExport, archiveLimit, archiveShow, ExportReceipt } from './commands/archives.ts';

type Run = <Arguments, Result>(command: Command<Arguments, Result>, input: Arguments) => Promise<void>;
type Ask = <Arguments, Result>(command: Command<Arguments, Result>, input: Arguments) => Promise<Result>;

/** Adds `archive show`, `limit`, `erase` and `export` to the command line. */
export function addArchiveCommands(line: CommandLine, run: Run, ask: Ask): void {
  const archive = line.command('archive').description('what is archived of an account (XEP-0313)');
  archive
    .command('show')
    .argument('<jid>')
    .description(archiveShow.summary)
    .action((jid: string) => run(archiveShow, { jid }));
  archive
    .command('limit')
    .argument('<jid>')
    .option('--days <days>', 'remove what is older; 0: keep for ever', wholeNumber)
    .option('--bytes <bytes>', 'remove the oldest beyond this size; 0: any size', wholeNumber)
    .description(archiveLimit.summary)
    .action((jid: string, limits: { days?: number; bytes?: number }) => run(archiveLimit, { jid, ...limits }));
  archive
    .command('erase')
    .argument('<jid>')
    .option('--older-than-days <days>', 'only what is older', wholeNumber)
    .description(archiveErase.summary)
    .action((jid: string, chosen: { olderThanDays?: number }) => run(archiveErase, { jid, ...chosen }));
  archive
    .command('export')
    .argument('<jid>')
    .description(archiveExport.summary)
    .action((jid: string) => exportArchive(jid, ask));
}

/** Page by page, so that no archive is in memory as a whole. */
async function exportArchive(jid: string, ask: Ask): Promise<void> {
  const receipt = new ExportReceipt();
  let after: number | undefined;
  let address: string;
  do {
    const page = await ask(archiveExport, after === undefined ? { jid } : { jid, after });
    address = page.jid;
    for (const message of page.messages) {
      const text = `${JSON.stringify(message)}\n`;
      receipt.add(text);
      if (!process.stdout.write(text)) await new Promise((resolve) => process.stdout.once('drain', resolve));
    }
    after = page.next;
  } while (after !== undefined);
  process.stderr.write(`${receipt.text(address)}\n`);
}

function wholeNumber(text: string): number {
  const number = /^\d{1,15}$/.test(text) ? Number(text) : NaN;
  if (Number.isNaN(number)) throw new InvalidArgumentError('It is a whole number.');
  return number;
}
