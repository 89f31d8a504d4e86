import { existsSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';

import { configuredStorage } from '../../../storage/configured-storage.ts';
import { inspectStorage } from '../../../storage/storage.ts';
import { codeOf, fine, found, type Check, type Observation } from './check.ts';

/** Whether the store can be opened and has a layout that this Posthorn knows. */
export const storeFormat: Check = {
  name: 'store',
  examine: async ({ config, running, userId }): Promise<Observation[]> => {
    const options = configuredStorage(config);
    const { directory, backend } = options;
    if (backend === 'memory') return [fine('store', 'is in memory')];
    if (running !== undefined) return [fine(directory, 'is open in the server')];
    if (!existsSync(join(directory, 'CURRENT'))) return [fine(directory, 'is made at the first start')];
    const { uid } = await stat(directory);
    if (userId !== undefined && uid !== userId) {
      // To open LevelDB is to write files, which the server could then not open any more.
      const what = `belongs to user ${uid} and was not opened by user ${userId}`;
      return [found('note', directory, what, `run this as its owner to have it examined (sudo -u '#${uid}')`)];
    }
    try {
      const { layout, known } = await inspectStorage(options);
      if (layout === undefined) return [fine(directory, 'is empty')];
      if (layout > known) {
        const what = `has layout ${layout}, written by a newer Posthorn; this one knows layouts up to ${known}`;
        return [found('error', directory, what, 'install that version again, or restore the backup made before it')];
      }
      return [
        fine(
          directory,
          layout === known ? `has layout ${layout}` : `has layout ${layout}: a start brings it to ${known}`,
        ),
      ];
    } catch (error) {
      return [found('error', directory, error instanceof Error ? error.message : '', adviceFor(codeOf(error)))];
    }
  },
};

/** By the code of a StoreError. */
function adviceFor(code: string): string {
  switch (code) {
    case 'locked':
      return 'a server may be starting or stopping, or another command is at work: try again in a moment';
    case 'full':
      return 'make room on the disk';
    case 'corrupt':
      return 'restore the last backup; keep the damaged directory';
    default:
      return 'see to what the message names';
  }
}
