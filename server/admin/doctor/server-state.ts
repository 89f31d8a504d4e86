import { posthornVersion } from '../../version.ts';
import { fine, found, type Check, type Observation } from './check.ts';

/** Whether the server runs, and what it says of itself. */
export const serverState: Check = {
  name: 'server',
  examine: ({ running }) => {
    if (running === undefined) return [fine('server', 'is not running: what it would find at a start is examined')];
    const { processId, version, faults, storeFailure } = running;
    const observations: Observation[] = [fine('server', `runs as process ${processId}`)];
    if (version !== posthornVersion()) {
      const what = `runs version ${version}, this command is of version ${posthornVersion()}`;
      observations.push(found('warning', 'server', what, 'restart the server: "posthorn stop", then start it again'));
    }
    if (storeFailure !== undefined) {
      const advice = 'mend what the message names; until then messages are refused and none is lost';
      observations.push(found('error', 'server', `the store refuses what is written: ${storeFailure}`, advice));
    }
    const last = faults.at(-1);
    if (last !== undefined) {
      const what = `an error that nothing caught at ${new Date(last.at).toISOString()}: ${last.text}`;
      const advice = 'report it with the lines of the log around it: it is a defect of Posthorn';
      observations.push(found('warning', 'server', what, advice));
    }
    return observations;
  },
};
