import { isAbsolute } from 'node:path';
import * as z from 'zod';

import { BackupError } from '../../../storage/backup-file.ts';
import type { BackupState } from '../../../storage/backups.ts';
import { defineCommand } from '../command.ts';
import { CommandError } from '../exit-codes.ts';

const MIB = 1024 * 1024;

export const backupBegin = defineCommand({
  name: 'backup begin',
  needs: 'store',
  summary: 'begin to write everything, as it is now, to one file',
  arguments: z.strictObject({
    /** On the machine of the server, and absolute: its working directory is another one. */
    file: z.string().max(4096).refine(isAbsolute, 'must be an absolute path'),
  }),
  run: ({ storage }, { file }): BackupState => {
    try {
      return storage.backups.begin(file);
    } catch (error) {
      if (error instanceof BackupError) throw new CommandError('failed', error.message);
      throw error;
    }
  },
  render: renderBackup,
});

export const backupProgress = defineCommand({
  name: 'backup progress',
  needs: 'store',
  summary: 'say how the backup is getting on',
  arguments: z.strictObject({}),
  run: ({ storage }): BackupState => {
    const { last } = storage.backups;
    if (last === undefined) throw new CommandError('not-found', 'no backup was begun since the server started');
    return last;
  },
  render: renderBackup,
});

export function renderBackup({ file, state, entries, bytes, problem }: BackupState): string {
  const size = `${entries} entries, ${(bytes / MIB).toFixed(1)} MiB`;
  switch (state) {
    case 'running':
      return `${file}: ${size} so far`;
    case 'done':
      return `${file}: ${size}`;
    case 'failed':
      return `${file}: failed: ${problem ?? 'unknown'}`;
  }
}
