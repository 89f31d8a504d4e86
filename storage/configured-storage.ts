import { mkdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import type { Config } from '../config/options.ts';
import { restoreBackup, verifyBackup, type BackupProgress } from './backup-file.ts';
import { openBackend, openStorage, type Storage, type StorageOptions } from './storage.ts';

/** Where a configuration keeps its data, and how: the same for the server and for commands while it is down. */
export function configuredStorage({ dataDirectory, storage }: Pick<Config, 'dataDirectory' | 'storage'>) {
  const { backend, durability } = storage;
  return { backend, durability, directory: join(dataDirectory, 'store') } satisfies StorageOptions;
}

/**
 * Makes the store of a configuration from a backup; what was there before is put aside under the returned name. The new
 * store gets its name only when it is whole: an interruption at any moment leaves what was there before. Nobody may have
 * the store open. Rejects with BackupError, StoreError or the system's error.
 */
export async function restoreConfiguredStorage(
  config: Pick<Config, 'dataDirectory' | 'storage'>,
  file: string,
  report: (progress: BackupProgress) => void,
): Promise<RestoredStorage> {
  const { directory } = configuredStorage(config);
  const unfinished = `${directory}.unfinished`;
  try {
    await verifyBackup(file);
    await rm(unfinished, { recursive: true, force: true });
    await mkdir(dirname(directory), { recursive: true, mode: 0o700 });
    const store = await openBackend({ backend: 'level', directory: unfinished, durability: 'sync' });
    const progress = await restoreBackup(file, store, report).finally(() => store.close());
    if (!(await hasConfiguredStorage(config))) {
      await rename(unfinished, directory);
      return { ...progress, putAside: undefined };
    }
    const putAside = `${directory}.before-${new Date().toISOString().replaceAll(':', '')}`;
    await rename(directory, putAside);
    await rename(unfinished, directory);
    return { ...progress, putAside };
  } catch (error) {
    await rm(unfinished, { recursive: true, force: true });
    throw error;
  }
}

/** What a restore has done. */
export interface RestoredStorage extends BackupProgress {
  /** Where the data is that was there before. */
  readonly putAside: string | undefined;
}

/** Whether there is data where the configuration keeps it. */
export async function hasConfiguredStorage(config: Pick<Config, 'dataDirectory' | 'storage'>): Promise<boolean> {
  return stat(configuredStorage(config).directory).then(
    () => true,
    () => false,
  );
}

/** Opens the store of a configuration. Rejects with StoreError. */
export function openConfiguredStorage(
  config: Pick<Config, 'dataDirectory' | 'storage'>,
  more: Pick<StorageOptions, 'reportError'> = {},
): Promise<Storage> {
  return openStorage({ ...configuredStorage(config), ...more });
}
