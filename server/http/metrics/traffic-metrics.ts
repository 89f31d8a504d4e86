import { peersOf, tallied, withFirst } from './connection-metrics.ts';
import { metric, type Metric, type Sample } from './exposition.ts';
import type { MetricSource } from './metric-source.ts';

/** Stanzas and what becomes of them, here and between servers. */
export function trafficMetrics(source: MetricSource): readonly Metric[] {
  const { counters, servers } = source;
  const { messages } = counters;
  const peers = peersOf(source);
  return [
    metric(
      'counter',
      'posthorn_received_stanzas_total',
      'Stanzas that came.',
      () => [
        ...withFirst('client', Object.entries(counters.clientStanzasReceived)),
        ...withFirst('server', Object.entries(counters.serverStanzasReceived)),
      ],
      ['peer', 'kind'],
    ),
    metric(
      'counter',
      'posthorn_sent_stanzas_total',
      'Stanzas that were written to a connection, those that are sent again after a resumption included.',
      () => [
        ...withFirst('client', Object.entries(counters.clientStanzasSent)),
        ...withFirst('server', Object.entries(counters.serverStanzasSent)),
      ],
      ['peer', 'kind'],
    ),
    metric(
      'counter',
      'posthorn_received_bytes_total',
      'Bytes that came, within TLS and WebSocket.',
      () => [
        [['client'], counters.clientBytesReceived],
        [['server'], counters.serverBytesReceived],
      ],
      ['peer'],
    ),
    metric(
      'counter',
      'posthorn_sent_bytes_total',
      'Bytes that were handed to the system, within TLS and WebSocket.',
      () => peers.map(([peer, { flusher }]) => [[peer], flusher.bytesWritten] as const),
      ['peer'],
    ),
    metric(
      'counter',
      'posthorn_messages_total',
      'What became of messages: `stored` for somebody who is away and `delivered_late` then, `forwarded` to another server, `refused` with an error, `repeated` by a client and here already, `dropped` in silence as RFC 6121 wants it.',
      (): readonly Sample[] => [
        [['delivered'], messages.delivered],
        [['stored'], messages.stored],
        [['delivered_late'], messages.deliveredLate],
        [['forwarded'], messages.forwarded],
        [['refused'], messages.refused],
        [['dropped'], messages.dropped],
        [['repeated'], messages.repeated],
      ],
      ['outcome'],
    ),
    metric(
      'histogram',
      'posthorn_message_stage_seconds',
      'Time from reading a message of a client to each stage: `routed`, `committed` to the store, `handled` so that it may be acknowledged, `written` to its recipient; of one message in 17.',
      () => Object.entries(counters.stages.seconds).map(([stage, seconds]) => [[stage], seconds] as const),
      ['stage'],
    ),
    metric(
      'counter',
      'posthorn_stanza_faults_total',
      'Stanzas whose handling failed by a defect; the log has each.',
      () => counters.stanzaFaults,
    ),
    metric('gauge', 'posthorn_server_streams', 'Streams to and from other servers.', () => serverStreams(source), [
      'direction',
      'state',
    ]),
    metric(
      'counter',
      'posthorn_server_connect_failures_total',
      'Attempts to reach another server that failed, by the condition that waiting stanzas are answered with.',
      () => tallied(counters.serverConnectFailures),
      ['condition'],
    ),
    metric(
      'gauge',
      'posthorn_server_queue_stanzas',
      'Stanzas that wait for other servers.',
      () => servers?.federation.waitingStanzas ?? 0,
    ),
    metric(
      'gauge',
      'posthorn_server_queue_bytes',
      'What is held in memory for other servers, sent and not confirmed included.',
      () => servers?.federation.heldBytes ?? 0,
    ),
  ];
}

function serverStreams({ servers }: MetricSource): readonly Sample[] {
  const counts = new Map<string, number>();
  for (const { direction, state } of servers?.federation.streams ?? []) {
    counts.set(`${direction} ${state}`, (counts.get(`${direction} ${state}`) ?? 0) + 1);
  }
  return ['incoming', 'outgoing'].flatMap((direction) =>
    ['opening', 'open', 'closing'].map((state): Sample => [
      [direction, state],
      counts.get(`${direction} ${state}`) ?? 0,
    ]),
  );
}
