import { certificates } from './certificates.ts';
import type { Check } from './check.ts';
import { configuration } from './configuration.ts';
import { controlSocket } from './control-socket-file.ts';
import { dataDirectory } from './data-directory.ts';
import { descriptors } from './descriptors.ts';
import { disk } from './disk.ts';
import { dns } from './dns.ts';
import { federation } from './federation.ts';
import { machineClock } from './machine-clock.ts';
import { ports } from './ports.ts';
import { serverState } from './server-state.ts';
import { storeFormat } from './store-format.ts';

/** Everything `posthorn doctor` looks at, in the order of its report. */
export const CHECKS: readonly Check[] = [
  ...[serverState, configuration, ports, certificates, dns, federation],
  ...[dataDirectory, controlSocket, storeFormat, disk, descriptors, machineClock],
];
