import { settle, untilIdle } from '../measurement.ts';
import { residentBytes } from '../process-usage.ts';
import { HISTORY_OFF, type Row } from '../row.ts';

const MEGABYTE = 1_000_000;

/** A server that has just been started. */
export const START_UP_ROWS: readonly Row[] = [
  {
    id: 'start-up',
    title: 'start-up, and resident memory with nobody there',
    note: 'from the start of the process to the first stream features, with 1 000 accounts; memory as in the rows above, settled',
    setting: HISTORY_OFF,
    isFresh: true,
    users: () => 1000,
    figures: () => [
      { key: 'startUpMs', label: 'start-up ms', better: 'less' },
      { key: 'residentMB', label: 'idle MB', better: 'less' },
    ],
    goals: () => [
      { kind: 'limit', figure: 'startUpMs', atMost: 1000 },
      { kind: 'limit', figure: 'residentMB', atMost: 90 },
    ],
    measure: async ({ server, scale }) => {
      await untilIdle(server);
      await settle(scale);
      return { startUpMs: server.startUpMs, residentMB: residentBytes(server.pid) / MEGABYTE };
    },
  },
];
