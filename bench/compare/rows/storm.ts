import type { Security } from '../../load/client-connection.ts';
import { ARRIVALS_AT_ONCE, endpointOf, untilIdle } from '../measurement.ts';
import { processorTime } from '../process-usage.ts';
import { againstBoth, HISTORY_OFF, type Goal, type Row } from '../row.ts';

/** Everybody loses the connection at the same moment and comes back. */
export const STORM_ROWS: readonly Row[] = [
  stormRow('storm-plaintext', 'plaintext', 'plaintext', againstBoth('seconds', 4)),
  stormRow('storm-tls', 'TLS 1.3', 'direct-tls', [
    { kind: 'ratio', figure: 'seconds', server: 'ejabberd', times: 2 },
    { kind: 'ratio', figure: 'seconds', server: 'prosody', times: 5 },
  ]),
];

function stormRow(id: string, how: string, security: Security, goals: readonly Goal[]): Row {
  return {
    id,
    title: `storm of 5 000, ${how}`,
    note: 'all connections are reset and opened again at once; back: bound, roster asked, own presence returned; TLS in full',
    setting: HISTORY_OFF,
    isFresh: false,
    rounds: ({ longRounds }) => longRounds,
    users: ({ storm }) => storm,
    figures: ({ storm }) => [
      { key: 'seconds', label: `s until ${storm} are back`, better: 'less' },
      { key: 'processorUs', label: 'CPU us each', better: 'less' },
    ],
    goals: () => goals,
    measure: async ({ server, load, scale }) => {
      const endpoint = endpointOf(server, security);
      await load.run('open', { endpoint, from: 0, count: scale.storm, atOnce: ARRIVALS_AT_ONCE, arrives: true });
      await untilIdle(server);
      const before = processorTime(server.pid, 'saturating');
      const { seconds } = await load.run('storm', { endpoint });
      const after = processorTime(server.pid, 'saturating');
      await load.run('reset', {});
      await untilIdle(server);
      return { seconds, processorUs: (after.mainUs - before.mainUs) / scale.storm };
    },
  };
}
