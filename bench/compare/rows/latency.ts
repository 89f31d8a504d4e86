import { ARRIVALS_AT_ONCE, endpointOf, untilIdle } from '../measurement.ts';
import { processorTime } from '../process-usage.ts';
import { againstBoth, HISTORY_SYNC, type Row } from '../row.ts';

const PAIRS = 100;
const PER_SECOND = 1000;

/** How long a message takes at a rate that leaves a server time. */
export const LATENCY_ROWS: readonly Row[] = [
  {
    id: 'latency',
    title: 'latency at 1 000 messages/s over 100 pairs, plaintext, history on, durability "sync"',
    note: 'open loop: counted from the time at which each message was due',
    setting: HISTORY_SYNC,
    isFresh: false,
    users: () => PAIRS * 2,
    figures: () => [
      { key: 'p50Ms', label: 'p50 ms', better: 'less' },
      { key: 'p99Ms', label: 'p99 ms', better: 'less' },
      { key: 'maxMs', label: 'max ms', better: 'less' },
      { key: 'processorUs', label: 'CPU us/message', better: 'less' },
    ],
    goals: () => [...againstBoth('p99Ms', 1), { kind: 'limit', figure: 'p99Ms', atMost: 10 }],
    measure: async ({ server, load, scale }) => {
      const endpoint = endpointOf(server, 'plaintext');
      await load.run('open', { endpoint, from: 0, count: PAIRS * 2, atOnce: ARRIVALS_AT_ONCE, arrives: true });
      await untilIdle(server);
      const { warmUpSeconds } = scale;
      const seconds = scale.seconds * 2;
      const before = processorTime(server.pid, 'paced');
      const options = { pairs: PAIRS, perSecond: PER_SECOND, warmUpSeconds, seconds };
      const { p50Ms, p99Ms, maxMs } = await load.run('sendOnTime', options);
      const after = processorTime(server.pid, 'paced');
      await load.run('reset', {});
      await untilIdle(server);
      const messages = PER_SECOND * (warmUpSeconds + seconds);
      return { p50Ms, p99Ms, maxMs, processorUs: (after.mainUs - before.mainUs) / messages };
    },
  },
];
