import * as z from 'zod';

import type { TokenClient } from '../../../storage/client-tokens.ts';
import { accountAddress } from '../account-address.ts';
import { defineCommand, type CommandContext } from '../command.ts';
import { CommandError } from '../exit-codes.ts';
import { addressText } from './users.ts';

/** A device that may log in without a password (XEP-0484), as an operator sees it. */
export interface TokenSummary {
  /** Names it for `token revoke`. */
  readonly client: string;
  /** What it says of itself; '' for nothing. */
  readonly software: string;
  readonly device: string;
  /** Milliseconds since the epoch. */
  readonly firstSeenAt: number;
  /** The same, to the hour. */
  readonly lastSeenAt: number;
  readonly expiresAt: number;
  readonly mechanism: string;
}

interface Revocation {
  readonly jid: string;
  readonly revoked: number;
  /** Sessions that ended with it. */
  readonly ended: number;
}

export const tokenList = defineCommand({
  name: 'token list',
  needs: 'store',
  summary: 'list the devices of an account that may log in without its password',
  arguments: z.strictObject({ jid: addressText }),
  run: async (context, { jid }): Promise<{ readonly clients: readonly TokenSummary[] }> => {
    const address = await existingAccount(context, jid);
    const clients = await context.storage.clientTokens.list(address);
    return { clients: clients.flatMap(({ client, record }) => summaryOf(client, record)) };
  },
  render: ({ clients }) =>
    clients.length === 0
      ? 'no device holds a token'
      : clients
          .map(({ client, software, device, firstSeenAt, lastSeenAt, expiresAt, mechanism }) =>
            [
              client,
              [software, device].filter((text) => text !== '').join(', ') || 'says nothing of itself',
              `since ${dateText(firstSeenAt)}`,
              `seen ${dateText(lastSeenAt)}`,
              `until ${dateText(expiresAt)}`,
              mechanism,
            ].join('  '),
          )
          .join('\n'),
});

export const tokenRevoke = defineCommand({
  name: 'token revoke',
  needs: 'store',
  summary: 'take the tokens of a device, or of all devices of an account, and end their sessions',
  arguments: z.strictObject({ jid: addressText, client: z.string().min(1).max(100).optional() }),
  run: async (context, { jid, client }): Promise<Revocation> => {
    const address = await existingAccount(context, jid);
    const { clientTokens } = context.storage;
    const clients = (await clientTokens.list(address)).map((entry) => entry.client);
    if (client !== undefined && !clients.includes(client)) {
      throw new CommandError('not-found', `${address} has no device ${client} with a token; "token list" shows them`);
    }
    const revoked = client === undefined ? clients : [client];
    // First the tokens: whoever is cut off below must not come back with one.
    if (client === undefined) await clientTokens.removeAll(address);
    else await clientTokens.remove(address, client);
    const ended = context.server?.endClients(address, revoked) ?? 0;
    return { jid: address, revoked: revoked.length, ended };
  },
  render: ({ jid, revoked, ended }) =>
    `${jid}: ${revoked} ${revoked === 1 ? 'device' : 'devices'} revoked, ${ended} ${ended === 1 ? 'session' : 'sessions'} ended`,
});

/** The newest token is the one that counts; a client without any has lost them to another password. */
function summaryOf(client: string, record: TokenClient): TokenSummary[] {
  const token = record.fresh ?? record.current;
  if (token === undefined) return [];
  const { software, device, firstSeenAt, lastSeenAt } = record;
  const { expiresAt, mechanism } = token;
  return [{ client, software, device, firstSeenAt, lastSeenAt, expiresAt, mechanism }];
}

async function existingAccount({ config, storage }: CommandContext, jid: string): Promise<string> {
  const address = accountAddress(jid, config);
  if ((await storage.accounts.get(address)) === undefined) {
    throw new CommandError('not-found', `there is no account ${address}`);
  }
  return address;
}

function dateText(ms: number): string {
  return new Date(ms).toISOString().slice(0, 16).replace('T', ' ');
}
