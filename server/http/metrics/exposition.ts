import type { Histogram } from '../../metrics/histogram.ts';

/** What the text format of Prometheus, version 0.0.4, is called in HTTP. */
export const EXPOSITION_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/** One value of a metric, with a value for each of its labels. */
export type Sample = readonly [labels: readonly string[], value: number | Histogram];

/** A metric and where its values come from. */
export interface Metric {
  /** With its unit: `posthorn_login_seconds`. What only grows ends in `_total`. */
  readonly name: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  /** One sentence for the operator. */
  readonly help: string;
  /** Names of labels; their values are few and our own, never what a stranger chose. */
  readonly labels: readonly string[];
  /** Called at each scrape. */
  readonly samples: () => Iterable<Sample>;
}

type Source = () => number | Histogram | Iterable<Sample>;

/** Declares a metric; a source without labels gives its one value. */
export function metric(
  type: Metric['type'],
  name: string,
  help: string,
  source: Source,
  labels: readonly string[] = [],
): Metric {
  return {
    name,
    type,
    help,
    labels,
    samples: () => {
      const found = source();
      return typeof found === 'object' && Symbol.iterator in found ? found : [[[], found]];
    },
  };
}

/** The metrics as they are now, in the text format of Prometheus. */
export function expose(metrics: readonly Metric[]): string {
  const lines: string[] = [];
  for (const { name, type, help, labels, samples } of metrics) {
    lines.push(`# HELP ${name} ${escaped(help)}`, `# TYPE ${name} ${type}`);
    for (const [values, value] of samples()) {
      const pairs = labels.map((label, index) => `${label}="${escaped(values[index] ?? '').replaceAll('"', '\\"')}"`);
      if (typeof value === 'number') lines.push(`${name}${inBraces(pairs)} ${value}`);
      else addHistogram(lines, name, pairs, value);
    }
  }
  return `${lines.join('\n')}\n`;
}

/** Buckets count everything up to their bound, so each holds those below. */
function addHistogram(
  lines: string[],
  name: string,
  pairs: readonly string[],
  { bounds, counts, sum }: Histogram,
): void {
  let total = 0;
  for (const [index, count] of counts.entries()) {
    total += count;
    const bound = bounds[index];
    lines.push(`${name}_bucket${inBraces([...pairs, `le="${bound ?? '+Inf'}"`])} ${total}`);
  }
  lines.push(`${name}_sum${inBraces(pairs)} ${sum}`, `${name}_count${inBraces(pairs)} ${total}`);
}

function inBraces(pairs: readonly string[]): string {
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}

function escaped(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
}
