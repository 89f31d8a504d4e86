import * as z from 'zod';

import type { Account } from '../../../storage/accounts.ts';
import { accountAddress } from '../account-address.ts';
import { defineCommand } from '../command.ts';
import { CommandError } from '../exit-codes.ts';
import { credentialsFromText, credentialsToText } from '../scram-text.ts';
import { addressText, keyTexts, pageArguments } from './users.ts';

/** Accounts of one request: what fits well under the control socket's limit and makes one batch of the store. */
export const IMPORT_ROWS = 100;

const importArguments = z.strictObject({
  dryRun: z.boolean(),
  rows: z
    .array(
      z.strictObject({
        /** Where it stands in the caller's file. */
        line: z.int().min(1),
        jid: addressText,
        keys: keyTexts,
        disabled: z.boolean(),
        /** Milliseconds since the epoch; now, where it is not known. */
        createdAt: z.int().min(0).optional(),
      }),
    )
    .max(IMPORT_ROWS),
});

/** An account to import. */
export type ImportRow = z.infer<typeof importArguments>['rows'][number];

/** A line that was not imported, and why. */
export interface RefusedLine {
  readonly line: number;
  readonly jid: string;
  readonly reason: string;
}

/** What became of some lines. */
export interface ImportReport {
  readonly created: number;
  readonly refused: readonly RefusedLine[];
}

export const userImport = defineCommand({
  name: 'user import',
  needs: 'store',
  summary: 'create accounts from a CSV file: jid,password or what "user export" wrote',
  arguments: importArguments,
  run: async ({ config, storage, now }, { rows, dryRun }): Promise<ImportReport> => {
    const refused: RefusedLine[] = [];
    const wanted = new Map<string, { account: Account; line: number }>();
    for (const { line, jid, keys, disabled, createdAt } of rows) {
      try {
        const address = accountAddress(jid, config);
        const record = { createdAt: createdAt ?? now(), disabled, credentials: credentialsFromText(keys) };
        if (wanted.has(address)) refused.push({ line, jid: address, reason: 'is in the file twice' });
        else wanted.set(address, { account: { jid: address, record }, line });
      } catch (error) {
        if (!(error instanceof CommandError) && !(error instanceof RangeError)) throw error;
        refused.push({ line, jid, reason: error.message });
      }
    }
    const accounts = [...wanted.values()].map(({ account }) => account);
    const existing = dryRun
      ? await existingOf(accounts, (jid) => storage.accounts.get(jid))
      : await storage.accounts.createMany(accounts);
    for (const jid of existing) {
      refused.push({ line: wanted.get(jid)?.line ?? 0, jid, reason: 'exists already and was left as it is' });
    }
    return { created: accounts.length - existing.length, refused: refused.sort((one, other) => one.line - other.line) };
  },
  render: ({ created, refused }) =>
    [
      ...refused.map(({ line, jid, reason }) => `line ${line}: ${jid}: ${reason}`),
      `${created} created, ${refused.length} refused`,
    ].join('\n'),
});

/** An account with everything an import needs. */
export interface ExportedAccount {
  readonly jid: string;
  readonly disabled: boolean;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
  /** In the form of RFC 5803: whoever reads them can try passwords offline. */
  readonly keys: readonly string[];
}

/** A page of an export; `next` is the place to go on from, absent on the last. */
export interface ExportPage {
  readonly accounts: readonly ExportedAccount[];
  readonly next?: string;
}

export const userExport = defineCommand({
  name: 'user export',
  needs: 'store',
  summary: 'write accounts with their SCRAM keys to standard output, as CSV or JSON',
  arguments: pageArguments,
  run: async ({ storage }, page): Promise<ExportPage> => {
    const accounts = await storage.accounts.list(page);
    const next = accounts.length < page.limit ? undefined : accounts.at(-1)?.jid;
    return {
      accounts: accounts.map(({ jid, record: { disabled, createdAt, credentials } }) => ({
        jid,
        disabled,
        createdAt,
        keys: credentialsToText(credentials),
      })),
      ...(next !== undefined && { next }),
    };
  },
  render: ({ accounts }) => accounts.map(({ jid }) => jid).join('\n'),
});

async function existingOf(
  accounts: readonly Account[],
  get: (jid: string) => Promise<unknown>,
): Promise<readonly string[]> {
  const found = await Promise.all(accounts.map(({ jid }) => get(jid)));
  return accounts.filter((_, index) => found[index] !== undefined).map(({ jid }) => jid);
}
