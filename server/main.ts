#!/usr/bin/env node
import type { Config } from '../config/options.ts';
import { runCommandLine } from './admin/cli.ts';
import { posthornVersion } from './version.ts';

process.exitCode = await runCommandLine(process.argv, { version: posthornVersion(), start: runServer });

/** Runs a server until it is told to stop (SIGTERM, SIGINT, `posthorn stop`). SIGHUP reads certificates again. */
async function runServer(config: Config): Promise<void> {
  // Only here: the other commands answer at once without the server's code.
  const [{ startServer }, { openLog }, { openControlSocket }, { COMMANDS }] = await Promise.all([
    import('./server.ts'),
    import('./log.ts'),
    import('./admin/control-socket.ts'),
    import('./admin/commands/command-table.ts'),
  ]);
  const log = openLog({ level: config.log.level });
  // A bug in one stanza's handling that nothing else caught harms nobody else.
  process.on('uncaughtException', (error) => log.error({ error: error.stack }, 'uncaught exception'));
  process.on('unhandledRejection', (reason) => {
    log.error({ error: reason instanceof Error ? reason.stack : String(reason) }, 'unhandled rejection');
  });

  const server = await startServer({ config, log });
  let end: (() => void) | undefined;
  const ended = new Promise<void>((resolve) => (end = resolve));
  const control = await openControlSocket({
    path: config.admin.controlSocket,
    commands: COMMANDS,
    context: {
      config,
      storage: server.operations.storage,
      server: server.operations,
      requestStop: async () => {
        await server.stop();
        setImmediate(() => end?.()); // after the answer has been written
      },
      now: () => Date.now(),
    },
    log,
  }).catch(async (error: unknown) => {
    // Without it nobody could steer the server: better not to run than to run unseen.
    await server.stop();
    throw error;
  });
  let isStopping = false;
  const stop = (): void => {
    if (isStopping) process.exit(1);
    isStopping = true;
    server.stop().then(end, (error: unknown) => {
      log.error({ error: String(error) }, 'the server did not stop in order');
      process.exit(1);
    });
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  process.on('SIGHUP', () => void server.operations.reload());

  for (const { name, address, port } of server.listening)
    process.stdout.write(`listening: ${name} ${address} ${port}\n`);
  if (server.caFile !== undefined) process.stdout.write(`clients trust: ${server.caFile}\n`);
  process.stdout.write(`next: npx posthorn user add juliet@${config.domains[0] ?? 'localhost'}\n`);
  await ended;
  await control.close();
  // Timers of the login throttle may still run; everything is committed.
  process.exit(0);
}
