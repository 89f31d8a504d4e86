import { stat, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';

import { fine, found, type Check, type Observation } from './check.ts';

const MIB = 1024 * 1024;
/** Below this LevelDB cannot rewrite its tables, and soon not write at all. */
const MIN_BYTES = 100 * MIB;
const COMFORTABLE_BYTES = 1024 * MIB;
const MIN_FILES = 1000;

/** Whether the disk of the data directory has room. */
export const disk: Check = {
  name: 'disk',
  examine: async ({ config }): Promise<Observation[]> => {
    let directory = config.dataDirectory;
    while (directory !== dirname(directory) && (await stat(directory).catch(() => undefined)) === undefined) {
      directory = dirname(directory);
    }
    const { bavail, bsize, files, ffree } = await statfs(directory);
    const freeBytes = bavail * bsize;
    const what = `${Math.floor(freeBytes / MIB)} MiB are free`;
    const observations: Observation[] = [];
    if (freeBytes < MIN_BYTES) {
      observations.push(found('error', directory, what, 'make room: without it messages are refused'));
    } else if (freeBytes < COMFORTABLE_BYTES) {
      observations.push(found('warning', directory, what, 'make room, or move data_directory to a larger disk'));
    }
    // Some file systems count no files.
    if (files > 0 && ffree < MIN_FILES) {
      const advice = 'remove small files: no more can be made';
      observations.push(found('error', directory, `only ${ffree} more files fit on the disk`, advice));
    }
    return observations.length > 0 ? observations : [fine(directory, what)];
  },
};
