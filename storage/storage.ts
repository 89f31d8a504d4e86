import { randomBytes } from 'node:crypto';
import { Accounts } from './accounts.ts';
import { Audits } from './audit/audits.ts';
import { Backups } from './backups.ts';
import { MemoryStore } from './backends/memory.ts';
import { ClientTokens } from './client-tokens.ts';
import { Documents } from './documents.ts';
import { GroupCommit } from './group-commit.ts';
import { LastUnavailable } from './last-unavailable.ts';
import { ArchiveRetention } from './archive-retention.ts';
import { ArchiveSurvey } from './archive-survey.ts';
import { MessageArchive } from './message-archive.ts';
import { MessageLog } from './message-log.ts';
import { layoutOf, migrate, type StoreLayout } from './migrations.ts';
import type { OrderedStore } from './ordered-store.ts';
import { Outboxes } from './outboxes.ts';
import { Resumptions } from './resumptions.ts';
import { Rosters } from './rosters.ts';
import { SendKeys } from './send-keys.ts';
import { Sequences } from './sequences.ts';
import { ServerKeys } from './server-keys.ts';
import type { RandomBytes } from './server-keys.ts';

export interface StorageOptions {
  /** `memory` forgets everything at the end of the process. */
  readonly backend: 'level' | 'memory';
  /** Where `level` keeps its files; made, with mode 0700, if it does not exist. `memory` ignores it. */
  readonly directory: string;
  /** `sync`: what is committed survives power loss. `process`: it survives kill -9. */
  readonly durability: 'sync' | 'process';
  /** Bytes that may wait for the disk before `commit.isFull`. Default 8 MB. */
  readonly maxQueuedBytes?: number;
  /** Default: node:crypto. */
  readonly randomBytes?: RandomBytes;
  /** Told what a listener of a commit threw. Default: a warning of the process. */
  readonly reportError?: (error: unknown) => void;
}

/** Everything Posthorn keeps. */
export interface Storage {
  readonly accounts: Accounts;
  readonly rosters: Rosters;
  readonly log: MessageLog;
  readonly archive: MessageArchive;
  readonly retention: ArchiveRetention;
  readonly sequences: Sequences;
  readonly sendKeys: SendKeys;
  readonly documents: Documents;
  readonly clientTokens: ClientTokens;
  readonly lastUnavailable: LastUnavailable;
  readonly serverKeys: ServerKeys;
  readonly resumptions: Resumptions;
  readonly backups: Backups;
  readonly outboxes: Outboxes;
  readonly audits: Audits;
  /** Where every write joins; the order in which it settles is the order of adding. */
  readonly commit: GroupCommit;
  /** Commits what waits, then closes the backend. */
  close(): Promise<void>;
}

/** Opens the backend, brings its layout up to date and offers the typed stores. Rejects with StoreError. */
export async function openStorage(options: StorageOptions): Promise<Storage> {
  const store = await openBackend(options);
  try {
    await migrate(store);
  } catch (error) {
    await store.close();
    throw error;
  }
  return storageOver(store, options);
}

/** Opens the backend only to see which layout it has. Rejects with StoreError. */
export async function inspectStorage(options: StorageOptions): Promise<StoreLayout> {
  const store = await openBackend(options);
  try {
    return await layoutOf(store);
  } finally {
    await store.close();
  }
}

/** The typed stores over a store whose layout is up to date. */
export function storageOver(
  store: OrderedStore,
  options: Pick<StorageOptions, 'maxQueuedBytes' | 'randomBytes' | 'reportError'> = {},
): Storage {
  const commit = new GroupCommit(store, {
    ...(options.maxQueuedBytes !== undefined && { maxBytes: options.maxQueuedBytes }),
    ...(options.reportError !== undefined && { reportError: options.reportError }),
  });
  const access = { store, commit };
  const log = new MessageLog(access);
  const survey = new ArchiveSurvey(access, log);
  return {
    accounts: new Accounts(access),
    rosters: new Rosters(access),
    log,
    archive: new MessageArchive(access, survey),
    retention: new ArchiveRetention(access, log, survey),
    sequences: new Sequences(access),
    sendKeys: new SendKeys(access),
    documents: new Documents(access),
    clientTokens: new ClientTokens(access),
    lastUnavailable: new LastUnavailable(access),
    serverKeys: new ServerKeys(access, options.randomBytes ?? randomBytes),
    resumptions: new Resumptions(access),
    backups: new Backups(store),
    outboxes: new Outboxes(access),
    audits: new Audits(store),
    commit,
    close: async () => {
      await commit.close();
      await store.close();
    },
  };
}

/** Opens a backend as it is. Rejects with StoreError. */
export async function openBackend({ backend, directory, durability }: StorageOptions): Promise<OrderedStore> {
  switch (backend) {
    case 'memory':
      return new MemoryStore();
    case 'level': {
      // Only now: the memory backend must work where LevelDB's native code cannot be loaded.
      const { openLevelStore } = await import('./backends/level.ts');
      return await openLevelStore({ directory, durability });
    }
  }
}
