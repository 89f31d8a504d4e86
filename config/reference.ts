import { variableOf, type Option, type OptionTree } from './option.ts';
import { OPTIONS } from './options.ts';

const WIDTH = 110;

/** The whole configuration file with every option at its default, explained. Reading it back changes nothing. */
export function renderReference(): string {
  const opening = comment(
    'The configuration of Posthorn. Every option is here with its default, so a file needs only those that differ. ' +
      'Relative paths start from the folder of this file.',
  );
  return [...opening, ...optionsOf(OPTIONS, []), ...tablesOf(OPTIONS, [])].join('\n') + '\n';
}

/** docs/configuration.md. */
export function renderConfigurationPage(): string {
  return `# Configuration

<!-- Written by config/reference.ts: change config/options.ts or config/tables/, then \`npx tsx config/reference.ts > docs/configuration.md\` -->

Posthorn needs no configuration: without any it serves the domain \`localhost\` and keeps its data in \`./data\`. It reads
one TOML file: the one named by \`--config\` or the variable \`POSTHORN_CONFIG\`, else \`./posthorn.toml\`, else
\`/etc/posthorn/posthorn.toml\`. \`posthorn config check\` lists every mistake in it, with its line.

An environment variable overrides an option of the file. Its name is the option's path in capitals:
\`${variableOf(['domains'])}\`, \`${variableOf(['c2s', 'tls_port'])}\`. A list is written with commas, a list of tables as JSON. Relative paths in a
variable start from the working directory. An empty variable counts as not set, and one that names no option is a mistake.

This is what \`posthorn config reference\` prints:

\`\`\`toml
${renderReference()}\`\`\`
`;
}

function optionsOf(tree: OptionTree, above: readonly string[]): string[] {
  return Object.entries(tree).flatMap(([name, node]) =>
    node.kind === 'option' ? ['', ...explained(name, node, [...above, name])] : [],
  );
}

function tablesOf(tree: OptionTree, above: readonly string[]): string[] {
  return Object.entries(tree).flatMap(([name, node]) => {
    if (node.kind === 'option') return [];
    const path = [...above, name];
    const inner = [...optionsOf(node.entries, path), ...tablesOf(node.entries, path)];
    return ['', '', ...comment(node.meaning), `[${path.join('.')}]`, ...inner];
  });
}

function explained(name: string, option: Option<unknown>, path: readonly string[]): string[] {
  const unit = option.unit === undefined ? '' : ` Unit: ${option.unit}.`;
  const base = option.relativeTo === 'data directory' ? ' A relative path starts from data_directory.' : '';
  const lines = [...comment(option.meaning), ...comment(`Allowed: ${option.type.allowed}.${unit}${base}`)];
  if (option.type.keys !== undefined) {
    // A list of tables can be empty only by being left out: `certificates = []` would forbid the tables below it.
    return [
      ...lines,
      '# None by default. For example:',
      ...(option.example ?? '').split('\n').map((line) => `# ${line}`),
    ];
  }
  const example = option.example === undefined ? [] : [`# For example: ${path.at(-1) ?? ''} = ${option.example}`];
  return [...lines, ...example, `${name} = ${tomlOf(option.default)}`];
}

/** A value in TOML. What JSON writes for text, numbers and flags TOML reads the same. */
function tomlOf(value: unknown): string {
  return Array.isArray(value) ? `[${value.map(tomlOf).join(', ')}]` : JSON.stringify(value);
}

/** Text as comment lines of bounded width. */
function comment(text: string): string[] {
  const lines: string[] = [];
  let line = '#';
  for (const word of text.split(' ')) {
    if (line.length + 1 + word.length > WIDTH && line !== '#') {
      lines.push(line);
      line = '#';
    }
    line += ` ${word}`;
  }
  return [...lines, line];
}

if (process.argv[1] !== undefined && import.meta.filename === process.argv[1]) {
  process.stdout.write(renderConfigurationPage());
}
