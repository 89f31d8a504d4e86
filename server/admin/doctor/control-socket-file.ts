import { stat } from 'node:fs/promises';

import { MAX_PATH_BYTES } from '../control-protocol.ts';
import { codeOf, fine, found, type Check, type Observation } from './check.ts';

/** Whether the control socket can be made, and is open to its owner alone. */
export const controlSocket: Check = {
  name: 'control socket',
  examine: async ({ config, running }): Promise<Observation[]> => {
    const path = config.admin.controlSocket;
    if (Buffer.byteLength(path) > MAX_PATH_BYTES) {
      const advice = 'set admin.control_socket to a shorter one, such as "/run/posthorn/control.sock"';
      return [found('error', path, `the path is longer than ${MAX_PATH_BYTES} bytes`, advice)];
    }
    const stats = await stat(path).catch((error: unknown) => codeOf(error));
    if (stats === 'ENOENT') return [fine(path, 'is made when the server starts')];
    if (typeof stats === 'string') {
      return [found('error', path, `cannot be looked at (${stats})`, 'run this as the user the server runs as')];
    }
    if (!stats.isSocket()) return [found('error', path, 'is no socket', 'move it away: the server needs this place')];
    if ((stats.mode & 0o077) !== 0) {
      const what = 'is open to other users of this machine, who can do anything with the server';
      return [found('error', path, what, `chmod 600 ${path}`)];
    }
    if (running !== undefined) return [fine(path, 'answers, and is open to its owner alone')];
    return [found('note', path, 'was left behind by a server that was killed', 'nothing: the next start replaces it')];
  },
};
