import { expect } from 'chai';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { loadConfig } from '../../../config/load.ts';
import { readComponentSecrets } from '../../../server/streams/component-secrets.ts';

describe('secrets of components', () => {
  let directory: string;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'posthorn-secrets-'));
    writeFileSync(join(directory, 'secret'), 'a rose\n', { mode: 0o600 });
  });

  afterEach(() => rmSync(directory, { recursive: true }));

  function read(settings: Readonly<Record<string, unknown>>, environment = {}): ReadonlyMap<string, string> {
    const file = join(directory, 'posthorn.toml');
    const lines = Object.entries(settings).map(([key, value]) => `${key} = ${JSON.stringify(value)}\n`);
    writeFileSync(file, `[[components.external]]\ndomain = "plays.localhost"\n${lines.join('')}`);
    const config = loadConfig({ file, environment: {}, workingDirectory: '/' });
    return readComponentSecrets(config.components.external, environment);
  }

  it('come from a file beside the configuration, or from the environment', () => {
    expect(read({ secret_file: 'secret' }).get('plays.localhost')).to.equal('a rose');
    expect(read({ secret_environment: 'ROSE' }, { ROSE: 'a thorn' }).get('plays.localhost')).to.equal('a thorn');
  });

  it('are refused where others can read the file, where there is none and where it is empty', () => {
    chmodSync(join(directory, 'secret'), 0o640);
    expect(() => read({ secret_file: 'secret' })).to.throw(/can be read by others; run: chmod 600/);
    expect(() => read({ secret_file: 'missing' })).to.throw(/cannot be read \(ENOENT\)/);
    expect(() => read({ secret_environment: 'ROSE' })).to.throw(/ROSE holds no secret for plays.localhost/);
  });

  for (const [settings, problem] of [
    [{}, 'secret_file: found "", must be set'],
    [{ secret_file: 'secret', secret_environment: 'ROSE' }, 'must be set, or secret_environment in its place'],
    [{ secret_environment: 'POSTHORN_ROSE' }, 'does not begin with POSTHORN_'],
    [{ secret_file: 'secret', conflikt: 'refuse' }, 'unknown option, did you mean conflict?'],
  ] as const) {
    it(`refuses ${JSON.stringify(settings)}`, () => {
      expect(() => read(settings)).to.throw(problem);
    });
  }
});
