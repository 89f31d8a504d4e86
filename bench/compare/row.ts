import type { LoadGenerator } from '../load/load-generator.ts';
import type { RunningServer, ServerName, Setting } from '../peers/peer.ts';
import type { Scale } from './scale.ts';

/** What a row measures with. */
export interface RowContext {
  readonly server: RunningServer;
  readonly load: LoadGenerator;
  readonly scale: Scale;
}

/** One measured quantity. */
export interface Figure {
  readonly key: string;
  /** A column's head, with the unit. */
  readonly label: string;
  readonly better: 'less' | 'more';
  /** Explains another figure rather than being a result. */
  readonly isAside?: boolean;
}

/** What a row is held to. */
export type Goal =
  /** Posthorn is better than this server at least so many times. */
  | { readonly kind: 'ratio'; readonly figure: string; readonly server: ServerName; readonly times: number }
  /** Posthorn stays under a limit; on the other Node.js, where a variant is named. */
  | { readonly kind: 'limit'; readonly figure: string; readonly atMost: number; readonly variant?: string }
  /** Posthorn's figure stays within a multiple of another of its own. */
  | { readonly kind: 'growth'; readonly figure: string; readonly base: string; readonly atMost: number };

export type Values = Readonly<Record<string, number>>;

/** A line of the budget table, and how it is measured. */
export interface Row {
  readonly id: string;
  readonly title: string;
  /** What it does, and what differs between the servers besides the setting. */
  readonly note: string;
  readonly setting: Setting;
  /** Whether it needs a server that has done nothing before, in each round. */
  readonly isFresh: boolean;
  /** How many rounds have to do where it takes long; the scale's own number unless given. */
  rounds?(scale: Scale): number;
  figures(scale: Scale): readonly Figure[];
  goals(scale: Scale): readonly Goal[];
  /** Accounts it needs. */
  users(scale: Scale): number;
  measure(context: RowContext): Promise<Values>;
}

export const HISTORY_OFF: Setting = { history: false, durability: 'process' };
export const HISTORY_PROCESS: Setting = { history: true, durability: 'process' };
export const HISTORY_SYNC: Setting = { history: true, durability: 'sync' };

/** The same goal against both other servers. */
export function againstBoth(figure: string, times: number): readonly Goal[] {
  return (['ejabberd', 'prosody'] as const).map((server) => ({ kind: 'ratio', figure, server, times }));
}
