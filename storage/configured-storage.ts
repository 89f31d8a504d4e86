import { join } from 'node:path';

import type { Config } from '../config/options.ts';
import { openStorage, type Storage, type StorageOptions } from './storage.ts';

/** Where a configuration keeps its data, and how: the same for the server and for commands while it is down. */
export function configuredStorage({ dataDirectory, storage }: Pick<Config, 'dataDirectory' | 'storage'>) {
  const { backend, durability } = storage;
  return { backend, durability, directory: join(dataDirectory, 'store') } satisfies StorageOptions;
}

/** Opens the store of a configuration. Rejects with StoreError. */
export function openConfiguredStorage(
  config: Pick<Config, 'dataDirectory' | 'storage'>,
  more: Pick<StorageOptions, 'reportError'> = {},
): Promise<Storage> {
  return openStorage({ ...configuredStorage(config), ...more });
}
