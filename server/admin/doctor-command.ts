import type { Command as CommandLine } from 'commander';

import { ConfigError } from '../../config/mistakes.ts';
import type { Config } from '../../config/options.ts';
import { inspect } from './commands/running-server.ts';
import { connectToServer } from './control-client.ts';
import { countOf, examine, renderFindings, type Finding } from './doctor/examination.ts';
import { CommandError, EXIT_CODES } from './exit-codes.ts';
import type { ServerInspection } from './operations.ts';
import type { LineContext } from './transfer-commands.ts';

/** Adds `doctor`, which looks at everything a server needs, whether it runs or not. */
export function addDoctorCommand(line: CommandLine, { config, isJson }: LineContext): void {
  line
    .command('doctor')
    .description('examine ports, certificates, permissions, disk and more, and say what to do')
    .action(async () => {
      const { findings, hasMistakes } = await diagnose(config);
      const errors = countOf(findings, 'error');
      const warnings = countOf(findings, 'warning');
      if (isJson()) process.stdout.write(`${JSON.stringify({ findings, errors, warnings })}\n`);
      else process.stdout.write(`${renderFindings(findings)}\n`);
      if (hasMistakes) process.exitCode = EXIT_CODES.usage;
      else if (errors > 0) process.exitCode = EXIT_CODES['errors-found'];
      else if (warnings > 0) process.exitCode = EXIT_CODES['warnings-found'];
    });
}

interface Diagnosis {
  readonly findings: readonly Finding[];
  /** The configuration cannot be read, so nothing else was examined. */
  readonly hasMistakes: boolean;
}

async function diagnose(load: () => Config): Promise<Diagnosis> {
  let config: Config;
  try {
    config = load();
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const findings = error.mistakes.map(({ where, path, text }) => ({
      check: 'configuration',
      severity: 'error' as const,
      where: [where, path].filter((part) => part !== '').join(': '),
      what: text,
      advice: 'correct it, then run this again: nothing else was examined',
    }));
    return { findings, hasMistakes: true };
  }
  const { CHECKS } = await import('./doctor/checks.ts'); // not for those who type another command
  const context = { config, userId: process.getuid?.(), nowMs: Date.now() };
  try {
    return { findings: await examine(CHECKS, { ...context, running: await inspectionOf(config) }), hasMistakes: false };
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    const where = config.admin.controlSocket;
    const unreachable: Finding = {
      check: 'server',
      severity: 'error',
      where,
      what: error.message,
      advice: 'see its log',
    };
    return { findings: [unreachable], hasMistakes: false };
  }
}

async function inspectionOf(config: Config): Promise<ServerInspection | undefined> {
  const client = await connectToServer(config.admin.controlSocket);
  try {
    // What answers is our own server, of the same user.
    return client === undefined ? undefined : ((await client.ask(inspect.name, {})) as ServerInspection);
  } finally {
    client?.close();
  }
}
