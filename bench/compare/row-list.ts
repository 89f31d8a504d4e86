import type { Row } from './row.ts';
import { ARCHIVE_ROWS } from './rows/archives.ts';
import { CHAT_ROWS } from './rows/chat.ts';
import { GROWTH_ROWS } from './rows/growth.ts';
import { LATENCY_ROWS } from './rows/latency.ts';
import { LOGIN_ROWS } from './rows/logins.ts';
import { memoryRows } from './rows/memory.ts';
import { OFFLINE_ROWS } from './rows/offline.ts';
import { ROSTER_ROWS } from './rows/rosters.ts';
import { START_UP_ROWS } from './rows/start-up.ts';
import { STORM_ROWS } from './rows/storm.ts';

/**
 * Every row of the comparison, in the order of the report. Rows for rooms join here: a file in rows/, a line in
 * this list.
 * @param nodeMajor the version of Node.js that runs Posthorn
 * @param otherMajor that of another one, on which it is measured too
 */
export function rowList(nodeMajor: number, otherMajor?: number): readonly Row[] {
  return [
    ...CHAT_ROWS,
    ...GROWTH_ROWS,
    ...LATENCY_ROWS,
    ...LOGIN_ROWS,
    ...memoryRows(nodeMajor, otherMajor),
    ...STORM_ROWS,
    ...OFFLINE_ROWS,
    ...ROSTER_ROWS, // behind those that want empty rosters: a server is shared
    ...ARCHIVE_ROWS,
    ...START_UP_ROWS,
  ];
}
