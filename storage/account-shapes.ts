import { decodeShape, type AccountShape } from './account-record.ts';
import { partsOf, SHARDS, shardRange } from './keys.ts';
import { pagesOf, StoreError, type Key, type StoreReader } from './ordered-store.ts';

const PAGE_ENTRIES = 50;

/**
 * Shows the shapes of the first accounts, in the order of their keys; undefined of an account whose record is corrupt, for
 * one bad record must not hide what the others look like. No key is copied.
 */
export async function eachShape(
  store: StoreReader,
  limit: number,
  show: (jid: string, shape: AccountShape | undefined) => void,
): Promise<void> {
  let shown = 0;
  for (let shard = 0; shard < SHARDS; shard++) {
    for await (const page of pagesOf(store, shardRange('accounts', shard), PAGE_ENTRIES)) {
      for (const [key, value] of page) {
        if (shown++ >= limit) return;
        show(partsOf(key).owner, shapeIn(key, value));
      }
    }
  }
}

function shapeIn(key: Key, value: Uint8Array): AccountShape | undefined {
  try {
    return decodeShape(key, value);
  } catch (error) {
    if (error instanceof StoreError && error.code === 'corrupt') return undefined;
    throw error;
  }
}
