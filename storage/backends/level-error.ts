import { StoreError } from '../ordered-store.ts';

/** What the C library says for ENOSPC and EDQUOT, all that LevelDB passes on, and what Node.js says. */
const DISK_FULL = /no space left on device|disk quota exceeded|ENOSPC|EDQUOT/i;

/** What a failure of LevelDB, or of the file system under it, in `directory` means to the caller of the store. */
export function levelError(directory: string, error: unknown): StoreError {
  if (error instanceof StoreError) return error;
  const reason = deepest(error);
  const message = reason.message;
  if (DISK_FULL.test(message)) {
    return new StoreError('full', `the disk of ${directory} is full: ${message}`, { cause: error });
  }
  if (reason.code === 'LEVEL_LOCKED') {
    return new StoreError('locked', `${directory} is in use by another process`, { cause: error });
  }
  if (reason.code === 'LEVEL_CORRUPTION') {
    return new StoreError('corrupt', `the database in ${directory} is damaged: ${message}`, { cause: error });
  }
  return new StoreError('failed', `the database in ${directory} failed: ${message}`, { cause: error });
}

/** The error at the root of a chain of causes: the one the system gave. */
function deepest(error: unknown): { message: string; code: unknown } {
  let current = error;
  while (current instanceof Error && current.cause instanceof Error) current = current.cause;
  if (!(current instanceof Error)) return { message: String(current), code: undefined };
  return { message: current.message, code: 'code' in current ? current.code : undefined };
}
