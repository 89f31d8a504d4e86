import { textKey } from './keys.ts';
import { StoreError } from './ordered-store.ts';
import type { OrderedStore } from './ordered-store.ts';
import { RecordReader, RecordWriter } from './record.ts';

/**
 * Brings a store from one layout version to the next. It may be interrupted and run again, so each of its batches leaves
 * what is still to be done recognisable.
 */
export type Migration = (store: OrderedStore) => Promise<void>;

/** `MIGRATIONS[n]` leads from layout version n + 2 to n + 3. A migration that was released is never changed. */
const MIGRATIONS: readonly Migration[] = [];

/** Which layout a store has. */
export interface StoreLayout {
  readonly layout: number | undefined;
  readonly known: number;
}

const FORMAT = 1;
/** Layout 1 was never released. */
const FIRST_VERSION = 2;

/**
 * Brings the store to the layout this Posthorn knows, and marks an empty store with it. Rejects with StoreError: `failed`
 * if a newer Posthorn has written it, or one before the first release, `corrupt` if it holds something but no version.
 */
export async function migrate(store: OrderedStore, migrations: readonly Migration[] = MIGRATIONS): Promise<void> {
  const known = FIRST_VERSION + migrations.length;
  const found = await loadVersion(store);
  if (found === undefined) {
    if (!(await isEmpty(store))) {
      throw new StoreError('corrupt', 'the store holds data but no layout version: it is not one of Posthorn');
    }
    await saveVersion(store, known);
    return;
  }
  if (found > known) {
    throw new StoreError(
      'failed',
      `the store has layout ${found}, written by a newer Posthorn; this one knows layouts up to ${known}`,
    );
  }
  for (let version = found; version < known; version++) {
    await migrations[version - FIRST_VERSION]?.(store);
    await saveVersion(store, version + 1);
  }
}

/** The layout of a store, undefined where it has none, and the newest this Posthorn knows. */
export async function layoutOf(store: OrderedStore): Promise<StoreLayout> {
  return { layout: await loadVersion(store), known: FIRST_VERSION + MIGRATIONS.length };
}

async function loadVersion(store: OrderedStore): Promise<number | undefined> {
  const key = textKey('layout', '');
  const [value] = await store.getMany([key]);
  if (value === undefined) return undefined;
  const reader = new RecordReader(key, value, FORMAT);
  const version = reader.number();
  reader.end();
  if (version < 1) throw reader.corrupt(`there is no layout ${version}`);
  if (version < FIRST_VERSION) {
    throw new StoreError(
      'failed',
      `the store has layout ${version}, written before Posthorn's first release, and cannot be read any more; ` +
        'move it away and start with an empty data directory',
    );
  }
  return version;
}

async function saveVersion(store: OrderedStore, version: number): Promise<void> {
  const value = new RecordWriter(FORMAT).number(version).end();
  await store.write([{ type: 'put', key: textKey('layout', ''), value }]);
}

async function isEmpty(store: OrderedStore): Promise<boolean> {
  const everything = { from: Uint8Array.of(), to: new Uint8Array(16).fill(0xff) };
  return (await store.page(everything, 1)).length === 0;
}
