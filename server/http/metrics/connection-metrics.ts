import type { ClientStreamState } from '../../streams/client-stream.ts';
import type { Tally } from '../../metrics/tally.ts';
import { metric, type Metric, type Sample } from './exposition.ts';
import type { MetricSource, PeerSource } from './metric-source.ts';

/** Connections, sessions and how they come about. */
export function connectionMetrics(source: MetricSource): readonly Metric[] {
  const { counters, table, resumable, logins, passwordWork } = source;
  const peers = peersOf(source);
  return [
    metric('gauge', 'posthorn_connections', 'Connections of clients.', () => connections(source), [
      'transport',
      'tls',
      'state',
    ]),
    metric(
      'counter',
      'posthorn_connections_accepted_total',
      'Connections that were let in, of clients and of other servers.',
      () => peers.map(([peer, { admission }]) => [[peer], admission.admitted] as const),
      ['peer'],
    ),
    metric(
      'gauge',
      'posthorn_tls_handshakes',
      'TLS handshakes that are under way or wait for their turn.',
      () =>
        peers.flatMap(([peer, { handshakes }]): Sample[] => [
          [[peer, 'running'], handshakes.running],
          [[peer, 'waiting'], handshakes.waiting],
        ]),
      ['peer', 'state'],
    ),
    metric(
      'counter',
      'posthorn_tls_handshakes_total',
      'TLS handshakes of connections that were accepted: whole ones, resumed sessions, failures.',
      () => peers.flatMap(([peer, { handshakes }]) => withFirst(peer, Object.entries(handshakes.outcomes))),
      ['peer', 'outcome'],
    ),
    metric(
      'gauge',
      'posthorn_sessions',
      'Sessions with a connection, and those that wait for their clients to resume them.',
      () => [
        [['connected'], table.sessionCount - resumable.detachedCount],
        [['waiting'], resumable.detachedCount],
      ],
      ['state'],
    ),
    metric(
      'gauge',
      'posthorn_unacknowledged_stanzas',
      'Stanzas that were sent to clients and that they have not confirmed.',
      () => {
        let stanzas = 0;
        for (const { unconfirmedCount } of table.sessions()) stanzas += unconfirmedCount;
        return stanzas;
      },
    ),
    metric(
      'counter',
      'posthorn_resumptions_total',
      'Attempts to resume a session (XEP-0198).',
      () => tallied(counters.resumptions),
      ['outcome'],
    ),
    metric(
      'counter',
      'posthorn_logins_total',
      'Logins that were tried; `other` is a mechanism that is not offered.',
      () => [...tallied(counters.loginsSucceeded, 'success'), ...tallied(counters.loginsFailed, 'failure')],
      ['mechanism', 'outcome'],
    ),
    metric(
      'counter',
      'posthorn_login_failures_total',
      'Logins that failed, by the condition the client was told (RFC 6120 6.5).',
      () => tallied(counters.loginFailures),
      ['condition'],
    ),
    metric(
      'histogram',
      'posthorn_login_seconds',
      'Time from the first element of a login to its success, waiting and round trips included.',
      () => counters.loginSeconds,
    ),
    metric(
      'gauge',
      'posthorn_logins_waiting',
      'Logins that wait for their turn: devices that return, and whole logins.',
      () => [
        [['return'], logins.waitingOf('return')],
        [['full'], logins.waitingOf('full')],
      ],
      ['kind'],
    ),
    metric(
      'gauge',
      'posthorn_password_checks_waiting',
      'Passwords that wait for a thread which derives keys of them.',
      () => passwordWork.waiting,
    ),
    metric(
      'counter',
      'posthorn_stream_errors_total',
      'Streams of clients that were ended with an error, by its condition (RFC 6120 4.9.3).',
      () => tallied(counters.streamErrors),
      ['condition'],
    ),
    metric(
      'counter',
      'posthorn_limits_reached_total',
      'How often somebody came up against a limit, by its option.',
      () => limits(source),
      ['limit'],
    ),
  ];
}

/** Both kinds of peers, where there are other servers. */
export function peersOf({ clients, servers }: MetricSource): readonly (readonly [string, PeerSource])[] {
  return [['client', clients] as const, ...(servers === undefined ? [] : [['server', servers] as const])];
}

/** The counts of a tally, with these labels behind the value. */
export function tallied(tally: Tally, ...further: readonly string[]): readonly Sample[] {
  return [...tally.entries()].map(([value, count]) => [[value, ...further], count]);
}

/** A sample for each entry of a record, behind one label more. */
export function withFirst(label: string, entries: readonly (readonly [string, number])[]): readonly Sample[] {
  return entries.map(([value, count]) => [[label, value], count]);
}

function limits({ counters, clients, servers, logins }: MetricSource): readonly Sample[] {
  const of = (section: string, tally: Tally): readonly Sample[] =>
    [...tally.entries()].map(([limit, count]) => [[`${section}.${limit}`], count]);
  return [
    ...tallied(counters.limits),
    ...of('c2s', clients.admission.refused),
    ...of('c2s', logins.refused),
    ...(servers === undefined ? [] : of('s2s', servers.admission.refused)),
  ];
}

const STATES: readonly ClientStreamState[] = ['opening', 'negotiating', 'bound', 'closing'];

function connections({ streams }: MetricSource): readonly Sample[] {
  const counts = new Map<string, number>();
  for (const { transport, isSecure, state } of streams) {
    const key = `${transport} ${String(isSecure)} ${state}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return ['tcp', 'websocket'].flatMap((transport) =>
    ['false', 'true'].flatMap((tls) =>
      STATES.map((state): Sample => [[transport, tls, state], counts.get(`${transport} ${tls} ${state}`) ?? 0]),
    ),
  );
}
