import { tallied } from './connection-metrics.ts';
import { metric, type Metric } from './exposition.ts';
import type { MetricSource } from './metric-source.ts';

/** What is written and read, and how long that takes. */
export function storeMetrics({ counters, commit, commits }: MetricSource): readonly Metric[] {
  return [
    metric(
      'histogram',
      'posthorn_commit_seconds',
      'Time in which the store wrote a batch, to the disk where `storage.durability` is `sync`.',
      () => commits.seconds,
    ),
    metric('histogram', 'posthorn_commit_records', 'Records of a batch.', () => commits.records),
    metric(
      'histogram',
      'posthorn_commit_bytes',
      'Size of a batch, with 200 bytes for each record.',
      () => commits.bytes,
    ),
    metric(
      'gauge',
      'posthorn_commit_queue_bytes',
      'What waits for the store or is on its way to it; above 8 MB reading from clients pauses.',
      () => commit.queuedBytes,
    ),
    metric(
      'counter',
      'posthorn_store_failures_total',
      'Batches that the store refused; their messages were refused as well.',
      () => tallied(commits.failures),
      ['code'],
    ),
    metric('gauge', 'posthorn_store_failing', '1 while the last batch was refused, else 0.', () =>
      commit.lastFailure === undefined ? 0 : 1,
    ),
    metric(
      'counter',
      'posthorn_archived_messages_total',
      'Messages that went into an archive, once for each side.',
      () => counters.archived,
    ),
    metric(
      'histogram',
      'posthorn_archive_query_seconds',
      'Time in which a page of an archive (XEP-0313) was found, without sending it.',
      () => counters.archiveQuerySeconds,
    ),
  ];
}
