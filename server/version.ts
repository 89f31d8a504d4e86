import { readFileSync } from 'node:fs';

/** The version of this Posthorn, from package.json beside the sources or beside `dist`. */
export function posthornVersion(): string {
  for (const path of ['../package.json', '../../package.json']) {
    try {
      const parsed: unknown = JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8'));
      if (typeof parsed === 'object' && parsed !== null && 'version' in parsed) return String(parsed.version);
    } catch {
      // Not here: the compiled tree lies one folder deeper.
    }
  }
  return 'unknown';
}
