import { availableParallelism } from 'node:os';
import { randomBytes } from 'node:crypto';

import type { Config } from '../../config/options.ts';
import { enforceOpaqueString, PrecisError } from '../../stanzas/precis.ts';
import { MAX_PASSWORD_BYTES } from '../sasl/password-forms.ts';
import { PasswordWork } from '../sasl/password-work.ts';
import { deriveCredentials } from '../sasl/scram-keys.ts';
import { accountAddress } from './account-address.ts';
import { accountOf, columnsOf, EXPORT_COLUMNS, type AccountLine } from './account-columns.ts';
import { csvLine, CsvReader, type CsvRecord } from './csv.ts';
import { IMPORT_ROWS, userExport, userImport, type ImportReport, type ImportRow } from './commands/user-transfer.ts';
import type { RefusedLine } from './commands/user-transfer.ts';
import type { Executor } from './executor.ts';
import { CommandError } from './exit-codes.ts';
import { credentialsToText } from './scram-text.ts';

const HASHES_OF_ONE_PASSWORD = 3;
const EXPORT_PAGE = 200;

/** Options of importAccounts. */
export interface ImportOptions {
  readonly executor: Executor;
  readonly config: Config;
  /** Check everything, create nothing. */
  readonly dryRun: boolean;
  /** Told after each piece how many lines have been dealt with. */
  readonly progress?: (accounts: number) => void;
}

/**
 * Imports accounts from the text of a CSV file, in pieces that bound memory and requests; keys are derived here, with
 * bounded parallelism, so that a running server's threads stay free. Rejects with CommandError, StoreError; what was
 * created before stays.
 */
export async function importAccounts(text: AsyncIterable<string>, options: ImportOptions): Promise<ImportReport> {
  const work = new PasswordWork({
    maxRunning: Math.min(4, availableParallelism()),
    maxWaiting: IMPORT_ROWS * HASHES_OF_ONE_PASSWORD,
  });
  const seen = new Set<string>();
  const refused: RefusedLine[] = [];
  let created = 0;
  let done = 0;
  for await (const records of piecesOf(text)) {
    const attempts = await Promise.all(records.map((record) => rowOf(record, seen, work, options)));
    const rows: ImportRow[] = [];
    for (const attempt of attempts) {
      if ('reason' in attempt) refused.push(attempt);
      else rows.push(attempt);
    }
    const report = await options.executor.run(userImport, { rows, dryRun: options.dryRun });
    created += report.created;
    refused.push(...report.refused);
    done += records.length;
    options.progress?.(done);
  }
  return { created, refused: refused.sort((one, other) => one.line - other.line) };
}

/** The accounts of a file in pieces of one request each, its header read past. */
async function* piecesOf(text: AsyncIterable<string>): AsyncGenerator<(AccountLine | RefusedLine)[]> {
  let columns: ReturnType<typeof columnsOf>['columns'] | undefined;
  let piece: (AccountLine | RefusedLine)[] = [];
  for await (const record of recordsOf(text)) {
    if (columns === undefined) {
      const first = columnsOf(record);
      columns = first.columns;
      if (first.isHeader) continue;
    }
    try {
      piece.push(accountOf(record, columns));
    } catch (error) {
      // The JID only: another field may be a password, and in a broken record this one may be it too.
      piece.push({ line: record.line, jid: jidOf(record, columns.indexOf('jid')), reason: reasonOf(error) });
    }
    if (piece.length < IMPORT_ROWS) continue;
    yield piece;
    piece = [];
  }
  if (piece.length > 0) yield piece;
}

async function* recordsOf(text: AsyncIterable<string>): AsyncGenerator<CsvRecord> {
  const reader = new CsvReader();
  try {
    for await (const part of text) yield* reader.push(part);
    yield* reader.end();
  } catch (error) {
    if (error instanceof RangeError) throw new CommandError('failed', error.message, { cause: error });
    throw error;
  }
}

function jidOf({ fields, flaw }: CsvRecord, column: number): string {
  return flaw === undefined ? (fields[column] ?? '').trim() : '';
}

async function rowOf(
  account: AccountLine | RefusedLine,
  seen: Set<string>,
  work: PasswordWork,
  { config, dryRun }: ImportOptions,
): Promise<ImportRow | RefusedLine> {
  if ('reason' in account) return account;
  const { line, jid, password, keys, disabled, createdAt } = account;
  try {
    const address = accountAddress(jid, config);
    if (seen.has(address)) throw new RangeError('is in the file twice');
    seen.add(address);
    const row = { line, jid: address, disabled, ...(createdAt !== undefined && { createdAt }) };
    if (password === '') return { ...row, keys: [...keys] };
    if (dryRun) {
      verifyPassword(password);
      return { ...row, keys: [] };
    }
    return { ...row, keys: await keysOfPassword(password, config, work) };
  } catch (error) {
    return { line, jid, reason: reasonOf(error) };
  }
}

/** SCRAM keys of a new password, as text. @throws RangeError, PrecisError for what cannot be a password */
export async function keysOfPassword(password: string, config: Config, work?: PasswordWork): Promise<string[]> {
  const options = {
    iterations: config.sasl.scramIterations,
    random: (lengthBytes: number): Uint8Array => randomBytes(lengthBytes),
    ...(work !== undefined && { work }),
  };
  return credentialsToText(await deriveCredentials(password, options));
}

function verifyPassword(password: string): void {
  if (Buffer.byteLength(password) > MAX_PASSWORD_BYTES) {
    throw new RangeError(`password: must not be longer than ${MAX_PASSWORD_BYTES} bytes`);
  }
  enforceOpaqueString(password);
}

/** Why a line was refused. Rethrows what is no fault of the line. */
function reasonOf(error: unknown): string {
  if (error instanceof PrecisError) return 'the password holds characters that RFC 8265 does not allow';
  if (error instanceof CommandError || error instanceof RangeError) return error.message;
  throw error;
}

/** Everything `user import` needs to make the accounts again, as CSV or as a JSON array, piece by piece. */
export async function* exportAccounts(
  executor: Executor,
  options: { readonly format: 'csv' | 'json'; readonly domain?: string | undefined },
): AsyncGenerator<string> {
  const isCsv = options.format === 'csv';
  yield isCsv ? csvLine(EXPORT_COLUMNS) : '[';
  let after: string | undefined;
  let separator = '\n';
  do {
    const page = await executor.run(userExport, {
      limit: EXPORT_PAGE,
      ...(options.domain !== undefined && { domain: options.domain }),
      ...(after !== undefined && { after }),
    });
    for (const { jid, disabled, createdAt, keys } of page.accounts) {
      const created_at = new Date(createdAt).toISOString();
      if (isCsv) yield csvLine([jid, String(disabled), created_at, keys.join(' ')]);
      else yield `${separator}${JSON.stringify({ jid, disabled, created_at, keys })}`;
      separator = ',\n';
    }
    after = page.next;
  } while (after !== undefined);
  if (!isCsv) yield '\n]\n';
}
