import { ARRIVALS_AT_ONCE, endpointOf, untilIdle } from '../measurement.ts';
import { processorTime } from '../process-usage.ts';
import { HISTORY_OFF, type Row } from '../row.ts';

/** Messages for people who are away, and their return. */
export const OFFLINE_ROWS: readonly Row[] = [
  {
    id: 'offline',
    title: 'offline messages: stored for people who are away, flushed when they return; durability "process"',
    note: 'stored: until a ping behind the last message is answered; flushed: login included, 64 at a time',
    setting: HISTORY_OFF, // ejabberd's archive in Mnesia grows dear with who sends them all
    isFresh: false,
    users: ({ away }) => 1 + away,
    figures: () => [
      { key: 'storedPerSecond', label: 'stored/s', better: 'more' },
      { key: 'storeUs', label: 'CPU us/store', better: 'less' },
      { key: 'flushedPerSecond', label: 'flushed/s', better: 'more' },
      { key: 'flushUs', label: 'CPU us/flush', better: 'less' },
    ],
    goals: () => [],
    measure: async ({ server, load, scale }) => {
      const endpoint = endpointOf(server, 'plaintext');
      const away = { from: 1, users: scale.away, each: scale.messagesEach };
      const messages = away.users * away.each;
      await load.run('open', { endpoint, from: 0, count: 1, atOnce: 1, arrives: true });
      await untilIdle(server);
      const spentUs = async (task: () => Promise<{ seconds: number }>): Promise<[seconds: number, eachUs: number]> => {
        const before = processorTime(server.pid, 'paced');
        const { seconds } = await task();
        await untilIdle(server); // what a server does later counts too
        const after = processorTime(server.pid, 'paced');
        return [seconds, (after.mainUs - before.mainUs) / messages];
      };
      const [storeSeconds, storeUs] = await spentUs(() => load.run('storeOffline', away));
      const [flushSeconds, flushUs] = await spentUs(() =>
        load.run('flushOffline', { endpoint, ...away, atOnce: ARRIVALS_AT_ONCE }),
      );
      await load.run('reset', {});
      await untilIdle(server);
      return {
        storedPerSecond: messages / storeSeconds,
        storeUs,
        flushedPerSecond: messages / flushSeconds,
        flushUs,
      };
    },
  },
];
