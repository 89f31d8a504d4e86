import { Command as CommandLine, CommanderError } from 'commander';

import { loadConfig } from '../../config/load.ts';
import { ConfigError } from '../../config/mistakes.ts';
import type { Config } from '../../config/options.ts';
import { renderReference } from '../../config/reference.ts';
import { PrecisError } from '../../stanzas/precis.ts';
import { keysOfPassword } from './account-transfer.ts';
import { addAuditCommands } from './audit-commands.ts';
import { addBackupCommands } from './backup-commands.ts';
import type { Command } from './command.ts';
import { pipeline, reload, send, sessionKick, sessionList, status, stop } from './commands/running-server.ts';
import { userAdd, userDisable, userEnable, userList, userPasswd, userRemove, userShow } from './commands/users.ts';
import type { AccountSummary } from './commands/users.ts';
import { addDoctorCommand } from './doctor-command.ts';
import { openExecutor } from './executor.ts';
import { CommandError, EXIT_CODE_MEANINGS, EXIT_CODES, type FailureCode } from './exit-codes.ts';
import { readNewPassword, type PasswordSource } from './password-input.ts';
import { addArchiveCommands } from './archive-commands.ts';
import { addComponentCommands } from './component-commands.ts';
import { addServerStreamCommands } from './server-stream-commands.ts';
import { addTokenCommands } from './token-commands.ts';
import { addTransferCommands } from './transfer-commands.ts';

const LIST_PAGE = 500;

/** What the command line needs from the layer above. */
export interface CommandLineOptions {
  readonly version: string;
  /** Starts a server and resolves when it has stopped. */
  readonly start: (config: Config) => Promise<void>;
}

interface GlobalOptions {
  readonly config?: string;
  readonly json?: boolean;
}

/** Runs one command line; resolves to the exit code. */
export async function runCommandLine(argv: readonly string[], options: CommandLineOptions): Promise<number> {
  try {
    await program(options).parseAsync([...argv]);
    return Number(process.exitCode ?? EXIT_CODES.done);
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT_CODES.done : EXIT_CODES.usage;
    process.stderr.write(`${argv.includes('--json') ? failureJson(error) : messageOf(error)}\n`);
    return EXIT_CODES[codeOf(error)];
  }
}

/** A failure for a script: its code is that of the exit codes by name. */
function failureJson(error: unknown): string {
  const mistakes = error instanceof ConfigError ? { mistakes: error.mistakes } : {};
  return JSON.stringify({ error: { code: codeOf(error), message: messageOf(error), ...mistakes } });
}

