import type { ValueType } from './value-types.ts';

/** One option: what it may hold, its default, and what it means. */
export interface Option<T> {
  readonly kind: 'option';
  readonly type: ValueType<T>;
  readonly default: T;
  /** One or more sentences for the operator. */
  readonly meaning: string;
  /** What a number counts, where it counts something: `seconds`, `bytes`. */
  readonly unit?: string;
  /** TOML that shows the option in use, where its default does not. */
  readonly example?: string;
  /** The folder a relative path starts from: that of the configuration file, or the data directory. */
  readonly relativeTo?: 'configuration' | 'data directory';
}

/** A TOML table of options. */
export interface Table<Entries extends OptionTree = OptionTree> {
  readonly kind: 'table';
  readonly meaning: string;
  readonly entries: Entries;
}

/** Options and tables by their names in TOML. */
export type OptionTree = Readonly<Record<string, Option<unknown> | Table>>;

type CamelCase<Name extends string> = Name extends `${infer Head}_${infer Tail}`
  ? `${Head}${Capitalize<CamelCase<Tail>>}`
  : Name;

type Frozen<T> = T extends readonly (infer Item)[]
  ? readonly Frozen<Item>[]
  : T extends object
    ? { readonly [Key in keyof T]: Frozen<T[Key]> }
    : T;

/** The configuration that a tree of options describes: names in camelCase, everything frozen. */
export type Configured<Tree> = {
  readonly [Name in keyof Tree & string as CamelCase<Name>]: Tree[Name] extends Option<infer T>
    ? Frozen<T>
    : Tree[Name] extends Table<infer Entries>
      ? Configured<Entries>
      : never;
};

/** Declares an option. */
export function option<T>(
  type: ValueType<T>,
  value: NoInfer<T>,
  meaning: string,
  more: Pick<Option<T>, 'unit' | 'example' | 'relativeTo'> = {},
): Option<T> {
  return { kind: 'option', type, default: value, meaning, ...more };
}

/** Declares a table. */
export function table<Entries extends OptionTree>(meaning: string, entries: Entries): Table<Entries> {
  return { kind: 'table', meaning, entries };
}

/** An option and where it stands. */
export interface PlacedOption {
  /** Its names from the root: `['c2s', 'port']`. */
  readonly path: readonly string[];
  readonly option: Option<unknown>;
}

/** Every option of a tree, in order. */
export function placedOptions(tree: OptionTree, above: readonly string[] = []): PlacedOption[] {
  return Object.entries(tree).flatMap(([name, node]) => {
    const path = [...above, name];
    return node.kind === 'table' ? placedOptions(node.entries, path) : [{ path, option: node }];
  });
}

/** The environment variable that overrides an option. */
export function variableOf(path: readonly string[]): string {
  return `POSTHORN_${path.join('_').toUpperCase()}`;
}

/** The name of an option in Config: `max_stanza_bytes` is `maxStanzaBytes`. */
export function camelCase(name: string): string {
  return name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}
