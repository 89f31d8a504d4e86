import type { Storage } from '../storage/storage.ts';
import { expose } from './http/metrics/exposition.ts';
import { metricList } from './http/metrics/metric-list.ts';
import type { MetricSource } from './http/metrics/metric-source.ts';
import { startOperations, type Health } from './http/operations-server.ts';
import { CommitMeter } from './metrics/commit-meter.ts';
import { ProcessMeter } from './metrics/process-meter.ts';
import type { ServerParts } from './server-parts.ts';
import type { ListeningAddress } from './streams/listening.ts';
import type { StreamContext } from './streams/stream-context.ts';
import { posthornVersion } from './version.ts';

/** Health and metrics for the operator, where they are wanted. @param opened takes what must be closed */
export async function listenForOperator(
  { config, clock, log, storage, core }: ServerParts,
  { logins, sasl }: StreamContext,
  shared: Pick<MetricSource, 'startedAt' | 'faults' | 'streams' | 'clients' | 'servers'>,
  opened: { close(): unknown }[],
): Promise<readonly ListeningAddress[]> {
  const { port, metrics: wantsMetrics } = config.operations;
  if (port === false) return [];
  let metrics: (() => string) | undefined;
  if (wantsMetrics) {
    const { table, resumable, counters } = core;
    const { commit } = storage;
    const commits = new CommitMeter(clock);
    commit.observeWith(commits);
    const process = new ProcessMeter(clock);
    opened.push(process);
    const own = { version: posthornVersion(), counters, commit, commits, process, table, resumable, logins };
    const list = metricList({ ...shared, ...own, passwordWork: sasl.work });
    metrics = () => expose(list);
  }
  const operations = await startOperations({ config, log, health: () => healthOf(storage, shared.faults()), metrics });
  opened.push(operations);
  return operations.listening;
}

/** For /health: whether the store takes what is written; the rest is for who looks. */
function healthOf(storage: Storage, faults: number): Health {
  const { lastFailure } = storage.commit;
  if (lastFailure === undefined) return { status: 'ok', faults };
  return { status: 'failing', faults, store: lastFailure.code };
}
