import type * as z from 'zod';

import type { Config } from '../../config/options.ts';
import type { Storage } from '../../storage/storage.ts';
import { CommandError } from './exit-codes.ts';
import type { ServerOperations } from './operations.ts';

/** What a command works with. */
export interface CommandContext {
  readonly config: Config;
  readonly storage: Storage;
  /** The running server; undefined where the command works on the store of a server that is down. */
  readonly server: ServerOperations | undefined;
  /** Begins the end of the server's process; resolves when everything is committed. */
  readonly requestStop: (() => Promise<void>) | undefined;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/** One command: behind the command line, the control socket and whatever else administers the server. */
export interface Command<Arguments, Result> {
  /** As it is typed: `user add`. */
  readonly name: string;
  /** `store`: also works while the server is down. `server`: asks the running server. */
  readonly needs: 'store' | 'server';
  /** What it does, in one line of `--help`. */
  readonly summary: string;
  /** Checks arguments from outside and runs. Rejects with CommandError, StoreError, StanzaError. */
  readonly run: (context: CommandContext, input: Arguments) => Promise<Result>;
  /** The result for people, lines without a final newline. */
  readonly render: (result: Result) => string;
}

/** A command whose arguments and result are not known here: what the control socket sees. */
export type AnyCommand = Pick<Command<unknown, unknown>, 'name' | 'needs' | 'summary'> & {
  readonly runUnchecked: (context: CommandContext, input: unknown) => Promise<unknown>;
};

interface Definition<Arguments, Result> {
  readonly name: string;
  readonly needs: 'store' | 'server';
  readonly summary: string;
  readonly arguments: z.ZodType<Arguments>;
  readonly run: (context: CommandContext, input: Arguments) => Promise<Result> | Result;
  readonly render: (result: Result) => string;
}

/** Declares a command. Arguments and result must be what JSON can carry. */
export function defineCommand<Arguments, Result>(
  definition: Definition<Arguments, Result>,
): Command<Arguments, Result> & AnyCommand {
  const { name, needs, summary, render } = definition;
  const run = async (context: CommandContext, input: unknown): Promise<Result> => {
    const parsed = definition.arguments.safeParse(input);
    if (!parsed.success) throw new CommandError('usage', `${name}: ${problemsOf(parsed.error)}`);
    return await definition.run(context, parsed.data);
  };
  return { name, needs, summary, run, runUnchecked: run, render };
}

/** zod's words name what was expected, never the value: it may be a password. */
function problemsOf(error: z.ZodError): string {
  return error.issues
    .slice(0, 3)
    .map(({ path, code, message }) =>
      [path.join('.'), code === 'unrecognized_keys' ? 'unknown argument' : message]
        .filter((part) => part !== '')
        .join(': '),
    )
    .join('; ');
}

/** The running server of a context. @throws CommandError where it is down */
export function runningServer({ server }: CommandContext): ServerOperations {
  if (server === undefined) throw new CommandError('not-running', 'the server is not running');
  return server;
}
