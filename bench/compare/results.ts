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
  /** By the number of the round; null where it was not measured. */
  readonly rounds: (Values | null)[];
  readonly failures: string[];
}

/** Posthorn's own label. */
const OWN = 'posthorn';

/** All rows, by their id. */
export class Results {
  readonly rows = new Map<string, RowResult>();

  add(row: Row, peer: Peer, round: number, outcome: Values | Error): void {
    let result = this.rows.get(row.id);
    if (result === undefined) this.rows.set(row.id, (result = { id: row.id, servers: {} }));
    const server = (result.servers[labelOf(peer)] ??= { name: peer.name, rounds: [], failures: [] });
    while (server.rounds.length <= round) server.rounds.push(null);
    if (outcome instanceof Error) server.failures.push(outcome.message);
    else server.rounds[round] = outcome;
  }

  /** The medians of a row's figures for one server; undefined where it was not measured. */
  medians(row: Row, label: string, scale: Scale): Values | undefined {
    const rounds = (this.rows.get(row.id)?.servers[label]?.rounds ?? []).filter((values) => values !== null);
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

  /**
   * What `quotient` makes of Posthorn's values and another's in each round in which both were measured, at the median: the two
   * had their turns right behind each other, so that whatever slowed the machine down fell on both. Undefined where there is no
   * such round.
   */
  ratio(row: Row, label: string, quotient: (own: Values, theirs: Values) => number): number | undefined {
    const { servers = {} } = this.rows.get(row.id) ?? {};
    const rounds = servers[label]?.rounds ?? [];
    const quotients = (servers[OWN]?.rounds ?? []).flatMap((own, round) => {
      const theirs = rounds[round] ?? null;
      return own === null || theirs === null ? [] : [quotient(own, theirs)];
    });
    return quotients.length === 0 ? undefined : median(quotients);
  }

  /** As `ratio`, of the server's tuning that is the less favourable to Posthorn. */
  leastRatio(row: Row, name: ServerName, quotient: (own: Values, theirs: Values) => number): number | undefined {
    const ratios = Object.entries(this.rows.get(row.id)?.servers ?? {})
      .filter(([, server]) => server.name === name)
      .map(([label]) => this.ratio(row, label, quotient))
      .filter((ratio) => ratio !== undefined);
    return ratios.length === 0 ? undefined : Math.min(...ratios);
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
  return row.goals(scale).map((goal) => verdictOf(goal, row, results, scale));
}

function verdictOf(goal: Goal, row: Row, results: Results, scale: Scale): Verdict {
  const figure = row.figures(scale).find(({ key }) => key === goal.figure);
  if (figure === undefined) throw new Error(`row ${row.id} has a goal for an unknown figure ${goal.figure}`);
  switch (goal.kind) {
    case 'ratio': {
      const { server, times } = goal;
      const wanted = `${figure.label}: ${times === 1 ? 'better than' : `${times} times better than`} ${server}`;
      const ratio = results.leastRatio(row, server, (ours, theirs) =>
        betterBy(figure, ours[figure.key], theirs[figure.key]),
      );
      if (ratio === undefined) return { text: `${wanted}: not measured`, isMet: undefined };
      return { text: `${wanted}: ${ratio.toPrecision(3)} times`, isMet: ratio >= times };
    }
    case 'limit': {
      const { atMost, variant } = goal;
      const of = labelOf({ name: 'posthorn', tuning: 'tuned', variant });
      const wanted = `${figure.label}${variant === undefined ? '' : `, ${variant}`}: at most ${atMost}`;
      const value = results.medians(row, of, scale)?.[figure.key];
      if (value === undefined) return { text: `${wanted}: not measured`, isMet: undefined };
      return { text: `${wanted}: ${value.toPrecision(3)}`, isMet: value <= atMost };
    }
    case 'growth': {
      const wanted = `${figure.label}: at most ${goal.atMost} times the first`;
      const growth = results.ratio(row, OWN, (ours) => (ours[figure.key] ?? NaN) / (ours[goal.base] ?? NaN));
      if (growth === undefined) return { text: `${wanted}: not measured`, isMet: undefined };
      return { text: `${wanted}: ${growth.toPrecision(3)} times`, isMet: growth <= goal.atMost };
    }
  }
}

/** How many times better one value is than another. */
export function betterBy({ better }: Figure, ours = NaN, theirs = NaN): number {
  return better === 'less' ? theirs / ours : ours / theirs;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((one, other) => one - other);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? NaN) + upper) / 2;
}
