import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { FEATURES, settingText } from '../peers/features.ts';
import type { Peer } from '../peers/peer.ts';
import { barPlot, type BarGroup } from '../plots/bar-plot.ts';
import { linePlot } from '../plots/line-plot.ts';
import { durabilities, type Circumstances } from './machine.ts';
import { verdicts, type Results } from './results.ts';
import { HISTORY_PROCESS, HISTORY_SYNC, type Row } from './row.ts';
import type { Scale } from './scale.ts';
import { failuresOf, markOf, numberText, readings } from './text-report.ts';

/** Options of writePage. */
export interface PageOptions {
  readonly rows: readonly Row[];
  readonly results: Results;
  readonly scale: Scale;
  /** What was asked for in place of the scale's own. */
  readonly rounds?: number | undefined;
  readonly circumstances: Circumstances;
  readonly peers: readonly Peer[];
}

const DOCS = resolve(import.meta.dirname, '../../docs');
const PLOTS = 'performance';
const BEGIN = '<!-- figures: written by npm run bench -- --page -->';
const END = '<!-- end of figures -->';
const DECADES = 3;
const PLOTTED: readonly { readonly file: string; readonly title: string; readonly figure: string }[] = [
  { file: 'processor-time', title: 'Processor time, microseconds each', figure: 'processorUs' },
  { file: 'memory', title: 'Resident memory of an idle connection, kB', figure: 'kBAt' },
];

const GROWTH = [
  {
    ...{ id: 'active', file: 'growth', title: 'Processor time of a message as active connections grow' },
    ...{ x: 'active connections', y: 'us/message', sizes: ({ active }: Scale) => active },
  },
  {
    ...{ id: 'rosters', file: 'rosters', title: 'Processor time of a login as the roster grows' },
    ...{ x: 'contacts', y: 'us/login', sizes: ({ contacts }: Scale) => contacts },
  },
] as const;

/** Replaces the figures of docs/performance.md and its plots; the prose around them stays as it is. */
export function writePage(options: PageOptions): void {
  const file = join(DOCS, 'performance.md');
  const page = readFileSync(file, 'utf8');
  const begin = page.indexOf(BEGIN);
  const end = page.indexOf(END);
  if (begin === -1 || end < begin) throw new Error(`${file} has lost its marks "${BEGIN}" and "${END}"`);
  mkdirSync(join(DOCS, PLOTS), { recursive: true });
  const plots = writePlots(options);
  const text = [
    BEGIN,
    '',
    circumstancesText(options),
    ...plots,
    ...options.rows.map((row) => rowSection(row, options)),
  ];
  writeFileSync(file, `${page.slice(0, begin)}${text.join('\n')}\n${page.slice(end)}`);
}

function circumstancesText({ circumstances, peers, rounds, scale }: PageOptions): string {
  const { date, machine, commit, servers, serverCore, loadCore, busyBefore } = circumstances;
  const off = FEATURES.filter(({ posthorn }) => !posthorn).map(({ meaning }) => meaning);
  const on = FEATURES.filter(({ posthorn }) => posthorn).map(({ meaning }) => meaning);
  return [
    `Measured ${date} at ${commit} on ${machine}; server on core ${serverCore}, load generator on core ${loadCore}.`,
    `Medians of ${roundsText(rounds, scale)}; a ratio is the median of those of the rounds. Run: ${scale.meaning}.`,
    `In the second before the run other things kept ${numberText(busyBefore)} cores busy; during it that was not measured.`,
    ...(busyBefore > BUSY ? ['**The machine was busy with other things: not to be relied on.**'] : []),
    '',
    '| server | version | configuration |',
    '| --- | --- | --- |',
    ...servers.map(({ label, version, configuration }) => `| ${label} | ${version} | ${configuration} |`),
    '',
    `On in all tuned servers: ${on.join('; ')}. Off in all of them, because Posthorn has not got it: ${off.join('; ')}.`,
    '',
    `What an acknowledged message survives, history on, durability "process": ${durabilities(peers, HISTORY_PROCESS)}.`,
    `With "sync": ${durabilities(peers, HISTORY_SYNC)}.`,
    '',
  ].join('\n');
}

function roundsText(rounds: number | undefined, scale: Scale): string {
  if (rounds !== undefined) return `${rounds} rounds`;
  const installed = scale.installedRows.length > 0 ? '; peers as installed: one' : '';
  return `${scale.rounds} rounds (storms, rosters: ${scale.longRounds}; memory, archives: ${scale.memoryRounds}${installed})`;
}

/** Busy cores above which a measurement is not believed. */
const BUSY = 0.5;

function rowSection(row: Row, { results, scale }: PageOptions): string {
  const figures = row.figures(scale);
  return [
    `### ${row.title}`,
    '',
    `\`${row.id}\`: ${row.note}; ${settingText(row.setting)}.`,
    '',
    `| | ${figures.map(({ label }) => label).join(' | ')} |`,
    `| --- |${figures.map(() => ' ---: |').join('')}`,
    ...results.labels(row).map((label) => {
      const values = results.medians(row, label, scale);
      return `| ${label} | ${figures.map(({ key }) => numberText(values?.[key] ?? NaN)).join(' | ')} |`;
    }),
    '',
    ...verdicts(row, results, scale).map(({ text, isMet }) => `- ${markOf(isMet)}: ${text}`),
    ...readings(row, results, scale).map((text) => `- ${text}`),
    ...failuresOf(row, results).map((text) => `- failed: ${text}`),
    '',
  ].join('\n');
}

/** Writes the plots that have data; returns the lines that show them. */
function writePlots(options: PageOptions): string[] {
  const lines: string[] = [];
  const write = (file: string, title: string, svg: string): void => {
    writeFileSync(join(DOCS, PLOTS, `${file}.svg`), svg);
    lines.push(`![${title}](${PLOTS}/${file}.svg)`, '');
  };
  for (const { file, title, figure } of PLOTTED) {
    const groups = options.rows.flatMap((row) => barGroups(row, figure, options));
    if (groups.length > 0) write(file, title, barPlot(title, groups, DECADES));
  }
  for (const { id, file, title, sizes, ...axes } of GROWTH) {
    const row = options.rows.find((candidate) => candidate.id === id);
    const lines = row === undefined ? [] : growthLines(row, sizes(options.scale), options);
    if (lines.some(({ points }) => points.length > 0)) write(file, title, linePlot(title, axes, lines));
  }
  return lines;
}

function barGroups(row: Row, prefix: string, { results, scale }: PageOptions): BarGroup[] {
  return row
    .figures(scale)
    .filter(({ key }) => key === prefix || (prefix.endsWith('At') && key.startsWith(prefix)))
    .map(({ key, label }) => ({
      title: prefix === key ? row.title : `${row.title}: ${label}`,
      bars: results.labels(row).flatMap((server) => {
        const value = results.medians(row, server, scale)?.[key];
        return value === undefined ? [] : [{ label: server, value, text: numberText(value) }];
      }),
    }))
    .filter(({ bars }) => bars.length > 0);
}

function growthLines(row: Row, sizes: readonly number[], { results, scale }: PageOptions) {
  return results.labels(row).map((label) => {
    const values = results.medians(row, label, scale);
    const points = sizes.map((x) => ({ x, y: values?.[`processorUsAt${x}`] ?? NaN }));
    return { label, points: points.filter(({ y }) => Number.isFinite(y)) };
  });
}
