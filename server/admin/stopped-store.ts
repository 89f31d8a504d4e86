import type { Config } from '../../config/options.ts';
import { openConfiguredStorage } from '../../storage/configured-storage.ts';
import { StoreError } from '../../storage/ordered-store.ts';
import type { Storage } from '../../storage/storage.ts';
import { CommandError } from './exit-codes.ts';
import { lockedBy } from './start-advice.ts';

/** Opens the store of a server that is down. @throws CommandError, StoreError */
export async function openStoreOfStoppedServer(config: Config): Promise<Storage> {
  if (config.storage.backend === 'memory') {
    throw new CommandError(
      'not-running',
      'the server is not running, and storage.backend "memory" keeps nothing: start it',
    );
  }
  try {
    return await openConfiguredStorage(config);
  } catch (error) {
    if (!(error instanceof StoreError) || error.code !== 'locked') throw error;
    throw lockedBy(error, config);
  }
}
