import type { Key, Write } from '../ordered-store.ts';

/** A write of one key. */
export type SimpleWrite = Exclude<Write, { type: 'deleteRange' }>;

interface PlacedKey {
  readonly key: Key;
  /** Where in the batch it is put. */
  readonly position: number;
}

/**
 * The batch with its range deletes resolved, for a database that has none: into deletes of the keys that `keysOf` finds
 * in it and of those put earlier in the batch. A batch without ranges comes back as it is.
 */
export async function withoutRanges(
  batch: readonly Write[],
  keysOf: (from: Key, to: Key) => AsyncIterable<Key>,
): Promise<readonly SimpleWrite[]> {
  if (batch.every((write) => write.type !== 'deleteRange')) return batch;
  const puts = batch
    .flatMap((write, position): PlacedKey[] => (write.type === 'put' ? [{ key: write.key, position }] : []))
    .sort((one, other) => Buffer.compare(one.key, other.key));
  const writes: SimpleWrite[] = [];
  for (const [position, write] of batch.entries()) {
    if (write.type !== 'deleteRange') {
      writes.push(write);
      continue;
    }
    for (let index = lowerBound(puts, write.from); index < puts.length; index++) {
      const put = puts[index];
      if (put === undefined || Buffer.compare(put.key, write.to) >= 0) break;
      if (put.position < position) writes.push({ type: 'delete', key: put.key });
    }
    for await (const key of keysOf(write.from, write.to)) writes.push({ type: 'delete', key });
  }
  return writes;
}

/** The index of the first of the sorted keys that is not less than `key`. */
function lowerBound(sorted: readonly PlacedKey[], key: Key): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const found = sorted[middle];
    if (found !== undefined && Buffer.compare(found.key, key) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
