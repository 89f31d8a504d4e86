/** One metric as a scraper sees it. */
export interface ScrapedMetric {
  readonly type: string;
  readonly help: string;
  /** Values by `name{label="value"}`, as they stand in the text. */
  readonly samples: Map<string, number>;
}

const NAME = '[a-zA-Z_:][a-zA-Z0-9_:]*';
const VALUE = String.raw`"(?:[^"\\\n]|\\["\\n])*"`;
const LABELS = `\\{${NAME}=${VALUE}(?:,${NAME}=${VALUE})*\\}`;
const SAMPLE = new RegExp(`^((${NAME})(?:${LABELS})?) (\\S+)$`);
const NUMBER = /^(?:[+-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?|[+-]Inf|NaN)$/;

/**
 * Reads the text format of Prometheus 0.0.4, as strictly as it is written down: each metric has its help and type once and
 * first, its samples lie together, no series comes twice. Throws where the text is not so.
 */
export function readExposition(text: string): Map<string, ScrapedMetric> {
  if (!text.endsWith('\n')) throw new Error('the last line has no end');
  const metrics = new Map<string, ScrapedMetric>();
  let current: ScrapedMetric | undefined;
  let currentName = '';
  let help: readonly [string, string] | undefined;
  for (const line of text.slice(0, -1).split('\n')) {
    const comment = new RegExp(`^# (HELP|TYPE) (${NAME}) (.+)$`).exec(line);
    if (comment?.[1] === 'HELP') help = [comment[2]!, comment[3]!];
    else if (comment?.[1] === 'TYPE') {
      currentName = comment[2]!;
      if (help?.[0] !== currentName) throw new Error(`no help before: ${line}`);
      if (metrics.has(currentName)) throw new Error(`twice: ${line}`);
      if (!['counter', 'gauge', 'histogram'].includes(comment[3]!)) throw new Error(`no type: ${line}`);
      current = { type: comment[3]!, help: help[1], samples: new Map() };
      metrics.set(currentName, current);
    } else {
      const [, series, name, value] = SAMPLE.exec(line) ?? [];
      if (series === undefined || value === undefined || !NUMBER.test(value)) throw new Error(`no sample: ${line}`);
      const suffixes = current?.type === 'histogram' ? ['_bucket', '_sum', '_count'] : [''];
      if (current === undefined || !suffixes.some((suffix) => name === currentName + suffix))
        throw new Error(`not of ${currentName}: ${line}`);
      if (current.samples.has(series)) throw new Error(`a series twice: ${line}`);
      current.samples.set(series, Number(value.replace('Inf', 'Infinity')));
    }
  }
  return metrics;
}

/** Names of labels and the values each of them has, without `le`. */
export function labelsOf({ samples }: ScrapedMetric): Map<string, Set<string>> {
  const found = new Map<string, Set<string>>();
  for (const series of samples.keys()) {
    for (const [, label, value] of series.matchAll(new RegExp(`(${NAME})="((?:[^"\\\\]|\\\\.)*)"`, 'g'))) {
      if (label === 'le') continue;
      found.set(label!, (found.get(label!) ?? new Set()).add(value!));
    }
  }
  return found;
}
