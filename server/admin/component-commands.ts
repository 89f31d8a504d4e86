import type { Command as CommandLine } from 'commander';

import type { Command } from './command.ts';
import { componentList } from './commands/components.ts';

/** Adds `component list` to the command line. */
export function addComponentCommands(
  line: CommandLine,
  run: <Arguments, Result>(command: Command<Arguments, Result>, input: Arguments) => Promise<void>,
): void {
  line
    .command('component')
    .description('external components of the running server')
    .command('list')
    .description(componentList.summary)
    .action(() => run(componentList, {}));
}
