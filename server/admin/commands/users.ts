import * as z from 'zod';

import { AccountExistsError, AccountUnknownError, type AccountRecord } from '../../../storage/accounts.ts';
import { accountAddress } from '../account-address.ts';
import { defineCommand, type CommandContext } from '../command.ts';
import { CommandError } from '../exit-codes.ts';
import { credentialsFromText } from '../scram-text.ts';

/** The longest address in octets (RFC 7622 3.1), and a generous bound for the text of one hash's keys. */
export const addressText = z.string().max(3071);
export const keyTexts = z.array(z.string().max(700)).max(3);

const account = z.strictObject({ jid: addressText });
/** Passwords are derived by who asks: only SCRAM keys travel (see scram-text.ts). */
const accountWithKeys = z.strictObject({ jid: addressText, keys: keyTexts.min(1) });

/** What of an account may be shown to anybody who administers it. */
export interface AccountSummary {
  readonly jid: string;
  readonly disabled: boolean;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
}

interface Outcome {
  readonly jid: string;
  readonly outcome: string;
}

const renderOutcome = ({ jid, outcome }: Outcome): string => `${jid}: ${outcome}`;

export const userAdd = defineCommand({
  name: 'user add',
  needs: 'store',
  summary: 'create an account',
  arguments: accountWithKeys,
  run: async (context, { jid, keys }): Promise<Outcome> => {
    const address = accountAddress(jid, context.config);
    const record = { createdAt: context.now(), disabled: false, credentials: credentialsOf(keys) };
    try {
      await context.storage.accounts.create(address, record);
    } catch (error) {
      if (!(error instanceof AccountExistsError)) throw error;
      throw new CommandError('failed', `${error.message}; "user passwd" changes its password`, { cause: error });
    }
    return { jid: address, outcome: 'created' };
  },
  render: renderOutcome,
});

export const userPasswd = defineCommand({
  name: 'user passwd',
  needs: 'store',
  summary: 'change the password of an account and end its sessions',
  arguments: accountWithKeys,
  run: async (context, { jid, keys }): Promise<Outcome> => {
    const credentials = credentialsOf(keys);
    const address = await changeAccount(context, jid, (record) => ({ ...record, credentials }));
    await context.server?.accountChanged(address, 'password');
    return { jid: address, outcome: 'password changed' };
  },
  render: renderOutcome,
});

export const userDisable = defineCommand({
  name: 'user disable',
  needs: 'store',
  summary: 'keep an account but refuse its logins, and end its sessions',
  arguments: account,
  run: async (context, { jid }): Promise<Outcome> => {
    const address = await changeAccount(context, jid, (record) => ({ ...record, disabled: true }));
    await context.server?.accountChanged(address, 'disabled');
    return { jid: address, outcome: 'disabled' };
  },
  render: renderOutcome,
});

export const userEnable = defineCommand({
  name: 'user enable',
  needs: 'store',
  summary: 'let a disabled account log in again',
  arguments: account,
  run: async (context, { jid }): Promise<Outcome> => {
    const address = await changeAccount(context, jid, (record) => ({ ...record, disabled: false }));
    // A disabled account has no sessions to end; what the server knew of its credentials is stale.
    await context.server?.accountChanged(address, 'password');
    return { jid: address, outcome: 'enabled' };
  },
  render: renderOutcome,
});

export const userRemove = defineCommand({
  name: 'user remove',
  needs: 'store',
  summary: 'remove an account and everything it owns',
  arguments: account,
  run: async (context, { jid }): Promise<Outcome> => {
    // First nobody can log in and no session is left: otherwise one could write to what is being removed.
    const address = await changeAccount(context, jid, (record) => ({ ...record, disabled: true }));
    await context.server?.accountChanged(address, 'disabled');
    await context.storage.accounts.remove(address);
    await context.server?.accountChanged(address, 'removed');
    return { jid: address, outcome: 'removed' };
  },
  render: renderOutcome,
});

/** An account in detail; sessions are empty while the server is down. */
export interface AccountDetails extends AccountSummary {
  readonly mechanisms: readonly string[];
  readonly sessions: readonly string[];
}

export const userShow = defineCommand({
  name: 'user show',
  needs: 'store',
  summary: 'show an account',
  arguments: account,
  run: async (context, { jid }): Promise<AccountDetails> => {
    const address = accountAddress(jid, context.config);
    const record = await context.storage.accounts.get(address);
    if (record === undefined) throw unknown(address);
    const sessions = (context.server?.sessions() ?? []).map((session) => session.jid);
    return {
      ...summaryOf(address, record),
      mechanisms: Object.keys(record.credentials).map((hash) => `SCRAM-${hash}`),
      sessions: sessions.filter((full) => full.startsWith(`${address}/`)),
    };
  },
  render: (details) =>
    [
      `account:   ${details.jid}`,
      `state:     ${stateOf(details)}`,
      `created:   ${new Date(details.createdAt).toISOString()}`,
      `passwords: ${details.mechanisms.join(', ') || 'none: nobody can log in'}`,
      `sessions:  ${details.sessions.join(', ') || 'none'}`,
    ].join('\n'),
});

/** A page of accounts; `next` is the place to go on from, absent on the last. */
export interface AccountPage {
  readonly accounts: readonly AccountSummary[];
  readonly next?: string;
}

/** What the commands that page take; also user export. */
export const pageArguments = z.strictObject({
  domain: addressText.optional(),
  after: addressText.optional(),
  limit: z.int().min(1).max(500),
});

export const userList = defineCommand({
  name: 'user list',
  needs: 'store',
  summary: 'list accounts',
  arguments: pageArguments,
  run: async ({ storage }, page): Promise<AccountPage> => {
    const accounts = await storage.accounts.list(page);
    const next = accounts.length < page.limit ? undefined : accounts.at(-1)?.jid;
    return {
      accounts: accounts.map(({ jid, record }) => summaryOf(jid, record)),
      ...(next !== undefined && { next }),
    };
  },
  render: ({ accounts }) =>
    accounts.map((entry) => (entry.disabled ? `${entry.jid} (${stateOf(entry)})` : entry.jid)).join('\n'),
});

function summaryOf(jid: string, { disabled, createdAt }: AccountRecord): AccountSummary {
  return { jid, disabled, createdAt };
}

function stateOf({ disabled }: AccountSummary): string {
  return disabled ? 'disabled' : 'enabled';
}

function credentialsOf(keys: readonly string[]): AccountRecord['credentials'] {
  try {
    return credentialsFromText(keys);
  } catch (error) {
    if (error instanceof RangeError) throw new CommandError('usage', error.message);
    throw error;
  }
}

/** Changes a record and resolves to the account's bare JID. @throws CommandError `not-found` */
async function changeAccount(
  { config, storage }: CommandContext,
  jid: string,
  change: (record: AccountRecord) => AccountRecord,
): Promise<string> {
  const address = accountAddress(jid, config);
  try {
    await storage.accounts.update(address, change);
  } catch (error) {
    throw error instanceof AccountUnknownError ? unknown(address) : error;
  }
  return address;
}

function unknown(address: string): CommandError {
  return new CommandError('not-found', `there is no account ${address}`);
}
