/** One thing wrong with the configuration. */
export interface Mistake {
  /** `posthorn.toml:12`, the name of an environment variable, or '' where neither is to blame. */
  readonly where: string;
  /** The option, as `c2s.port`; '' where it is about the file itself. */
  readonly path: string;
  /** What was found and what is allowed. */
  readonly text: string;
}

/** Every mistake in a configuration, one a line: `posthorn.toml:12: c2s.port: found "abc", must be ...`. */
export class ConfigError extends Error {
  readonly mistakes: readonly Mistake[];

  constructor(mistakes: readonly Mistake[]) {
    super(mistakes.map(lineOf).join('\n'));
    this.name = 'ConfigError';
    this.mistakes = mistakes;
  }
}

function lineOf({ where, path, text }: Mistake): string {
  return [where, path, text].filter((part) => part !== '').join(': ');
}

/** A path as it is written in TOML: `tls.certificates[0].key`. */
export function pathText(path: readonly PropertyKey[]): string {
  return path
    .map((part) => (typeof part === 'number' ? `[${part}]` : `.${nameText(String(part))}`))
    .join('')
    .replace(/^\./, '');
}

function nameText(name: string): string {
  return /^[\w-]{1,60}$/.test(name) ? name : shorten(JSON.stringify(name));
}

/** What was found, in words short enough for one line. */
export function foundText(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (value instanceof Date) return 'a date';
  if (typeof value === 'number') return String(value); // JSON knows neither inf nor nan
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return 'a table';
  return shorten(JSON.stringify(value));
}

function shorten(text: string): string {
  return text.length <= 60 ? text : `${text.slice(0, 57)}...`;
}

/** The answer to a name nobody knows: the nearest known one, or all of them. */
export function unknownText(name: string, known: readonly string[], elsewhere: readonly string[] = []): string {
  const namesake = elsewhere.filter((path) => path.endsWith(`.${name}`));
  const near = namesake.length > 0 ? namesake : nearest(name, known);
  if (near.length > 0) return `found an unknown option, did you mean ${near.join(' or ')}?`;
  return `found an unknown option, must be one of ${known.join(', ')}`;
}

/** The known name nearest to a mistyped one, if any is near. */
export function nearest(name: string, known: readonly string[]): readonly string[] {
  let best = Math.max(2, Math.floor(name.length / 3)) + 1;
  let found: readonly string[] = [];
  for (const candidate of known) {
    const distance = editDistance(name.toLowerCase().slice(0, 80), candidate.toLowerCase());
    if (distance >= best) continue;
    best = distance;
    found = [candidate];
  }
  return found;
}

/** Levenshtein's distance: the single-character edits that turn one word into the other. */
function editDistance(from: string, to: string): number {
  let previous = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (let row = 1; row <= from.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= to.length; column += 1) {
      const replaced = (previous[column - 1] ?? 0) + (from[row - 1] === to[column - 1] ? 0 : 1);
      current.push(Math.min(replaced, (previous[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1));
    }
    previous = current;
  }
  return previous[to.length] ?? 0;
}
