import { pagesOf, type OrderedStore, type Range, type StoreReader } from '../ordered-store.ts';
import { checkChat } from './chat-check.ts';
import { Findings } from './finding.ts';
import { checkCursors, checkIndex, checkUsage, type OwnerSummary } from './owner-check.ts';
import type { AuditScope } from './scope.ts';
import { StoreWalk } from './store-walk.ts';

export interface AuditOptions {
  readonly scope: AuditScope;
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

/** Keys begin with a shard and a table, both far smaller than this. */
const EVERYTHING: Range = { from: new Uint8Array(), to: new Uint8Array(64).fill(0xff) };
const PAGE_ENTRIES = 500;
/** Clocks differ and are set. */
const CLOCK_TOLERANCE_US = 24 * 3600 * 1e6;

/**
 * Proves a store as it is at one moment, so that the server may go on: one pass over everything, and a second look only at
 * chats and accounts whose sums disagree. Memory grows with accounts and chats, not with messages. Rejects with StoreError.
 */
export async function audit(store: OrderedStore, options: AuditOptions): Promise<AuditResult> {
  const view = await store.view();
  try {
    return await auditView(view, options);
  } finally {
    await view.close();
  }
}

async function auditView(store: StoreReader, { scope, nowMs, report }: AuditOptions): Promise<AuditResult> {
  const found = new Findings();
  const walk = new StoreWalk(store, scope, found);
  let entries = 0;
  const progress = (): AuditProgress => ({
    entries,
    accounts: walk.accountCount,
    chats: walk.chats.size,
    findings: found.count,
  });
  for await (const page of pagesOf(store, EVERYTHING, PAGE_ENTRIES)) {
    await walk.take(page);
    entries += page.length;
    report?.(progress());
    await new Promise((resolve) => setImmediate(resolve)); // whoever has work to do goes first
  }
  for (const [owner, summary] of walk.owners) {
    await checkOwner(store, owner, summary, found, nowMs);
  }
  for (const chat of walk.chats.values()) {
    await guarded(found, chat.key, () => checkChat(chat, { store, accounts: walk.accounts, findings: found }));
    report?.(progress());
  }
  return { ...progress(), found };
}

async function checkOwner(
  store: StoreReader,
  owner: string,
  summary: OwnerSummary,
  found: Findings,
  nowMs: number,
): Promise<void> {
  if (!summary.hasSoundIndex) await guarded(found, owner, () => checkIndex(store, owner, found));
  if (!summary.hasSoundUsage) await guarded(found, owner, () => checkUsage(store, owner, found));
  checkCursors(owner, summary, nowMs * 1000 + CLOCK_TOLERANCE_US, found);
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
