import type { GroupCommit } from '../../storage/group-commit.ts';
import type { Resumptions } from '../../storage/resumptions.ts';
import type { Clock } from '../clock.ts';
import type { Log } from '../log.ts';
import type { Session } from './session.ts';
import type { SessionTable } from './session-table.ts';

export interface ResumableSessionsOptions {
  readonly table: SessionTable;
  readonly store: Resumptions;
  readonly commit: GroupCommit;
  readonly clock: Clock;
  readonly log: Log;
  /** How long a session may be without a stream, milliseconds; 0: no session is resumable. */
  readonly maxMs: number;
  readonly randomId: () => string;
}

/** A count outlives its session by this: a client that comes back late still learns what had arrived. */
const KEEP_COUNTS_MS = 24 * 60 * 60 * 1000;
const SWEEP_COUNTS_MS = 60 * 60 * 1000;

/**
 * The sessions that may get another stream (XEP-0198 5). Each one's count of handled stanzas is committed in the very
 * batch that holds those stanzas, so that after a crash the client is told exactly what is stored.
 */
export class ResumableSessions {
  readonly #options: ResumableSessionsOptions;
  readonly #sessions = new Map<string, Session>();
  readonly #detached = new Set<Session>();
  /** Sessions with a stanza in the batch that fills. */
  readonly #batched = new Set<Session>();
  #nextSweep: number;

  constructor(options: ResumableSessionsOptions) {
    this.#options = options;
    this.#nextSweep = options.clock.monotonic();
    const { commit, store, clock, table } = options;
    commit.onClosing((writes) => {
      for (const session of this.#batched) {
        const count = { handled: session.inbound.handledOnceCommitted, at: clock.now() };
        const resumption = session.resumption!;
        resumption.isCounted = true;
        writes.push(...store.handledWrites(session.account.jid.bare, resumption.id, count));
      }
      this.#batched.clear();
    });
    table.onEnd((session) => this.#ended(session));
  }

  /** How many sessions wait for their clients to come back. */
  get detachedCount(): number {
    return this.#detached.size;
  }

  /**
   * Makes the session resumable; it must have begun to count. Returns false where the configuration allows none.
   * @param preferredMs how long the client would like it to wait, if it said
   */
  offer(session: Session, preferredMs = Infinity): boolean {
    const maxMs = Math.min(this.#options.maxMs, preferredMs);
    if (maxMs <= 0) return false;
    this.add(session, this.#options.randomId(), maxMs);
    return true;
  }

  /** The same with an id that was given before, for a session that has been restored. */
  add(session: Session, id: string, maxMs: number): void {
    session.resumption = { id, maxMs, detachedAt: undefined, isCounted: false };
    session.inbound.onBatched = () => this.#batched.add(session);
    this.#sessions.set(id, session);
  }

  /** The account's session of that id. Somebody else's is not found. */
  find(owner: string, id: string): Session | undefined {
    const session = this.#sessions.get(id);
    return session?.account.jid.bare === owner ? session : undefined;
  }

  *all(): IterableIterator<Session> {
    yield* this.#sessions.values();
  }

  /** The committed count of a session that is gone; undefined where none is known. */
  async handledBefore(owner: string, id: string): Promise<number | undefined> {
    try {
      return (await this.#options.store.handled(owner, id))?.handled;
    } catch (error) {
      this.#options.log.warn({ account: owner, error: String(error) }, 'the count of an earlier session is unreadable');
      return undefined;
    }
  }

  /** The session has lost its stream and waits for its client. Returns false if it is not resumable. */
  detach(session: Session): boolean {
    if (session.resumption === undefined) return false;
    session.stream = undefined;
    session.resumption.detachedAt = this.#options.clock.monotonic();
    this.#detached.add(session);
    return true;
  }

  /** The session has a stream again. */
  attached(session: Session): void {
    this.#detached.delete(session);
  }

  /** Ends the sessions whose clients did not come back in time; about once a second. */
  expire(): void {
    const { clock, table, store, log } = this.#options;
    const now = clock.monotonic();
    for (const session of this.#detached) {
      const { maxMs, detachedAt = now } = session.resumption!;
      if (now - detachedAt >= maxMs) table.end(session);
    }
    if (now < this.#nextSweep) return;
    this.#nextSweep = now + SWEEP_COUNTS_MS;
    store.forgetHandledBefore(clock.now() - KEEP_COUNTS_MS).catch((error: unknown) => {
      log.warn({ error: String(error) }, 'counts of sessions long gone are not removed');
    });
  }

  #ended(session: Session): void {
    const { resumption } = session;
    if (resumption === undefined) return;
    this.#sessions.delete(resumption.id);
    const { store, commit, clock } = this.#options;
    const owner = session.account.jid.bare;
    if (this.#detached.delete(session)) {
      // Its client may still ask what had arrived. What is still in a batch is counted when that closes.
      const count = { handled: session.inbound.handled, at: clock.now() };
      commit.add(store.handledWrites(owner, resumption.id, count), UNHEARD);
    } else if (resumption.isCounted) {
      commit.add(store.forgetHandledWrites(owner, resumption.id), UNHEARD);
    }
  }
}

/** Nothing depends on these writes. */
const UNHEARD = { committed: () => undefined, refused: () => undefined };
