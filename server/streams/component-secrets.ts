import { readFileSync, statSync } from 'node:fs';

import type { ExternalComponent } from '../../config/external-components.ts';

/**
 * The secrets of the components, by domain.
 * @throws Error that names the component and says what to do; never with a secret in it
 */
export function readComponentSecrets(
  external: readonly ExternalComponent[],
  environment: Readonly<Record<string, string | undefined>>,
): ReadonlyMap<string, string> {
  return new Map(
    external.map((component) => {
      const { domain, secret_environment: variable } = component;
      const secret = variable === '' ? ofFile(component) : (environment[variable] ?? '');
      if (secret !== '') return [domain, secret];
      const source = variable === '' ? component.secret_file : `the environment variable ${variable}`;
      throw new Error(`components.external: ${source} holds no secret for ${domain}; put one there`);
    }),
  );
}

/** The first line of the file. */
function ofFile({ domain, secret_file: file }: ExternalComponent): string {
  const about = `components.external: the secret of ${domain} in ${file}`;
  try {
    if ((statSync(file).mode & 0o077) !== 0) {
      throw new Error(`${about} can be read by others; run: chmod 600 ${file}`);
    }
    return readFileSync(file, 'utf8').split(/\r?\n/, 1)[0] ?? '';
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    if (code === '') throw error;
    throw new Error(`${about} cannot be read (${code}); make it a file that this user can read`, { cause: error });
  }
}
