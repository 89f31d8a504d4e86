import type { Config } from '../../config/options.ts';
import type { Command } from './command.ts';
import { openStoreOfStoppedServer } from './stopped-store.ts';
import { connectToServer } from './control-client.ts';
import { CommandError } from './exit-codes.ts';

/** Where commands are carried out: in the running server, or here on the store of one that is down. */
export interface Executor {
  /** @throws CommandError, StoreError */
  run<Arguments, Result>(command: Command<Arguments, Result>, input: Arguments): Promise<Result>;
  close(): Promise<void>;
}

/**
 * Asks the running server; where none runs and the command needs only the store, opens that.
 * @throws CommandError `not-running` where the server is needed and down, StoreError where the store cannot be opened
 */
export async function openExecutor(config: Config, needs: 'store' | 'server'): Promise<Executor> {
  const client = await connectToServer(config.admin.controlSocket);
  if (client !== undefined) {
    return {
      // What answers is our own server, of the same user: its result has the command's type.
      run: async <Arguments, Result>(command: Command<Arguments, Result>, input: Arguments) =>
        (await client.ask(command.name, input)) as Result,
      close: () => {
        client.close();
        return Promise.resolve();
      },
    };
  }
  if (needs === 'server') {
    const message = `the server is not running: nothing answers at ${config.admin.controlSocket}`;
    throw new CommandError('not-running', message);
  }
  const storage = await openStoreOfStoppedServer(config);
  const context = { config, storage, server: undefined, requestStop: undefined, now: () => Date.now() };
  return {
    run: (command, input) => command.run(context, input),
    close: () => storage.close(),
  };
}
