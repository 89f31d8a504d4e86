/**
 * Which process owns which shard (docs/architecture.md, "One process, many, many machines"). Sessions, sequences, log
 * and queue of an account are touched only where its shard lives.
 */
export interface Placement {
  /** Whether this process is the one writer of the shard (0 up to but not including SHARDS). */
  ownsShard(shard: number): boolean;
}

/** One process: every shard is here. */
export const oneProcess: Placement = { ownsShard: () => true };
