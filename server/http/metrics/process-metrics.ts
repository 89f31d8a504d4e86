import { metric, type Metric } from './exposition.ts';
import type { MetricSource } from './metric-source.ts';

const MICROSECONDS = 1_000_000;

/** The process itself. What every program has is named as everywhere. */
export function processMetrics({ version, startedAt, faults, process: meter }: MetricSource): readonly Metric[] {
  const cpu = (usage: NodeJS.CpuUsage): number => (usage.user + usage.system) / MICROSECONDS;
  return [
    metric('gauge', 'posthorn_build_info', 'Always 1; what runs.', () => [[[version, process.versions.node], 1]], [
      'version',
      'node_version',
    ]),
    metric('counter', 'posthorn_faults_total', 'Errors that nothing caught: each is a defect, and in the log.', () =>
      faults(),
    ),
    metric(
      'histogram',
      'posthorn_event_loop_delay_seconds',
      'How much later than due a timer ran, looked at ten times a second: everybody waits so long.',
      () => meter.loopDelaySeconds,
    ),
    metric(
      'counter',
      'posthorn_event_loop_active_seconds_total',
      'Time in which the loop was at work; its rate is how much of one core there is left.',
      () => performance.eventLoopUtilization().active / 1000,
    ),
    metric(
      'gauge',
      'process_start_time_seconds',
      'When the server started, seconds since the epoch.',
      () => startedAt / 1000,
    ),
    metric('counter', 'process_cpu_seconds_total', 'Processor time of all threads, user and system.', () =>
      cpu(process.cpuUsage()),
    ),
    metric('gauge', 'process_resident_memory_bytes', 'Resident memory.', () => process.memoryUsage.rss()),
    metric(
      'gauge',
      'nodejs_heap_size_used_bytes',
      'Of the heap, what is in use.',
      () => process.memoryUsage().heapUsed,
    ),
    metric('gauge', 'nodejs_heap_size_total_bytes', 'The heap.', () => process.memoryUsage().heapTotal),
    metric(
      'gauge',
      'nodejs_external_memory_bytes',
      'Memory beside the heap that objects of it hold: buffers.',
      () => process.memoryUsage().external,
    ),
    metric(
      'histogram',
      'nodejs_gc_duration_seconds',
      'Time in which garbage was collected.',
      () => [...meter.collectionSeconds].map(([kind, seconds]) => [[kind], seconds] as const),
      ['kind'],
    ),
  ];
}
