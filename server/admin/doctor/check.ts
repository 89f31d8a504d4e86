import type { Config } from '../../../config/options.ts';
import type { ServerInspection } from '../operations.ts';

/** How bad it is. `note`: worth knowing, may well be meant so. `error`: something does not work, or will not. */
export type Severity = 'ok' | 'note' | 'warning' | 'error';

/** Something a check looked at. */
export interface Observation {
  readonly severity: Severity;
  /** The option, file, directory or address it is about. */
  readonly where: string;
  /** What was found there. */
  readonly what: string;
  /** What to do; '' where there is nothing to do. */
  readonly advice: string;
}

/** What a check works with. */
export interface CheckContext {
  readonly config: Config;
  /** What the running server says of itself; undefined while it is down. */
  readonly running: ServerInspection | undefined;
  /** The user who asks; undefined where the system knows no such thing. */
  readonly userId: number | undefined;
  /** Milliseconds since the epoch. */
  readonly nowMs: number;
}

/** A group of things to look at. It changes nothing; what it throws becomes an observation. */
export interface Check {
  /** As findings name it. */
  readonly name: string;
  readonly examine: (context: CheckContext) => readonly Observation[] | Promise<readonly Observation[]>;
}

/** All is well there. */
export function fine(where: string, what: string): Observation {
  return { severity: 'ok', where, what, advice: '' };
}

/** Something to know or to mend. */
export function found(severity: Exclude<Severity, 'ok'>, where: string, what: string, advice: string): Observation {
  return { severity, where, what, advice };
}

/** The system's name for what went wrong: `ENOENT`. */
export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error);
}
