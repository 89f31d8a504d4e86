import type { Command as CommandLine } from 'commander';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { Readable } from 'node:stream';

import type { Config } from '../../config/options.ts';
import { exportAccounts, importAccounts } from './account-transfer.ts';
import { userExport, userImport } from './commands/user-transfer.ts';
import { openExecutor } from './executor.ts';
import { CommandError, EXIT_CODES } from './exit-codes.ts';

const BAR_WIDTH = 30;

/** What the commands take from the whole command line. */
export interface LineContext {
  readonly config: () => Config;
  readonly isJson: () => boolean;
}

/** Adds `user import` and `user export`, which read and write files here and ask for the rest in pieces. */
export function addTransferCommands(user: CommandLine, { config, isJson }: LineContext): void {
  user
    .command('import')
    .argument('<file>', 'CSV, or - for standard input: jid,password with or without a header')
    .description(userImport.summary)
    .option('--dry-run', 'check every line, create nothing')
    .action((file: string, { dryRun }: { dryRun?: boolean }) =>
      runImport(file, { config: config(), dryRun: dryRun === true, isJson: isJson() }),
    );
  user
    .command('export')
    .description(userExport.summary)
    .option('--domain <domain>', 'only accounts of this domain')
    .action(async ({ domain }: { domain?: string }) => {
      // A reader that has enough, such as head(1), is no failure; the export has changed nothing.
      process.stdout.once('error', () => process.exit(EXIT_CODES.done));
      const executor = await openExecutor(config(), userExport.needs);
      try {
        for await (const part of exportAccounts(executor, { format: isJson() ? 'json' : 'csv', domain })) {
          if (!process.stdout.write(part)) await new Promise((resolve) => process.stdout.once('drain', resolve));
        }
      } finally {
        await executor.close();
      }
    });
}

async function runImport(
  file: string,
  { config, dryRun, isJson }: { config: Config; dryRun: boolean; isJson: boolean },
): Promise<void> {
  const sizeBytes = file === '-' ? undefined : await sizeOf(file);
  const source: Readable = file === '-' ? process.stdin : createReadStream(file);
  let readBytes = 0;
  source.on('data', (chunk: Buffer) => (readBytes += chunk.length));
  source.pause(); // it flows when it is iterated, not because it is counted
  const isShown = process.stderr.isTTY;
  const progress = (accounts: number): void => {
    if (isShown) process.stderr.write(`\r${barText(accounts, readBytes, sizeBytes)}`);
  };
  const executor = await openExecutor(config, userImport.needs);
  try {
    const report = await importAccounts(decoded(source), { executor, config, dryRun, progress });
    if (isShown) process.stderr.write('\n');
    if (isJson) process.stdout.write(`${JSON.stringify({ ...report, dryRun })}\n`);
    else process.stdout.write(`${userImport.render(report)}${dryRun ? ' (dry run: nothing was created)' : ''}\n`);
    if (report.refused.length > 0) {
      throw new CommandError('some-refused', `${report.refused.length} lines were refused; the others are done`);
    }
  } finally {
    source.destroy();
    await executor.close();
  }
}

async function sizeOf(file: string): Promise<number> {
  try {
    return (await stat(file)).size;
  } catch (error) {
    throw new CommandError('failed', `cannot read ${file}: ${error instanceof Error ? error.message : ''}`);
  }
}

/** Text of a source in UTF-8; a byte order mark is read past. */
async function* decoded(source: Readable): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  try {
    for await (const chunk of source as AsyncIterable<Buffer>) yield decoder.decode(chunk, { stream: true });
    yield decoder.decode();
  } catch (error) {
    if (error instanceof TypeError) throw new CommandError('failed', 'the file is not in UTF-8', { cause: error });
    if (error instanceof CommandError || !(error instanceof Error)) throw error;
    throw new CommandError('failed', `cannot read the file: ${error.message}`, { cause: error });
  }
}

/** A bar over the bytes of the file; only the count where its size is not known. */
function barText(accounts: number, readBytes: number, sizeBytes: number | undefined): string {
  if (sizeBytes === undefined || sizeBytes === 0) return `${accounts} lines`;
  const part = Math.min(1, readBytes / sizeBytes);
  const filled = Math.round(part * BAR_WIDTH);
  const bar = '#'.repeat(filled).padEnd(BAR_WIDTH, '.');
  return `[${bar}] ${Math.floor(part * 100)} %  ${accounts} lines`;
}
