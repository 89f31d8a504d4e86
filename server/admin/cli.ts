import { randomBytes } from 'node:crypto';
import { Command as CommandLine, CommanderError } from 'commander';

import { loadConfig } from '../../config/load.ts';
import { ConfigError } from '../../config/mistakes.ts';
import type { Config } from '../../config/options.ts';
import { renderReference } from '../../config/reference.ts';
import { deriveCredentials } from '../sasl/scram-keys.ts';
import type { Command } from './command.ts';
import { pipeline, reload, send, sessionKick, sessionList, status, stop } from './commands/running-server.ts';
import { userAdd, userDisable, userEnable, userList, userPasswd, userRemove, userShow } from './commands/users.ts';
import { openStoreOfStoppedServer } from './configured-storage.ts';
import { connectToServer } from './control-client.ts';
import { CommandError, EXIT_CODE_MEANINGS, EXIT_CODES } from './exit-codes.ts';
import { readNewPassword, type PasswordSource } from './password-input.ts';
import { credentialsToText } from './scram-text.ts';

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
    return EXIT_CODES.done;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT_CODES.done : EXIT_CODES.usage;
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    if (error instanceof ConfigError) return EXIT_CODES.usage;
    return error instanceof CommandError ? EXIT_CODES[error.code] : EXIT_CODES.failed;
  }
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
        await run(command, { jid, keys });
        if (source.generate) process.stdout.write(`password: ${password}\n`);
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
  user
    .command('list')
    .description(userList.summary)
    .option('--domain <domain>', 'only accounts of this domain')
    .option('--after <jid>', 'the last account of the page before')
    .option('--limit <number>', 'accounts on a page', Number, 500)
    .action((page: { domain?: string; after?: string; limit: number }) => run(userList, page));

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

  const configuration = line.command('config').description('the configuration');
  configuration
    .command('check')
    .description('read the configuration and list every mistake')
    .action(() => {
      const { file } = config();
      process.stdout.write(
        file === undefined ? 'no configuration file: the defaults hold\n' : `${file}: no mistakes\n`,
      );
    });
  configuration
    .command('reference')
    .description('print every option with its default and meaning')
    .action(() => void process.stdout.write(renderReference()));
  return line;
}

/** Asks the running server; where none runs and the command needs only the store, works on that. */
async function perform<Arguments, Result>(
  command: Command<Arguments, Result>,
  input: Arguments,
  config: Config,
): Promise<Result> {
  const client = await connectToServer(config.admin.controlSocket);
  if (client !== undefined) {
    try {
      return (await client.ask(command.name, input)) as Result;
    } finally {
      client.close();
    }
  }
  if (command.needs === 'server') throw new CommandError('not-running', 'the server is not running');
  const storage = await openStoreOfStoppedServer(config);
  try {
    const context = { config, storage, server: undefined, requestStop: undefined, now: () => Date.now() };
    return await command.run(context, input);
  } finally {
    await storage.close();
  }
}

async function keysOf(password: string, config: Config): Promise<string[]> {
  const random = (length: number): Buffer => randomBytes(length);
  try {
    return credentialsToText(await deriveCredentials(password, { iterations: config.sasl.scramIterations, random }));
  } catch (error) {
    throw new CommandError('usage', `this cannot be a password: ${String(error)}`, { cause: error });
  }
}

function print<Result>(command: Command<never, Result>, result: Result, asJson: boolean): void {
  process.stdout.write(`${asJson ? JSON.stringify(result) : command.render(result)}\n`);
}

function lastWord(name: string): string {
  return name.slice(name.lastIndexOf(' ') + 1);
}
