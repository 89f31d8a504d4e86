import { labelOf, SERVER_NAMES, type Peer, type ServerName } from '../peers/peer.ts';
import type { Figure, Goal, Row, Values } from './row.ts';
import type { Scale } from './scale.ts';

/** What was measured in one row: for each server as labelled, the values of each round or why there are none. */
export interface RowResult {
  readonly id: string;
  readonly servers: Record<string, ServerResult>;
}

export interface ServerResult {
  readonly name: ServerName;
  readonly rounds: Values[];
  readonly failures: string[];
}

/** All rows, by their id. */
export class Results {
  readonly rows = new Map<string, RowResult>();

  add(row: Row, peer: Peer, outcome: Values | Error): void {
    let result = this.rows.get(row.id);
    if (result === undefined) this.rows.set(row.id, (result = { id: row.id, servers: {} }));
    const server = (result.servers[labelOf(peer)] ??= { name: peer.name, rounds: [], failures: [] });
    if (outcome instanceof Error) server.failures.push(outcome.message);
    else server.rounds.push(outcome);
  }

  /** The medians of a row's figures for one server; undefined where it was not measured. */
  medians(row: Row, label: string, scale: Scale): Values | undefined {
    const rounds = this.rows.get(row.id)?.servers[label]?.rounds ?? [];
    if (rounds.length === 0) return undefined;
    return Object.fromEntries(
      row.figures(scale).map(({ key }) => [key, median(rounds.map((values) => values[key] ?? NaN))]),
    );
  }

  /** The labels under which a row was measured, in the order of the report. */
  labels(row: Row): readonly string[] {
    const servers = Object.entries(this.rows.get(row.id)?.servers ?? {});
    const rank = (name: ServerName): number => SERVER_NAMES.indexOf(name);
    return servers.sort(([, one], [, other]) => rank(one.name) - rank(other.name)).map(([label]) => label);
  }

  /** The better value of a server's two tunings. */
  best(row: Row, name: ServerName, figure: Figure, scale: Scale): number | undefined {
    const values = Object.entries(this.rows.get(row.id)?.servers ?? {})
      .filter(([, server]) => server.name === name)
      .map(([label]) => this.medians(row, label, scale)?.[figure.key])
      .filter((value) => value !== undefined);
    if (values.length === 0) return undefined;
    return figure.better === 'less' ? Math.min(...values) : Math.max(...values);
  }
}

/** What became of a goal. */
export interface Verdict {
  readonly text: string;
  /** Undefined where it was not measured. */
  readonly isMet: boolean | undefined;
}

/** Holds what was measured to a row's goals. */
export function verdicts(row: Row, results: Results, scale: Scale): readonly Verdict[] {
  const own = results.medians(row, 'posthorn', scale);
  return row.goals(scale).map((goal) => verdictOf(goal, row, own, results, scale));
}

function verdictOf(goal: Goal, row: Row, own: Values | undefined, results: Results, scale: Scale): Verdict {
  const figure = row.figures(scale).find(({ key }) => key === goal.figure);
  if (figure === undefined) throw new Error(`row ${row.id} has a goal for an unknown figure ${goal.figure}`);
  const value = own?.[figure.key];
  switch (goal.kind) {
    case 'ratio': {
      const { server, times } = goal;
      const theirs = results.best(row, server, figure, scale);
      const wanted = `${figure.label}: ${times === 1 ? 'better than' : `${times} times better than`} ${server}`;
      if (value === undefined || theirs === undefined) return { text: `${wanted}: not measured`, isMet: undefined };
      const ratio = figure.better === 'less' ? theirs / value : value / theirs;
      return { text: `${wanted}: ${ratio.toPrecision(3)} times`, isMet: ratio >= times };
    }
    case 'limit': {
      const wanted = `${figure.label}: at most ${goal.atMost}`;
      if (value === undefined) return { text: `${wanted}: not measured`, isMet: undefined };
      return { text: `${wanted}: ${value.toPrecision(3)}`, isMet: value <= goal.atMost };
    }
    case 'growth': {
      const wanted = `${figure.label}: at most ${goal.atMost} times the first`;
      const base = own?.[goal.base];
      if (value === undefined || base === undefined) return { text: `${wanted}: not measured`, isMet: undefined };
      return { text: `${wanted}: ${(value / base).toPrecision(3)} times`, isMet: value <= base * goal.atMost };
    }
  }
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((one, other) => one - other);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? NaN) + upper) / 2;
}
