import type { OrderedStore } from '../ordered-store.ts';
import { checkChat } from './chat-check.ts';
import type { ArchivingPolicy } from './explanations.ts';
import { Findings } from './finding.ts';
import { checkIndex, checkUsage, type OwnerSummary } from './owner-check.ts';
import type { AuditScope } from './scope.ts';
import { StoreWalk } from './store-walk.ts';

export interface AuditOptions {
  readonly scope: AuditScope;
  readonly policy: ArchivingPolicy;
  /** Milliseconds since the epoch. */
  readonly nowMs: number;
  readonly report?: ((progress: AuditProgress) => void) | undefined;
}

/** How far an audit has come. */
export interface AuditProgress {
  readonly entries: number;
  readonly accounts: number;
  readonly chats: number;
  readonly findings: number;
}

/** What an audit has found. */
export interface AuditResult extends AuditProgress {
  readonly found: Findings;
}

/** Clocks differ and are set. */
const CLOCK_TOLERANCE_US = 24 * 3600 * 1e6;

/**
 * Proves a store: one pass over a snapshot, so that the server may go on, and a second look only at chats and accounts whose
 * sums disagree. Memory grows with accounts and chats, not with messages. Rejects with StoreError.
 */
export async function audit(store: OrderedStore, { scope, policy, nowMs, report }: AuditOptions): Promise<AuditResult> {
  const found = new Findings();
  const walk = new StoreWalk(store, scope, found);
  let entries = 0;
  const progress = (): AuditProgress => ({
    entries,
    accounts: walk.owners.size,
    chats: walk.chats.size,
    findings: found.count,
  });
  for await (const page of store.snapshot()) {
    await walk.take(page);
    entries += page.length;
    report?.(progress());
    await new Promise((resolve) => setImmediate(resolve)); // whoever has work to do goes first
  }
  for (const [owner, summary] of walk.owners) {
    await checkOwner(store, owner, summary, found, nowMs);
  }
  for (const chat of walk.chats.values()) {
    await guarded(found, chat.key, () => checkChat(chat, { store, accounts: walk.accounts, policy, findings: found }));
    report?.(progress());
  }
  return { ...progress(), found };
}

async function checkOwner(
  store: OrderedStore,
  owner: string,
  summary: OwnerSummary,
  found: Findings,
  nowMs: number,
): Promise<void> {
  if (!summary.hasSoundIndex) await guarded(found, owner, () => checkIndex(store, owner, found));
  if (!summary.hasSoundUsage) await guarded(found, owner, () => checkUsage(store, owner, found));
  // Positions are times. What was delivered may be gone from the log, so the cursor may be behind its last entry.
  const { cursor, lastPosition } = summary;
  if (cursor <= Math.max(lastPosition, nowMs * 1000 + CLOCK_TOLERANCE_US)) return;
  const expected = `no later than the last position, ${lastPosition}, or now`;
  found.add({ fault: 'cursor', owner, position: cursor, found: `the cursor is at ${cursor}`, expected });
}

/** What cannot be read was found by the walk already; the rest goes on. */
async function guarded(found: Findings, owner: string, check: () => Promise<void>): Promise<void> {
  const before = found.count;
  try {
    await check();
  } catch (error) {
    if (found.count > before) return;
    const text = error instanceof Error ? error.message : String(error);
    found.add({ fault: 'unreadable', owner, found: text, expected: 'records that can be read' });
  }
}
