import type { CsvRecord } from './csv.ts';
import { CommandError } from './exit-codes.ts';

/** What `user export` writes, and `user import` reads in any order. */
export const EXPORT_COLUMNS = ['jid', 'disabled', 'created_at', 'keys'] as const;

const COLUMNS = ['jid', 'password', 'name', 'disabled', 'created_at', 'keys'] as const;
type Column = (typeof COLUMNS)[number];

/** Without a header: a JID, its password, and a name that is read past. */
const WITHOUT_HEADER: readonly Column[] = ['jid', 'password', 'name'];

/** An account as a line of the file has it. */
export interface AccountLine {
  readonly line: number;
  readonly jid: string;
  /** '' where the line has keys instead. */
  readonly password: string;
  readonly keys: readonly string[];
  readonly disabled: boolean;
  /** Milliseconds since the epoch. */
  readonly createdAt: number | undefined;
}

/** The columns of a file whose first record may be a header. @throws CommandError for a header with unknown columns */
export function columnsOf({ fields }: CsvRecord): { readonly columns: readonly Column[]; readonly isHeader: boolean } {
  const names = fields.map((field) => field.trim().toLowerCase());
  if (!names.includes('jid')) return { columns: WITHOUT_HEADER, isHeader: false };
  const columns = names.filter(isColumn);
  if (columns.length < names.length || new Set(columns).size < columns.length) {
    throw new CommandError('usage', `the header may name each of ${COLUMNS.join(', ')} once and nothing else`);
  }
  if (!columns.includes('password') && !columns.includes('keys')) {
    throw new CommandError('usage', 'the header must name a column "password" or "keys"');
  }
  return { columns, isHeader: true };
}

/** Reads one record. @throws RangeError that says what is wrong and holds no password */
export function accountOf({ line, fields, flaw }: CsvRecord, columns: readonly Column[]): AccountLine {
  if (flaw !== undefined) throw new RangeError(flaw);
  if (fields.length > columns.length) {
    throw new RangeError(`has ${fields.length} fields, at most ${columns.length} are expected`);
  }
  const field = (name: Column): string => fields[columns.indexOf(name)] ?? '';
  const password = field('password');
  const keys = field('keys')
    .split(' ')
    .filter((text) => text !== '');
  if (password !== '' && keys.length > 0) throw new RangeError('has both a password and keys');
  // An export may hold accounts that nobody can log in to; a list of passwords with an empty one is a mistake.
  if (password === '' && keys.length === 0 && columns.includes('password')) throw new RangeError('has no password');
  return {
    line,
    jid: field('jid').trim(),
    password,
    keys,
    disabled: flagOf(field('disabled')),
    createdAt: timeOf(field('created_at')),
  };
}

function isColumn(name: string): name is Column {
  return COLUMNS.some((column) => column === name);
}

function flagOf(text: string): boolean {
  if (!['', 'true', 'false'].includes(text)) throw new RangeError('disabled must be true or false');
  return text === 'true';
}

function timeOf(text: string): number | undefined {
  if (text === '') return undefined;
  const timeMs = Date.parse(text);
  if (!(timeMs >= 0)) throw new RangeError('created_at must be a time such as 2026-01-29T18:00:00Z');
  return timeMs;
}
