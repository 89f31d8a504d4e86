/** Why a command did not do what was asked; each has its exit code. */
export type FailureCode =
  'failed' | 'usage' | 'not-running' | 'not-found' | 'some-refused' | 'warnings-found' | 'errors-found';

/** Exit codes of `posthorn`, also in docs/operations.md and `--help`. */
export const EXIT_CODES: Readonly<Record<FailureCode | 'done', number>> = {
  done: 0,
  failed: 1,
  usage: 2,
  'not-running': 3,
  'not-found': 4,
  'some-refused': 5,
  'warnings-found': 6,
  'errors-found': 7,
};

/** What each exit code means, for `--help`. */
export const EXIT_CODE_MEANINGS = `Exit codes:
  0  done
  1  failed; the reason is on standard error
  2  wrong usage, or mistakes in the configuration
  3  the server is not running
  4  no such account or session
  5  done in part: some items were refused and reported
  6  "doctor" found something that deserves attention
  7  "doctor" found something that does not work`;

/** A command that failed for a reason its caller may read. Its message never holds a password. */
export class CommandError extends Error {
  readonly code: FailureCode;

  constructor(code: FailureCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'CommandError';
    this.code = code;
  }
}

/** Whether a text, as it came over the control socket, is a failure code. */
export function isFailureCode(text: string): text is FailureCode {
  return text !== 'done' && Object.hasOwn(EXIT_CODES, text);
}
