import type { OrderedStore } from '../ordered-store.ts';
import { audit, type AuditOptions, type AuditProgress } from './audit.ts';
import type { Finding } from './finding.ts';
import { messageAt, messageOfId, type MessageLife } from './message-life.ts';

/** How the last audit is getting on, or how it ended. */
export interface AuditState extends AuditProgress {
  readonly state: 'running' | 'done' | 'failed';
  /** The first of what is wrong. */
  readonly described: readonly Finding[];
  /** Records written to mend it. */
  readonly repaired: number;
  /** Why it failed. */
  readonly problem?: string;
}

/** Why an audit cannot begin. */
export class AuditError extends Error {
  override readonly name = 'AuditError';
}

type JobOptions = Omit<AuditOptions, 'report'>;

const NOTHING = { entries: 0, accounts: 0, chats: 0, findings: 0, described: [], repaired: 0 };
/** Each round mends what it describes; a store that needs more is beyond repair. */
const MAX_ROUNDS = 1000;

/** Audits a store, also one in use, one audit at a time. */
export class Audits {
  readonly #store: OrderedStore;
  #last: AuditState | undefined;

  constructor(store: OrderedStore) {
    this.#store = store;
  }

  /** Undefined where none was begun. */
  get last(): AuditState | undefined {
    return this.#last;
  }

  /** Begins an audit, which goes on by itself. Throws AuditError while another one runs. */
  begin(options: JobOptions): AuditState {
    if (this.#last?.state === 'running') throw new AuditError('an audit is running already');
    const begun: AuditState = { ...NOTHING, state: 'running' };
    this.#last = begun;
    this.#run(options).then(
      (done) => (this.#last = done),
      (error: unknown) => {
        const problem = error instanceof Error ? error.message : String(error);
        this.#last = { ...NOTHING, state: 'failed', problem };
      },
    );
    return begun;
  }

  /**
   * Audits a store nobody else writes to, and mends what can be derived from what is there; resolves to what is left. No
   * message is made or removed. Rejects with StoreError.
   */
  async repair(options: JobOptions): Promise<{ readonly mended: readonly Finding[]; readonly left: AuditState }> {
    const mended: Finding[] = [];
    let repaired = 0;
    for (let round = 0; ; round++) {
      const { found, ...progress } = await audit(this.#store, options);
      if (found.repairs.length === 0 || round >= MAX_ROUNDS) {
        return { mended, left: { ...progress, state: 'done', described: found.described, repaired } };
      }
      if (round === 0) mended.push(...found.described.filter(({ isRepairable }) => isRepairable));
      await this.#store.write(found.repairs);
      repaired += found.repairs.length;
    }
  }

  /** What the store knows of one message, by its position or by its id. Rejects with StoreError. */
  message(owner: string, place: number | string): Promise<MessageLife | undefined> {
    return typeof place === 'number' ? messageAt(this.#store, owner, place) : messageOfId(this.#store, owner, place);
  }

  async #run(options: JobOptions): Promise<AuditState> {
    const report = (progress: AuditProgress): void => {
      this.#last = { ...progress, state: 'running', described: [], repaired: 0 };
    };
    const { found, ...progress } = await audit(this.#store, { ...options, report });
    return { ...progress, state: 'done', described: found.described, repaired: 0 };
  }
}
