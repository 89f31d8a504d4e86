import type { Config } from '../../config/options.ts';
import { configuredStorage } from '../../storage/configured-storage.ts';
import { StoreError } from '../../storage/ordered-store.ts';
import { connectToServer } from './control-client.ts';
import { CommandError } from './exit-codes.ts';
import type { ServerOperations } from './operations.ts';

/** A server that has just started. */
export interface StartedServer {
  readonly operations: Pick<ServerOperations, 'storage'>;
  readonly listening: readonly { readonly name: string; readonly address: string; readonly port: number }[];
  readonly caFile: string | undefined;
}

/** @throws CommandError where a server answers at the control socket already */
export async function refuseSecondServer({ admin }: Config): Promise<void> {
  const other = await connectToServer(admin.controlSocket);
  if (other === undefined) return;
  other.close();
  const advice = '"posthorn status" says how it is, "posthorn stop" ends it';
  throw new CommandError('failed', `a server is running already: it answers at ${admin.controlSocket}; ${advice}`);
}

/** The same error, or what it means for who starts a server. */
export function explainStart(error: unknown, config: Config): unknown {
  return error instanceof StoreError && error.code === 'locked' ? lockedBy(error, config) : error;
}

/** What it means that the store is held, and no server answers. */
export function lockedBy(cause: StoreError, config: Config): CommandError {
  const what = `another process holds ${configuredStorage(config).directory}, and no server answers at`;
  const advice = 'a server may be starting or stopping, or another command is at work: try again in a moment';
  return new CommandError('failed', `${what} ${config.admin.controlSocket}; ${advice}`, { cause });
}

/** What a person who has started a server wants to know, and the next step. */
export async function startLines({ operations, listening, caFile }: StartedServer, config: Config): Promise<string> {
  const [someone] = await operations.storage.accounts.list({ limit: 1 });
  const domain = config.domains[0] ?? 'localhost';
  return [
    ...listening.map(({ name, address, port }) => `listening: ${name} ${address} ${port}`),
    ...(caFile === undefined ? [] : [`clients trust: ${caFile}`]),
    someone === undefined ? `next: npx posthorn user add juliet@${domain}` : 'next: npx posthorn status',
  ]
    .map((line) => `${line}\n`)
    .join('');
}
