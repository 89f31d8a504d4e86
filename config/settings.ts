import { foundText, nearest, pathText, unknownText, type Mistake } from './mistakes.ts';
import type { KeyLines } from './key-lines.ts';
import { placedOptions, variableOf, type OptionTree, type PlacedOption } from './option.ts';

/** A value the operator gave an option, and where. */
export interface Setting {
  readonly value: unknown;
  readonly source: 'file' | 'environment';
}

/** A parsed configuration file. */
export interface TomlFile {
  /** As mistakes name it. */
  readonly name: string;
  readonly content: Readonly<Record<string, unknown>>;
  readonly lines: KeyLines;
}

/** Where a path of the file stands, as mistakes name it: `posthorn.toml:12`. */
export function placeIn(file: TomlFile, path: readonly PropertyKey[]): string {
  const line = file.lines.lineOf(path);
  return line === undefined ? file.name : `${file.name}:${line}`;
}

/** What the operator set, by option (`c2s.port`), and the keys that are no options. */
export interface Settings {
  readonly given: ReadonlyMap<string, Setting>;
  readonly mistakes: readonly Mistake[];
}

/** Collects the settings of a file. */
export function settingsOfFile(file: TomlFile, tree: OptionTree): Settings {
  const given = new Map<string, Setting>();
  const mistakes: Mistake[] = [];
  const everywhere = placedOptions(tree).map(({ path }) => pathText(path));

  const walk = (content: Readonly<Record<string, unknown>>, entries: OptionTree, above: readonly string[]): void => {
    for (const [name, value] of Object.entries(content)) {
      const path = [...above, name];
      const at = { where: placeIn(file, path), path: pathText(path) };
      const node = Object.hasOwn(entries, name) ? entries[name] : undefined;
      if (node === undefined) mistakes.push({ ...at, text: unknownText(name, Object.keys(entries), everywhere) });
      else if (node.kind === 'option') given.set(path.join('.'), { value, source: 'file' });
      else if (isTable(value)) walk(value, node.entries, path);
      else mistakes.push({ ...at, text: `found ${foundText(value)}, must be a table` });
    }
  };
  walk(file.content, tree, []);
  return { given, mistakes };
}

function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

/** The environment variable that names the configuration file. */
export const FILE_VARIABLE = 'POSTHORN_CONFIG';

const PREFIX = 'POSTHORN_';

/** What Kubernetes and Docker set by themselves beside a service called posthorn. */
const SERVICE_LINK =
  /^POSTHORN_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP)(_(PROTO|PORT|ADDR))?)?|NAME|ENV_\w+)$/;

/** Collects the settings of the environment. An empty variable counts as not set. */
export function settingsOfEnvironment(
  environment: Readonly<Record<string, string | undefined>>,
  tree: OptionTree,
): Settings {
  const given = new Map<string, Setting>();
  const mistakes: Mistake[] = [];
  const options = new Map<string, PlacedOption>(placedOptions(tree).map((placed) => [variableOf(placed.path), placed]));
  const known = [...options.keys(), FILE_VARIABLE];
  for (const [variable, text] of Object.entries(environment)) {
    if (!variable.startsWith(PREFIX) || text === undefined || text === '') continue;
    const placed = options.get(variable);
    if (placed !== undefined) {
      given.set(placed.path.join('.'), { value: placed.option.type.fromText(text), source: 'environment' });
    } else if (variable !== FILE_VARIABLE && !SERVICE_LINK.test(variable)) {
      mistakes.push({ where: variable, path: '', text: unknownVariableText(variable, known) });
    }
  }
  return { given, mistakes };
}

function unknownVariableText(variable: string, known: readonly string[]): string {
  const near = nearest(
    variable.slice(PREFIX.length),
    known.map((name) => name.slice(PREFIX.length)),
  );
  if (near.length > 0) return `found an unknown option, did you mean ${PREFIX}${near.join('')}?`;
  return 'found a variable of no option; options are listed by "posthorn config reference"';
}
