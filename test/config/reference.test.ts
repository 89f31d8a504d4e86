import { expect } from 'chai';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { loadConfig } from '../../config/load.ts';
import { placedOptions, variableOf } from '../../config/option.ts';
import { OPTIONS } from '../../config/options.ts';
import { renderConfigurationPage, renderReference } from '../../config/reference.ts';

describe('config/reference', () => {
  let directory: string;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'posthorn-reference-'));
  });

  afterEach(() => rmSync(directory, { recursive: true }));

  function load(toml: string) {
    const file = join(directory, 'posthorn.toml');
    writeFileSync(file, toml);
    return loadConfig({ file, environment: {}, workingDirectory: directory });
  }

  it('reads back to the defaults', () => {
    expect(load(renderReference())).to.deep.equal(load(''));
  });

  it('sets every option but the list of tables, which it shows in a comment', () => {
    const lines = renderReference().split('\n');
    for (const { path, option } of placedOptions(OPTIONS)) {
      const start = option.type.keys === undefined ? `${path.at(-1) ?? ''} = ` : `# [[${path.join('.')}]]`;
      expect(
        lines.some((line) => line.startsWith(start)),
        path.join('.'),
      ).to.equal(true);
    }
  });

  it('shows examples that are allowed', () => {
    const withExamples = renderReference()
      .split('\n')
      .filter(
        (line) =>
          !/^(abuse|admin|feedback|sales|security|status|support|allowed_origins|public_url|resolvers) = /.test(line),
      )
      .map((line) => line.replace(/^# (For example: )?(?=[a-z_]+ = |\[\[)/, ''))
      .join('\n')
      .replace('domains = ["localhost"]', 'domains = ["capulet.example"]');
    const config = load(withExamples);
    expect(config.tls.certificates).to.have.length(1);
    expect(config.s2s.routes).to.have.length(1);
    expect(config.http.publicUrl).to.equal('https://chat.capulet.example');
  });

  it('has a variable of its own for every option', () => {
    const variables = placedOptions(OPTIONS).map(({ path }) => variableOf(path));
    expect(new Set(variables).size).to.equal(variables.length);
  });

  it('is what docs/configuration.md says; if not: npx tsx config/reference.ts > docs/configuration.md', () => {
    const page = readFileSync(new URL('../../docs/configuration.md', import.meta.url), 'utf8');
    expect(page).to.equal(renderConfigurationPage());
  });
});
