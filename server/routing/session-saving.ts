import { Jid } from '../../stanzas/jid.ts';
import type { SavedSession } from '../../storage/resumptions.ts';
import type { Storage } from '../../storage/storage.ts';
import type { Clock } from '../clock.ts';
import type { Log } from '../log.ts';
import { isError } from './message-delivery.ts';
import type { ResumableSessions } from './resumable-sessions.ts';
import { Session, type SessionLimits } from './session.ts';
import type { SessionTable } from './session-table.ts';
import type { SlotNumbers } from './slot.ts';
import { readStoredStanza } from './stored-stanza.ts';

export interface SessionSavingOptions {
  readonly storage: Storage;
  readonly table: SessionTable;
  readonly resumable: ResumableSessions;
  readonly sessionSlots: SlotNumbers;
  readonly limits: SessionLimits;
  readonly clock: Clock;
  readonly log: Log;
}

/** Sessions whose accounts are read, and which are written, together: each write alone would wait for the disk. */
const RESTORED_AT_ONCE = 100;

/**
 * Saves every resumable session for the next run of the server. Nothing may reach the sessions any more: what came after
 * this would be lost. Rejects with StoreError if they cannot be stored.
 */
export async function saveSessions({ storage, resumable, sessionSlots }: SessionSavingOptions): Promise<number> {
  const writes = [];
  let count = 0;
  for (const session of resumable.all()) {
    writes.push(...storage.resumptions.saveSessionWrites(savedSession(session, sessionSlots)));
    count++;
  }
  if (count > 0) await storage.commit.write(writes);
  return count;
}

/**
 * Makes the saved sessions again, each waiting for its client as long as it might. Before the first connection is
 * accepted. A session that cannot be restored is as if it had timed out.
 */
export async function restoreSessions(options: SessionSavingOptions): Promise<number> {
  const { storage, log, clock } = options;
  let count = 0;
  const skipped = (error: unknown): void => log.warn({ error: String(error) }, 'a saved session cannot be read');
  let group: SavedSession[] = [];
  const restoreGroup = async (): Promise<void> => {
    const restored = await Promise.all(
      group.map((saved) =>
        restore(saved, options).catch((error: unknown) => {
          log.warn({ account: saved.owner, error: String(error) }, 'a saved session cannot be restored');
          return false;
        }),
      ),
    );
    count += restored.filter(Boolean).length;
    // In one batch, so that a crash before it restores the session again and one after it tells the client what is stored.
    const at = clock.now();
    await storage.commit.write(
      group.flatMap(({ owner, id, handled }) => [
        ...storage.resumptions.removeSessionWrites(owner, id),
        ...storage.resumptions.handledWrites(owner, id, { handled, at }),
      ]),
    );
    group = [];
  };
  for await (const saved of storage.resumptions.savedSessions(skipped)) {
    group.push(saved);
    if (group.length >= RESTORED_AT_ONCE) await restoreGroup();
  }
  if (group.length > 0) await restoreGroup();
  return count;
}

function savedSession(session: Session, sessionSlots: SlotNumbers): SavedSession {
  session.gate?.release();
  const { account, jid, resumption, queue, presence, priority } = session;
  return {
    owner: account.jid.bare,
    id: resumption!.id,
    resource: jid.resource,
    since: session.since,
    maxMs: resumption!.maxMs,
    handled: queue.handled,
    confirmed: queue.confirmed,
    unconfirmed: queue.unconfirmed.map(({ stanza, position }) => ({ document: stanza.toDocument(), position })),
    presence: presence?.toDocument(),
    priority: priority ?? 0,
    slots: sessionSlots.save(session),
  };
}

async function restore(saved: SavedSession, options: SessionSavingOptions): Promise<boolean> {
  const { table, resumable, sessionSlots, limits } = options;
  const account = table.account(Jid.parse(saved.owner));
  await account.loaded;
  if (account.state !== 'present') return false;
  const jid = account.jid.withResource(saved.resource);
  if (account.session(jid.full) !== undefined) return false;
  const unconfirmed = saved.unconfirmed.map(({ document, position }) => ({
    stanza: readStoredStanza(document),
    position,
  }));
  const session = new Session(account, jid, undefined, saved.since, limits);
  session.restore({ handled: saved.handled, confirmed: saved.confirmed, unconfirmed });
  if (saved.presence !== undefined) {
    session.presence = readStoredStanza(saved.presence);
    session.priority = saved.priority;
  }
  sessionSlots.restore(session, saved.slots);
  for (const { stanza, position } of unconfirmed) {
    if (position !== undefined) account.pending.hold(position, stanza.size, isError(stanza));
  }
  table.add(session);
  resumable.add(session, saved.id, saved.maxMs);
  resumable.detach(session);
  return true;
}
