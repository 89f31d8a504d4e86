import { join } from 'node:path';

import type { Config } from '../../config/options.ts';
import { StoreError } from '../../storage/ordered-store.ts';
import { openStorage, type Storage, type StorageOptions } from '../../storage/storage.ts';
import { CommandError } from './exit-codes.ts';

/** Where a configuration keeps its data, and how: the same for the server and for commands while it is down. */
function storageOptions(config: Config): StorageOptions {
  const { backend, durability } = config.storage;
  return { backend, durability, directory: join(config.dataDirectory, 'store') };
}

/** Opens the store of a server that is down. @throws CommandError, StoreError */
export async function openStoreOfStoppedServer(config: Config): Promise<Storage> {
  if (config.storage.backend === 'memory') {
    throw new CommandError(
      'not-running',
      'the server is not running, and storage.backend "memory" keeps nothing: start it',
    );
  }
  try {
    return await openStorage(storageOptions(config));
  } catch (error) {
    if (!(error instanceof StoreError) || error.code !== 'locked') throw error;
    const what = `another process holds ${storageOptions(config).directory}, and no server answers at`;
    const advice = 'a server may be starting or stopping, or another command is at work: try again in a moment';
    throw new CommandError('failed', `${what} ${config.admin.controlSocket}; ${advice}`, { cause: error });
  }
}
