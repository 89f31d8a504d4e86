import { connectionMetrics } from './connection-metrics.ts';
import type { Metric } from './exposition.ts';
import type { MetricSource } from './metric-source.ts';
import { processMetrics } from './process-metrics.ts';
import { storeMetrics } from './store-metrics.ts';
import { trafficMetrics } from './traffic-metrics.ts';

/** Every metric, in the order of docs/operations.md. */
export function metricList(source: MetricSource): readonly Metric[] {
  return [...trafficMetrics(source), ...connectionMetrics(source), ...storeMetrics(source), ...processMetrics(source)];
}
