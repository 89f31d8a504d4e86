import { loadConfig } from '../../../../config/load.ts';
import type { Check, CheckContext, Observation } from '../../../../server/admin/doctor/check.ts';
import type { ServerInspection } from '../../../../server/admin/operations.ts';

/** What a check is given in a test; everything else has its default. */
export interface Scene {
  readonly directory: string;
  readonly environment?: Readonly<Record<string, string>>;
  readonly running?: Partial<ServerInspection>;
  readonly userId?: number | undefined;
  readonly nowMs?: number;
}

/** The context of a check whose data directory is `data` in the scene's directory. */
export function contextOf({ directory, environment, running, ...rest }: Scene): CheckContext {
  const inspection: ServerInspection = {
    version: '0.0.0',
    startedAt: Date.now(),
    processId: process.pid,
    userId: process.getuid?.(),
    configurationFile: undefined,
    listening: [],
    certificates: [],
    faults: [],
    visitorKeys: [],
    storeFailure: undefined,
  };
  return {
    config: loadConfig({ environment: environment ?? {}, workingDirectory: directory, systemFile: '/nonexistent' }),
    running: running === undefined ? undefined : { ...inspection, ...running },
    userId: process.getuid?.(),
    nowMs: Date.now(),
    ...rest,
  };
}

/** What a check says, one line each, the scene's directory left out: `error data: is no directory`. */
export async function saysOf(check: Check, scene: Scene): Promise<string[]> {
  const observations: readonly Observation[] = await check.examine(contextOf(scene));
  return observations.map(({ severity, where, what }) =>
    `${severity} ${where}: ${what}`.replaceAll(`${scene.directory}/`, ''),
  );
}
