import { readFile } from 'node:fs/promises';

import { fine, found, type Check, type Observation } from './check.ts';

/** LevelDB keeps so many tables open at most; listeners, the log and the rest of the process need a few more. */
const OTHERS = 1000 + 100;

/** Whether the process may have as many file descriptors as connections are configured. */
export const descriptors: Check = {
  name: 'file descriptors',
  examine: async ({ config, running }): Promise<Observation[]> => {
    const subject = running === undefined ? 'this user' : `process ${running.processId}`;
    const limits = await readFile(`/proc/${running?.processId ?? 'self'}/limits`, 'utf8').catch(() => undefined);
    const limit = /^Max open files\s+(\d+|unlimited)/m.exec(limits ?? '')?.[1];
    if (limit === undefined) return [fine(subject, 'the limit cannot be found out on this system')];
    const needed = config.c2s.maxConnections + OTHERS;
    if (limit === 'unlimited' || Number(limit) >= needed) return [fine(subject, `may open ${limit} files`)];
    const what = `may open ${limit} files, ${needed} are needed for c2s.max_connections = ${config.c2s.maxConnections}`;
    const advice = `set LimitNOFILE=${needed} in the systemd unit ("ulimit -n" in a shell), or lower c2s.max_connections`;
    // The limit of a service is not that of the shell in which this runs.
    return [found(running === undefined ? 'note' : 'warning', subject, what, advice)];
  },
};
