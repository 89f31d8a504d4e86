import { execFileSync } from 'node:child_process';

/** The installed version of a Debian package; undefined where it is not installed. */
export function versionOf(debianPackage: string): string | undefined {
  try {
    const query = ['-W', '-f', '${db:Status-Status} ${Version}', debianPackage];
    const [status, version] = execFileSync('dpkg-query', query, { encoding: 'utf8', stdio: 'pipe' }).split(' ');
    return status === 'installed' ? version : undefined;
  } catch {
    return undefined;
  }
}
