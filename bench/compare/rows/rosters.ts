import { ARRIVALS_AT_ONCE, endpointOf, untilIdle } from '../measurement.ts';
import { processorTime } from '../process-usage.ts';
import { HISTORY_OFF, type Row } from '../row.ts';

const RETURNS = 30;
const WARM_UP = 3;

/** Logging in as the roster grows. */
export const ROSTER_ROWS: readonly Row[] = [
  {
    id: 'rosters',
    title: 'login, roster, presence and leaving, as the roster grows, plaintext',
    note: 'all contacts are mutual and online: each gets the presence, and is waited for; one user, 30 times in turn',
    setting: HISTORY_OFF,
    isFresh: true, // it leaves rosters that are not empty
    rounds: ({ longRounds }) => longRounds,
    users: ({ contacts }) => 1 + Math.max(...contacts),
    figures: ({ contacts }) => [
      ...contacts.map((count) => ({
        key: processorKeyOf(count),
        label: `CPU us/login at ${count} contacts`,
        better: 'less' as const,
      })),
      ...contacts.map((count) => ({
        key: timeKeyOf(count),
        label: `ms until all are seen at ${count}`,
        better: 'less' as const,
      })),
    ],
    goals: () => [],
    measure: async ({ server, load, scale }) => {
      const endpoint = endpointOf(server, 'plaintext');
      const people = { from: 1, count: Math.max(...scale.contacts) };
      await load.run('open', { endpoint, ...people, atOnce: ARRIVALS_AT_ONCE, arrives: true });
      const values: Record<string, number> = {};
      let known = 0;
      for (const contacts of scale.contacts) {
        await load.run('befriend', { endpoint, user: 0, from: known, count: contacts - known });
        known = contacts;
        const options = { endpoint, user: 0, contacts };
        await load.run('comeAndGo', { ...options, count: WARM_UP });
        await untilIdle(server);
        const before = processorTime(server.pid, 'paced');
        const { medianMs } = await load.run('comeAndGo', { ...options, count: RETURNS });
        await untilIdle(server);
        const after = processorTime(server.pid, 'paced');
        values[processorKeyOf(contacts)] = (after.mainUs - before.mainUs) / RETURNS;
        values[timeKeyOf(contacts)] = medianMs;
      }
      await load.run('reset', {});
      return values;
    },
  },
];

function processorKeyOf(contacts: number): string {
  return `processorUsAt${contacts}`;
}

function timeKeyOf(contacts: number): string {
  return `msAt${contacts}`;
}