function codeOf(error: unknown): FailureCode {
  if (error instanceof ConfigError) return 'usage';
  return error instanceof CommandError ? error.code : 'failed';
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function program({ version, start }: CommandLineOptions): CommandLine {
  const line = new CommandLine('posthorn')
    .description('An XMPP server. Configuration: "posthorn config reference".')
    .version(version)
    .option('-c, --config <file>', 'the configuration file')
    .option('--json', 'print results as JSON')
    .addHelpText('after', `\n${EXIT_CODE_MEANINGS}`)
    .exitOverride();
  const globals = (): GlobalOptions => line.opts<GlobalOptions>();
  const config = (): Config => {
    const { config: file } = globals();
    return loadConfig({ file, environment: process.env, workingDirectory: process.cwd() });
  };
  const run = async <Arguments, Result>(command: Command<Arguments, Result>, input: Arguments): Promise<void> => {
    print(command, await perform(command, input, config()), globals().json === true);
  };

  line
    .command('start')
    .description('start the server')
    .action(() => start(config()));
  const plain = <Result>(command: Command<Record<string, never>, Result>): void => {
    line
      .command(command.name)
      .description(command.summary)
      .action(() => run(command, {}));
  };
  plain(status);
  plain(stop);
  plain(reload);
  plain(pipeline);

  addDoctorCommand(line, { config, isJson: () => globals().json === true });

  const user = line.command('user').description('accounts');
  for (const command of [userAdd, userPasswd]) {
    user
      .command(`${lastWord(command.name)} <jid>`)
      .description(command.summary)
      .option('--password-stdin', 'read the password from standard input')
      .option('--generate', 'make a password and print it')
      .action(async (jid: string, chosen: { passwordStdin?: boolean; generate?: boolean }) => {
        const source: PasswordSource = {
          generate: chosen.generate === true,
          fromStandardInput: chosen.passwordStdin === true,
        };
        const password = await readNewPassword(source);
        const keys = await keysOf(password, config());
        const outcome = await perform(command, { jid, keys }, config());
        const shown = source.generate ? { ...outcome, password } : outcome;
        if (globals().json === true) process.stdout.write(`${JSON.stringify(shown)}\n`);
        else print(command, outcome, false);
        if (source.generate && globals().json !== true) process.stdout.write(`password: ${password}\n`);
      });
  }
  const ofAccount = <Result>(command: Command<{ jid: string }, Result>): void => {
    user
      .command(`${lastWord(command.name)} <jid>`)
      .description(command.summary)
      .action((jid: string) => run(command, { jid }));
  };
  ofAccount(userDisable);
  ofAccount(userEnable);
  ofAccount(userRemove);
  ofAccount(userShow);
  addTransferCommands(user, { config, isJson: () => globals().json === true });
  user
    .command('list')
    .description(userList.summary)
    .option('--domain <domain>', 'only accounts of this domain')
    .action(async (filter: { domain?: string }) => {
      const accounts = await allAccounts(config(), filter);
      // Nothing at all, rather than an empty line, where there is no account.
      if (accounts.length > 0 || globals().json === true) print(userList, { accounts }, globals().json === true);
    });

  addTokenCommands(line, run);
  addArchiveCommands(line, run, (command, input) => perform(command, input, config()));
  addServerStreamCommands(line, run);
  addComponentCommands(line, run);
  const session = line.command('session').description('sessions of the running server');
  session
    .command('list')
    .argument('[jid]')
    .description(sessionList.summary)
    .action((jid: string | undefined) => run(sessionList, jid === undefined ? {} : { jid }));
  session
    .command('kick')
    .argument('<jid>', 'a full JID, or a bare one for all its sessions')
    .option('--reason <text>', 'what the client is told')
    .description(sessionKick.summary)
    .action((jid: string, { reason }: { reason?: string }) =>
      run(sessionKick, reason === undefined ? { jid } : { jid, reason }),
    );

  line
    .command('send')
    .argument('<to>')
    .argument('<body>')
    .option('--from <jid>', 'the sender; the domain itself unless given')
    .description(send.summary)
    .action((to: string, body: string, { from }: { from?: string }) =>
      run(send, from === undefined ? { to, body } : { to, body, from }),
    );

  addAuditCommands(line, { config, isJson: () => globals().json === true });
  addBackupCommands(line, { config, isJson: () => globals().json === true });

  const configuration = line.command('config').description('the configuration');
  configuration
    .command('check')
    .description('read the configuration and list every mistake')
    .action(() => {
      const { file } = config();
      const text = file === undefined ? 'no configuration file: the defaults hold' : `${file}: no mistakes`;
      const isJson = globals().json === true;
      process.stdout.write(`${isJson ? JSON.stringify({ file: file ?? null, mistakes: [] }) : text}\n`);
    });
  configuration
    .command('reference')
    .description('print every option with its default and meaning')
    .action(() => void process.stdout.write(renderReference()));
  return line;
}

async function perform<Arguments, Result>(
  command: Command<Arguments, Result>,
  input: Arguments,
  config: Config,
): Promise<Result> {
  const executor = await openExecutor(config, command.needs);
  try {
    return await executor.run(command, input);
  } finally {
    await executor.close();
  }
}

/** Every account, asked for in pages so that no reply is without bound. */
async function allAccounts(config: Config, filter: { readonly domain?: string }): Promise<AccountSummary[]> {
  const executor = await openExecutor(config, userList.needs);
  try {
    const accounts: AccountSummary[] = [];
    let after: string | undefined;
    do {
      const page = await executor.run(userList, {
        ...filter,
        limit: LIST_PAGE,
        ...(after !== undefined && { after }),
      });
      accounts.push(...page.accounts);
      after = page.next;
    } while (after !== undefined);
    return accounts;
  } finally {
    await executor.close();
  }
}

async function keysOf(password: string, config: Config): Promise<string[]> {
  try {
    return await keysOfPassword(password, config);
  } catch (error) {
    if (!(error instanceof PrecisError) && !(error instanceof RangeError)) throw error;
    throw new CommandError('usage', `this cannot be a password: ${error.message}`, { cause: error });
  }
}

function print<Result>(command: Command<never, Result>, result: Result, asJson: boolean): void {
  process.stdout.write(`${asJson ? JSON.stringify(result) : command.render(result)}\n`);
}

function lastWord(name: string): string {
  return name.slice(name.lastIndexOf(' ') + 1);
}
