import { existsSync, readFileSync } from 'node:fs';
import { dirname, isAbsolute, relative, resolve } from 'node:path';
import { parse, TomlError } from 'smol-toml';
import type * as z from 'zod';

import { contradictions } from './consistency.ts';
import { KeyLines } from './key-lines.ts';
import { ConfigError, foundText, pathText, unknownText, type Mistake } from './mistakes.ts';
import { camelCase, placedOptions, variableOf, type PlacedOption } from './option.ts';
import { OPTIONS, type Config } from './options.ts';
import {
  FILE_VARIABLE,
  placeIn,
  settingsOfEnvironment,
  settingsOfFile,
  type Setting,
  type TomlFile,
} from './settings.ts';

/** Where a configuration comes from. */
export interface ConfigSource {
  /** The configuration file; without it POSTHORN_CONFIG, `./posthorn.toml`, then `systemFile` where they exist. */
  readonly file?: string | undefined;
  /** Variables such as POSTHORN_C2S_PORT override the file. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** What relative paths start from where no file is read, and those of environment variables always. */
  readonly workingDirectory: string;
  /** `/etc/posthorn/posthorn.toml` unless said otherwise. */
  readonly systemFile?: string;
}

/**
 * Reads the configuration: the file, the environment over it, defaults for the rest.
 * @throws ConfigError that lists every mistake
 */
export function loadConfig(source: ConfigSource): Config {
  const filePath = findFile(source);
  const mistakes: Mistake[] = [];
  const found = filePath === undefined ? undefined : readToml(filePath, source.workingDirectory);
  const file = found !== undefined && 'content' in found ? found : undefined;
  if (found !== undefined && !('content' in found)) mistakes.push(found);
  const ofFile = file === undefined ? undefined : settingsOfFile(file, OPTIONS);
  const ofEnvironment = settingsOfEnvironment(source.environment, OPTIONS);
  const given = new Map<string, Setting>([...(ofFile?.given ?? []), ...ofEnvironment.given]);
  mistakes.push(...(ofFile?.mistakes ?? []));

  const values = new Map<string, unknown>();
  const unsound = new Set<string>();
  const note = (path: readonly PropertyKey[], text: string): void => {
    mistakes.push({ where: whereIs(path, given, file), path: pathText(path), text });
  };
  for (const placed of placedOptions(OPTIONS)) {
    const name = placed.path.join('.');
    const setting = given.get(name);
    const result = setting === undefined ? undefined : placed.option.type.schema.safeParse(setting.value);
    values.set(name, result?.success === true ? result.data : placed.option.default);
    if (result?.success !== false) continue;
    unsound.add(name);
    for (const issue of result.error.issues) noteIssue(placed, setting?.value, issue, note);
  }

  const folders = { workingDirectory: source.workingDirectory, file: filePath };
  const config = assemble(resolvePaths(values, given, folders), filePath);
  // After a syntax error nothing is known of what the file sets, so nothing can contradict it.
  if (filePath === undefined || file !== undefined) {
    for (const { path, found, allowed } of contradictions(config, (name) => !unsound.has(name))) {
      note(
        path.map((part) => (/^\d+$/.test(part) ? Number(part) : part)),
        `found ${foundText(found)}, must be ${allowed}`,
      );
    }
  }
  mistakes.push(...ofEnvironment.mistakes);
  if (mistakes.length > 0) throw new ConfigError(inOrder(mistakes));
  return config;
}

function findFile({ file, environment, workingDirectory, systemFile }: ConfigSource): string | undefined {
  const named = file ?? environment[FILE_VARIABLE];
  if (named !== undefined && named !== '') return resolve(workingDirectory, named);
  const usual = [resolve(workingDirectory, 'posthorn.toml'), systemFile ?? '/etc/posthorn/posthorn.toml'];
  return usual.find((path) => existsSync(path));
}

function readToml(path: string, workingDirectory: string): TomlFile | Mistake {
  const fromHere = relative(workingDirectory, path);
  const name = fromHere.startsWith('..') || isAbsolute(fromHere) ? path : fromHere;
  const refuse = (where: string, text: string): Mistake => ({ where, path: '', text });
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(path));
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    if (code === 'ENOENT') return refuse(name, 'found no such file, must be an existing TOML file');
    if (code.startsWith('ERR_ENCODING')) return refuse(name, 'found bytes that are no UTF-8, must be a TOML file');
    return refuse(name, `found a file that cannot be read (${code}), must be a readable TOML file`);
  }
  try {
    const content = parse(text, { unsafeKeyBehaviour: 'throw', maxDepth: 16 });
    return { name, content, lines: new KeyLines(text) };
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const [first = ''] = error.message.replace(/^Invalid TOML document:\s*/, '').split('\n');
    return refuse(`${name}:${error.line}`, `found what is no TOML (${first.trim()}), column ${error.column}`);
  }
}

