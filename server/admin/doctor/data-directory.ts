import { constants } from 'node:fs';
import { access, stat, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';

import { codeOf, fine, found, type Check, type CheckContext, type Observation } from './check.ts';

/** Kinds of file systems by the number of statfs(2) that a database should not be on. */
const UNFIT = new Map([
  [0x01021994, 'in memory (tmpfs): it is gone after a restart of the machine'],
  [0x6969, 'on NFS, whose locks and syncing a database cannot rely on'],
  [0xff534d42, 'on a network share (CIFS), whose locks and syncing a database cannot rely on'],
]);

/** Whether the data directory belongs to the server, to nobody else, and lies on a disk. */
export const dataDirectory: Check = {
  name: 'data directory',
  examine: async (context) => {
    const directory = context.config.dataDirectory;
    const stats = await stat(directory).catch((error: unknown) => codeOf(error));
    if (stats === 'ENOENT') return [await makeable(directory)];
    if (typeof stats === 'string') {
      return [found('error', directory, `cannot be looked at (${stats})`, 'run this as the user the server runs as')];
    }
    if (!stats.isDirectory()) {
      return [found('error', directory, 'is no directory', 'set data_directory to a directory')];
    }
    const observations = [
      ...ownership(directory, stats, context),
      ...openness(directory, stats.mode),
      ...(await writability(directory)),
      ...(await fileSystem(directory)),
    ];
    return observations.length > 0 ? observations : [fine(directory, 'belongs to the server and to nobody else')];
  },
};

async function makeable(directory: string): Promise<Observation> {
  let parent = dirname(directory);
  while (parent !== dirname(parent) && (await stat(parent).catch(() => undefined)) === undefined)
    parent = dirname(parent);
  try {
    await access(parent, constants.W_OK | constants.X_OK);
    return fine(directory, 'is made at the first start');
  } catch (error) {
    const advice = `make it and give it to the user the server runs as, or set data_directory to another place`;
    return found('error', directory, `does not exist and cannot be made in ${parent} (${codeOf(error)})`, advice);
  }
}

function ownership(
  directory: string,
  { uid }: { readonly uid: number },
  { running, userId }: CheckContext,
): Observation[] {
  const server = running?.userId;
  if (server !== undefined && uid !== server) {
    const what = `belongs to user ${uid}, the server runs as user ${server}`;
    return [found('error', directory, what, `chown -R ${server} it`)];
  }
  if (server !== undefined || userId === undefined || uid === userId) return [];
  const what = `belongs to user ${uid}, this command runs as user ${userId}`;
  const advice = `run posthorn as its owner (sudo -u '#${uid}'), or files come to belong to the wrong user`;
  return [found('warning', directory, what, advice)];
}

function openness(directory: string, mode: number): Observation[] {
  if ((mode & 0o022) !== 0) {
    return [found('error', directory, 'others can write to it', `chmod 700 ${directory}`)];
  }
  return (mode & 0o055) === 0 ? [] : [found('warning', directory, 'others can look into it', `chmod 700 ${directory}`)];
}

async function writability(directory: string): Promise<Observation[]> {
  try {
    await access(directory, constants.R_OK | constants.W_OK | constants.X_OK);
    return [];
  } catch (error) {
    const advice = 'run this as the user the server runs as, and see that the disk is not read-only';
    return [found('error', directory, `cannot be written (${codeOf(error)})`, advice)];
  }
}

async function fileSystem(directory: string): Promise<Observation[]> {
  const problem = UNFIT.get((await statfs(directory)).type);
  return problem === undefined
    ? []
    : [found('warning', directory, `is ${problem}`, 'set data_directory to a directory on a disk of this machine')];
}
