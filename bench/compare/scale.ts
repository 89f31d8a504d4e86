import type { Peer } from '../peers/peer.ts';

/** How large the work is, and which part of it is done. */
export interface Scale {
  readonly name: 'full' | 'budget' | 'quick';
  /** What a report says of it: what was measured, and what differs from the whole. */
  readonly meaning: string;
  /** How often each server has its turn, unless somebody asks for another number. */
  readonly rounds: number;
  /** The same for storms and rosters, which take longer. */
  readonly longRounds: number;
  /** The same for memory and archives, which take longest and vary least. */
  readonly memoryRounds: number;
  /** Rows in whose first round the peers are measured as installed too. */
  readonly installedRows: readonly string[];
  /** The rows that belong to it; all without. */
  readonly rows?: readonly string[];
  /** Rows that only Posthorn does, because their goal holds it against itself. */
  readonly posthornOnly?: readonly string[];
  /** Rows that Posthorn does on the other Node.js too, where there is one; all without. */
  readonly variantRows?: readonly string[];
  readonly warmUpSeconds: number;
  /** The same where the server has just started. */
  readonly coldWarmUpSeconds: number;
  readonly seconds: number;
  /** Connections of the rows that show growth. */
  readonly active: readonly number[];
  /** Connections of the memory rows, ascending. */
  readonly idle: readonly number[];
  /** How long memory may settle. */
  readonly settleSeconds: number;
  readonly logins: number;
  readonly storm: number;
  readonly away: number;
  readonly messagesEach: number;
  /** Contacts of who logs in, ascending. */
  readonly contacts: readonly number[];
  /** Messages in an archive, ascending. */
  readonly archived: readonly number[];
  /** How long a server may take to archive up to one of those numbers. */
  readonly fillSeconds: number;
}

export const FULL: Scale = {
  name: 'full',
  meaning: 'every row; peers as installed and another Node.js in some of them',
  rounds: 3,
  longRounds: 2,
  memoryRounds: 1,
  installedRows: ['chat-8', 'history-process', 'login-plaintext', 'login-tls', 'start-up'],
  variantRows: ['chat-8', 'history-process', 'login-plaintext', 'login-tls', 'idle-plaintext', 'idle-tls', 'start-up'],
  warmUpSeconds: 1,
  coldWarmUpSeconds: 6,
  seconds: 3,
  active: [100, 1000, 10_000],
  idle: [5000, 18_000],
  settleSeconds: 10,
  logins: 1500,
  storm: 5000,
  away: 200,
  messagesEach: 100,
  contacts: [10, 100, 500],
  archived: [1000, 10_000, 50_000],
  fillSeconds: 80,
};

/** The budget table in a short quiet time. */
export const BUDGET: Scale = {
  ...FULL,
  name: 'budget',
  meaning:
    'the rows that have a budget, in less than half an hour: peers tuned only; idle connections at 18 000 alone; ' +
    'growing connections with Posthorn alone, which that budget holds against itself; another Node.js in some rows',
  installedRows: [],
  rows: [
    ...['chat-8', 'chat-1', 'chat-tls', 'history-process', 'history-sync', 'active', 'latency', 'login-plaintext'],
    ...['login-tls', 'idle-plaintext', 'idle-tls', 'storm-plaintext', 'storm-tls', 'start-up'],
  ],
  posthornOnly: ['active'],
  idle: [18_000],
};

/** To see where things stand, in under three minutes for all three servers. */
export const QUICK: Scale = {
  name: 'quick',
  meaning: 'some rows, all smaller than the budgets ask for, peers tuned only: goals are shown for orientation',
  rounds: 1,
  longRounds: 1,
  memoryRounds: 1,
  installedRows: [],
  rows: [
    ...['chat-8', 'chat-tls', 'history-process', 'latency', 'login-plaintext', 'login-tls', 'idle-plaintext'],
    ...['storm-plaintext', 'rosters'],
  ],
  warmUpSeconds: 0.5,
  coldWarmUpSeconds: 0.5,
  seconds: 1,
  active: [100, 1000],
  idle: [1000],
  settleSeconds: 1,
  logins: 600,
  storm: 400,
  away: 50,
  messagesEach: 50,
  contacts: [10, 50],
  archived: [200, 1000],
  fillSeconds: 10,
};

/** Whether a server has a turn in a round of a row. */
export function isMeasured(
  scale: Scale,
  row: { readonly id: string },
  { name, tuning, variant }: Pick<Peer, 'name' | 'tuning' | 'variant'>,
  round: number,
): boolean {
  if (variant !== undefined) return scale.variantRows?.includes(row.id) ?? true;
  // What an installation does without tuning is worth knowing, not worth more rounds.
  if (tuning === 'installed') return round === 0 && scale.installedRows.includes(row.id);
  return name === 'posthorn' || scale.posthornOnly?.includes(row.id) !== true;
}
