import type { Command as CommandLine } from 'commander';

import type { Command } from './command.ts';
import { tokenList, tokenRevoke } from './commands/tokens.ts';

/** Adds `token list` and `token revoke` to the command line. */
export function addTokenCommands(
  line: CommandLine,
  run: <Arguments, Result>(command: Command<Arguments, Result>, input: Arguments) => Promise<void>,
): void {
  const token = line.command('token').description('devices that log in with a token instead of a password');
  token
    .command('list')
    .argument('<jid>')
    .description(tokenList.summary)
    .action((jid: string) => run(tokenList, { jid }));
  token
    .command('revoke')
    .argument('<jid>')
    .argument('[client]', 'one device, as "token list" names it; all of them unless given')
    .description(tokenRevoke.summary)
    .action((jid: string, client: string | undefined) =>
      run(tokenRevoke, client === undefined ? { jid } : { jid, client }),
    );
}
