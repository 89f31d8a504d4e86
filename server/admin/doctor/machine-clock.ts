import { stat } from 'node:fs/promises';
import { join } from 'node:path';

import { fine, found, type Check, type Observation } from './check.ts';

/** Before this there was no Posthorn. */
const EARLIEST_MS = Date.UTC(2026, 0, 1);
const TOLERANCE_MS = 60_000;

/** Whether the clock can be right: certificates, delays and the order of archives rely on it. */
export const machineClock: Check = {
  name: 'clock',
  examine: async ({ config, nowMs, running }): Promise<Observation[]> => {
    const shown = new Date(nowMs).toISOString();
    const advice = 'set it, and have it set by NTP (timedatectl set-ntp true)';
    if (nowMs < EARLIEST_MS) return [found('error', 'clock', `shows ${shown}, before this version was made`, advice)];
    // LevelDB writes its log all the time.
    const files = ['store/LOG', 'store/CURRENT'].map((name) => join(config.dataDirectory, name));
    const written = await Promise.all(
      files.map((file) =>
        stat(file).then(
          ({ mtimeMs }) => mtimeMs,
          () => 0,
        ),
      ),
    );
    const latestMs = Math.max(running?.startedAt ?? 0, ...written);
    if (latestMs <= nowMs + TOLERANCE_MS) return [fine('clock', `shows ${shown}`)];
    const what = `shows ${shown}, but the store was written at ${new Date(latestMs).toISOString()}: it was set back`;
    return [found('warning', 'clock', what, advice)];
  },
};
