import { betterBy, verdicts, type Results } from './results.ts';
import { settingText } from '../peers/features.ts';
import type { Row } from './row.ts';
import type { Scale } from './scale.ts';

const NUMBER_FORMAT = new Intl.NumberFormat('en', { maximumSignificantDigits: 3, useGrouping: false });

/** A value as people read it. */
export function numberText(value: number): string {
  return Number.isNaN(value) ? '-' : NUMBER_FORMAT.format(value);
}

/** A row as a table of its figures, its goals and its note. */
export function rowText(row: Row, results: Results, scale: Scale): string {
  const figures = row.figures(scale);
  const table = [
    ['', ...figures.map(({ label }) => label)],
    ...results.labels(row).map((label) => {
      const values = results.medians(row, label, scale);
      return [label, ...figures.map(({ key }) => numberText(values?.[key] ?? NaN))];
    }),
  ];
  const widths = table[0]!.map((_, column) => Math.max(...table.map((cells) => cells[column]!.length)));
  const lines = table.map((cells) =>
    cells.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!))).join('  '),
  );
  return [
    `${row.id}: ${row.title}`,
    ...lines.map((line) => `  ${line}`),
    ...verdicts(row, results, scale).map(({ text, isMet }) => `  ${markOf(isMet)} ${text}`),
    ...readings(row, results, scale).map((text) => `  ${text}`),
    ...failuresOf(row, results).map((text) => `  FAILED ${text}`),
    `  (${row.note}; ${settingText(row.setting)})`,
  ].join('\n');
}

/**
 * How Posthorn compares with each peer in a row that has no goal against them, figure by figure, at the median of the rounds:
 * where a peer wins has to be as plain as where it loses.
 */
export function readings(row: Row, results: Results, scale: Scale): readonly string[] {
  if (row.goals(scale).some(({ kind }) => kind === 'ratio')) return [];
  const peers = results.labels(row).filter((label) => results.rows.get(row.id)?.servers[label]?.name !== 'posthorn');
  return row.figures(scale).flatMap((figure) => {
    if (figure.isAside === true) return [];
    const texts = peers.flatMap((label) => {
      const times = results.ratio(row, label, (ours, theirs) => betterBy(figure, ours[figure.key], theirs[figure.key]));
      if (times === undefined || !Number.isFinite(times) || times <= 0) return [];
      return [`${numberText(Math.max(times, 1 / times))} times ${times < 1 ? 'worse' : 'better'} than ${label}`];
    });
    return texts.length === 0 ? [] : [`${figure.label}: ${texts.join(', ')}`];
  });
}

/** How a verdict is shown. */
export function markOf(isMet: boolean | undefined): string {
  if (isMet === undefined) return '----';
  return isMet ? 'pass' : 'FAIL';
}

/** What went wrong in a row, server by server. */
export function failuresOf(row: Row, results: Results): readonly string[] {
  const servers = Object.entries(results.rows.get(row.id)?.servers ?? {});
  return servers.flatMap(([label, { failures }]) => failures.map((text) => `${label}: ${text}`));
}
