import { BackupError, writeBackup, type BackupProgress } from './backup-file.ts';
import type { OrderedStore } from './ordered-store.ts';

/** How the last backup is getting on, or how it ended. */
export interface BackupState extends BackupProgress {
  readonly file: string;
  readonly state: 'running' | 'done' | 'failed';
  /** Why it failed. */
  readonly problem?: string;
}

/** Writes backups of a store in use, one at a time. */
export class Backups {
  readonly #store: OrderedStore;
  #last: BackupState | undefined;

  constructor(store: OrderedStore) {
    this.#store = store;
  }

  /** Undefined where none was begun. */
  get last(): BackupState | undefined {
    return this.#last;
  }

  /** Begins to write a backup, which goes on by itself. Throws BackupError while another one is being written. */
  begin(file: string): BackupState {
    if (this.#last?.state === 'running') throw new BackupError(`a backup is being written to ${this.#last.file}`);
    const begun: BackupState = { file, state: 'running', entries: 0, bytes: 0 };
    this.#last = begun;
    const report = (progress: BackupProgress): void => {
      this.#last = { file, state: 'running', ...progress };
    };
    writeBackup(this.#store, file, report).then(
      (progress) => (this.#last = { file, state: 'done', ...progress }),
      (error: unknown) => {
        const problem = problemOf(file, error);
        this.#last = { file, state: 'failed', entries: 0, bytes: 0, problem };
      },
    );
    return begun;
  }
}

function problemOf(file: string, error: unknown): string {
  if ((error as NodeJS.ErrnoException).code === 'EEXIST') return `${file} exists already, and is left as it is`;
  return error instanceof Error ? error.message : String(error);
}
