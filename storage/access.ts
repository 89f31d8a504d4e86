import type { GroupCommit } from './group-commit.ts';
import type { OrderedStore } from './ordered-store.ts';

/** What a typed store works with: reads go to the store, writes join the group commit. */
export interface StorageAccess {
  readonly store: OrderedStore;
  readonly commit: GroupCommit;
}
