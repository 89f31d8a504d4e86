import type { Command as CommandLine } from 'commander';
import { resolve } from 'node:path';

import type { Config } from '../../config/options.ts';
import { BackupError } from '../../storage/backup-file.ts';
import {
  hasConfiguredStorage,
  restoreConfiguredStorage,
  type RestoredStorage,
} from '../../storage/configured-storage.ts';
import { backupBegin, backupProgress, renderBackup } from './commands/backup.ts';
import { connectToServer } from './control-client.ts';
import { openExecutor } from './executor.ts';
import { CommandError } from './exit-codes.ts';
import { openStoreOfStoppedServer } from './stopped-store.ts';
import type { LineContext } from './transfer-commands.ts';

const POLL_MS = 200;
const MIB = 1024 * 1024;

/** Adds `backup` and `restore`. */
export function addBackupCommands(line: CommandLine, { config, isJson }: LineContext): void {
  line
    .command('backup')
    .argument('<file>', 'a file that does not exist yet; it will hold every secret of the server, mode 0600')
    .description('write everything, as it is at this moment, to one file; the server goes on working')
    .action(async (file: string) => {
      const state = await backUp(resolve(file), config());
      process.stdout.write(`${isJson() ? JSON.stringify(state) : renderBackup(state)}\n`);
    });
  line
    .command('restore')
    .argument('<file>', 'what "posthorn backup" wrote')
    .option('--replace', 'put aside the data that is there')
    .description('make the store of a stopped server from a backup')
    .action(async (file: string, { replace }: { replace?: boolean }) => {
      const restored = await restore(resolve(file), config(), replace === true);
      const { entries, bytes, putAside } = restored;
      const aside = putAside === undefined ? '' : `\nwhat was there before: ${putAside}`;
      const text = `${entries} entries, ${(bytes / MIB).toFixed(1)} MiB restored${aside}\nnext: posthorn audit`;
      process.stdout.write(`${isJson() ? JSON.stringify(restored) : text}\n`);
    });
}

async function backUp(file: string, config: Config) {
  const executor = await openExecutor(config, backupBegin.needs);
  try {
    let state = await executor.run(backupBegin, { file });
    while (state.state === 'running') {
      show(renderBackup(state));
      await new Promise((wake) => setTimeout(wake, POLL_MS));
      state = await executor.run(backupProgress, {});
    }
    endShow();
    if (state.state === 'failed') throw new CommandError('failed', state.problem ?? 'the backup failed');
    return state;
  } finally {
    await executor.close();
  }
}

async function restore(file: string, config: Config, mayReplace: boolean): Promise<RestoredStorage> {
  const running = await connectToServer(config.admin.controlSocket);
  running?.close();
  if (running !== undefined) throw new CommandError('failed', 'the server is running: stop it first (posthorn stop)');
  if (await hasConfiguredStorage(config)) {
    if (!mayReplace)
      throw new CommandError('failed', `there is data already: with --replace it is put aside, not deleted`);
    // Makes sure that no server without a control socket holds it.
    await (await openStoreOfStoppedServer(config)).close();
  }
  try {
    show('verifying the backup');
    return await restoreConfiguredStorage(config, file, ({ entries }) => show(`${entries} entries restored`));
  } catch (error) {
    if (error instanceof BackupError) throw new CommandError('failed', error.message, { cause: error });
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw new CommandError('not-found', `there is no ${file}`);
    throw error;
  } finally {
    endShow();
  }
}

/** Progress goes to a person only. */
function show(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r${text}\u001b[K`);
}

function endShow(): void {
  if (process.stderr.isTTY) process.stderr.write('\n');
}
