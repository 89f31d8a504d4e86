#!/usr/bin/env node
import type { Config } from '../config/options.ts';
import { runCommandLine } from './admin/cli.ts';
import { systemClock } from './clock.ts';
import type { Faults } from './faults.ts';
import type { Log } from './log.ts';
import type { RunningServer } from './server.ts';
import { posthornVersion } from './version.ts';
import { keepAllocationYoung } from './young-generation.ts';

/** How long an orderly end may take that a defect has made necessary. */
const LAST_STOP_MS = 15_000;

process.exitCode = await runCommandLine(process.argv, { version: posthornVersion(), start: runServer });

/**
 * Runs a server until it is told to stop (SIGTERM, SIGINT, `posthorn stop`). SIGHUP reads certificates again. What a
 * person who starts it wants to know goes to standard output, the log to standard error.
 */
async function runServer(config: Config): Promise<void> {
  keepAllocationYoung();
  // Only here: the other commands answer at once without the server's code.
  const [
    { startServer },
    { openLog },
    { Faults },
    { openControlSocket },
    { COMMANDS },
    { explainStart, refuseSecondServer, startLines },
    { IdleCollection },
  ] = await Promise.all([
    import('./server.ts'),
    import('./log.ts'),
    import('./faults.ts'),
    import('./admin/control-socket.ts'),
    import('./admin/commands/command-table.ts'),
    import('./admin/start-advice.ts'),
    import('./idle-collection.ts'),
  ]);
  const log = openLog({ level: config.log.level });
  const faults = new Faults(systemClock);
  let server: RunningServer | undefined;
  surviveFaults(log, faults, () => server);
  // From the beginning: unheard, it would end a server that is still starting.
  process.on('SIGHUP', () => void server?.operations.reload());

  await refuseSecondServer(config);
  const running = (server = await startServer({ config, log, faults }).catch((error: unknown) => {
    throw explainStart(error, config);
  }));
  let end: (() => void) | undefined;
  const ended = new Promise<void>((resolve) => (end = resolve));
  const control = await openControlSocket({
    path: config.admin.controlSocket,
    commands: COMMANDS,
    context: {
      config,
      storage: running.operations.storage,
      server: running.operations,
      requestStop: async () => {
        await running.stop();
        setImmediate(() => end?.()); // after the answer has been written
      },
      now: () => Date.now(),
    },
    log,
  }).catch(async (error: unknown) => {
    // Without it nobody could steer the server: better not to run than to run unseen.
    await running.stop();
    throw error;
  });
  let isStopping = false;
  const stop = (): void => {
    if (isStopping) process.exit(1);
    isStopping = true;
    running.stop().then(end, (error: unknown) => {
      log.error({ error: String(error) }, 'the server did not stop in order');
      process.exit(1);
    });
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);

  const collection = new IdleCollection({ clock: systemClock, log });
  startLines(running, config).then(
    (lines) => process.stdout.write(lines),
    (error: unknown) => {
      // Told to stop at once: the store is closed before it has said who is there.
      if (!isStopping) log.warn({ error: String(error) }, 'cannot say what comes next');
    },
  );
  await ended;
  collection.close();
  await control.close();
  // Timers of the login throttle may still run; everything is committed.
  process.exit(0);
}

/**
 * A defect in one stanza's handling that nothing else caught harms nobody else: it is logged and counted, and the process
 * goes on. It is not safe to go on before the server has started, when the process itself is broken, or when defects do
 * not end (Faults.note): then the process ends with 1, in order if it can, and whoever supervises it starts it anew.
 */
function surviveFaults(log: Log, faults: Faults, server: () => RunningServer | undefined): void {
  let isEnding = false;
  const survive = (what: string) => (error: unknown) => {
    log.error({ error: error instanceof Error ? error.stack : String(error) }, what);
    const mayGoOn = faults.note(error);
    const running = server();
    if (running !== undefined && (mayGoOn || isEnding)) return;
    log.error({ faults: faults.count }, 'it is not safe to go on after this: the process ends');
    if (running === undefined) process.exit(1);
    isEnding = true;
    setTimeout(() => process.exit(1), LAST_STOP_MS);
    running.stop().then(
      () => process.exit(1),
      () => process.exit(1),
    );
  };
  process.on('uncaughtException', survive('uncaught exception'));
  process.on('unhandledRejection', survive('unhandled rejection'));
  // Else Node.js writes them between the lines of the log.
  process.removeAllListeners('warning');
  process.on('warning', ({ name, message }) => log.warn({ name, warning: message }, 'Node.js warns'));
}
