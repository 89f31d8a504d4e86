import type { Log, LogFields } from '../../server/log.ts';
import { silentLog } from './silent-log.ts';

/** A log whose lines at info and above are kept. */
export function recordingLog(): { readonly log: Log; readonly lines: (LogFields & { readonly text: string })[] } {
  const lines: (LogFields & { readonly text: string })[] = [];
  const keep = (fields: LogFields, text: string): void => void lines.push({ ...fields, text });
  return { log: { ...silentLog, info: keep, warn: keep, error: keep }, lines };
}