/** Says what one zod issue means, in our words. */
function noteIssue(
  { path, option }: PlacedOption,
  value: unknown,
  issue: z.core.$ZodIssue,
  note: (path: readonly PropertyKey[], text: string) => void,
): void {
  const at = [...path, ...issue.path];
  if (issue.code === 'unrecognized_keys') {
    for (const key of issue.keys) note([...at, key], unknownText(key, option.type.keys ?? []));
    return;
  }
  note(at, `found ${foundText(valueAt(value, issue.path))}, must be ${issue.message}`);
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (inner, part) =>
      typeof inner === 'object' && inner !== null && Object.hasOwn(inner, part)
        ? (inner as Record<PropertyKey, unknown>)[part]
        : undefined,
    value,
  );
}

/** The place to blame for a path: the variable that set it, the line of the file, or nothing. */
function whereIs(
  path: readonly PropertyKey[],
  given: ReadonlyMap<string, Setting>,
  file: TomlFile | undefined,
): string {
  for (let length = path.length; length > 0; length -= 1) {
    const setting = given.get(path.slice(0, length).join('.'));
    if (setting === undefined) continue;
    return setting.source === 'environment' || file === undefined
      ? variableOf(path.slice(0, length).map(String))
      : placeIn(file, path);
  }
  return file?.name ?? '';
}

/** Makes paths absolute. The data directory comes first, because others start from it. */
function resolvePaths(
  values: ReadonlyMap<string, unknown>,
  given: ReadonlyMap<string, Setting>,
  folders: { readonly workingDirectory: string; readonly file: string | undefined },
): ReadonlyMap<string, unknown> {
  const baseOf = (name: string): string =>
    folders.file === undefined || given.get(name)?.source === 'environment'
      ? folders.workingDirectory
      : dirname(folders.file);
  const dataDirectory = resolve(baseOf('data_directory'), String(values.get('data_directory')));
  const resolved = new Map(values);
  for (const { path, option } of placedOptions(OPTIONS)) {
    if (option.relativeTo === undefined) continue;
    const name = path.join('.');
    const base = option.relativeTo === 'configuration' ? baseOf(name) : dataDirectory;
    const value = values.get(name);
    if (typeof value === 'string') resolved.set(name, resolve(base, value));
  }
  const certificates = values.get('tls.certificates') as Config['tls']['certificates'];
  const base = baseOf('tls.certificates');
  resolved.set(
    'tls.certificates',
    certificates.map(({ domains, certificate, key }) => ({
      domains,
      certificate: resolve(base, certificate),
      key: resolve(base, key),
    })),
  );
  const components = values.get('components.external') as Config['components']['external'];
  const componentBase = baseOf('components.external');
  resolved.set(
    'components.external',
    components.map((component) => ({
      ...component,
      secret_file: component.secret_file === '' ? '' : resolve(componentBase, component.secret_file),
    })),
  );
  return resolved;
}

function assemble(values: ReadonlyMap<string, unknown>, file: string | undefined): Config {
  const config: Record<string, unknown> = { file };
  for (const { path } of placedOptions(OPTIONS)) {
    let table = config;
    for (const name of path.slice(0, -1)) table = (table[camelCase(name)] ??= {}) as Record<string, unknown>;
    table[camelCase(path.at(-1) ?? '')] = structuredClone(values.get(path.join('.')));
  }
  return deepFreeze(config) as unknown as Config;
}

function deepFreeze<T extends object>(value: T): T {
  for (const inner of Object.values(value) as unknown[]) {
    if (typeof inner === 'object' && inner !== null) deepFreeze(inner);
  }
  return Object.freeze(value);
}

/** Mistakes of the file in the order of its lines, then the rest. */
function inOrder(mistakes: readonly Mistake[]): Mistake[] {
  const lineOf = ({ where }: Mistake): number => Number(/:(\d+)$/.exec(where)?.[1] ?? Infinity);
  const rank = (mistake: Mistake): number => Math.min(lineOf(mistake), Number.MAX_SAFE_INTEGER);
  const unique = new Map(mistakes.map((mistake) => [JSON.stringify(mistake), mistake]));
  return [...unique.values()].sort((one, other) => rank(one) - rank(other));
}
