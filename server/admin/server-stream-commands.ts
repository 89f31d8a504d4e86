import type { Command as CommandLine } from 'commander';

import type { Command } from './command.ts';
import { s2sClose, s2sConnect, s2sList } from './commands/server-streams.ts';

/** Adds `s2s list`, `s2s connect` and `s2s close` to the command line. */
export function addServerStreamCommands(
  line: CommandLine,
  run: <Arguments, Result>(command: Command<Arguments, Result>, input: Arguments) => Promise<void>,
): void {
  const s2s = line.command('s2s').description('streams to and from other servers');
  s2s
    .command('list')
    .argument('[domain]', 'only those of this domain')
    .description(s2sList.summary)
    .action((domain: string | undefined) => run(s2sList, domain === undefined ? {} : { domain }));
  s2s
    .command('connect')
    .argument('<domain>', 'the domain of the other server')
    .option('--from <domain>', 'the domain of ours to prove; the first unless given')
    .description(s2sConnect.summary)
    .action((domain: string, { from }: { from?: string }) =>
      run(s2sConnect, { domain, ...(from !== undefined && { from }) }),
    );
  s2s
    .command('close')
    .argument('<domain>', 'the domain of the other server')
    .description(s2sClose.summary)
    .action((domain: string) => run(s2sClose, { domain }));
}
