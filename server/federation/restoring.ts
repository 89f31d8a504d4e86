import { StanzaError } from '../../stanzas/stanza-error.ts';
import type { DomainPair, OutboxEntry } from '../../storage/outboxes.ts';
import type { Storage } from '../../storage/storage.ts';
import type { DomainPaths } from './domain-paths.ts';
import { isServedHere, type FederationContext } from './federation-context.ts';

export interface Restoring extends Pick<FederationContext, 'router' | 'clock' | 'log'> {
  readonly storage: Pick<Storage, 'outboxes' | 'commit'>;
  readonly paths: DomainPaths;
}

/** How long what is of use to nobody here stays in the store: 30 days. */
const KEPT_FOR_NOBODY_MS = 30 * 86_400_000;

/** Takes up what an earlier run left in the outbox; returns how many stanzas. Rejects with StoreError. */
export async function restoreOutbox(restoring: Restoring): Promise<number> {
  const { storage, log } = restoring;
  let restored = 0;
  let pair: DomainPair | undefined;
  let entries: OutboxEntry[] = [];
  const finish = (): void => {
    if (pair !== undefined) restorePair(pair, entries, restoring);
    entries = [];
  };
  const skipped = (error: unknown): void =>
    log.error({ error: String(error) }, 'something in the outbox for other servers cannot be read');
  for await (const [of, entry] of storage.outboxes.everything(skipped)) {
    if (pair?.local !== of.local || pair.remote !== of.remote) finish();
    pair = of;
    entries.push(entry);
    restored++;
  }
  finish();
  return restored;
}

/** The configuration may have changed meanwhile. */
function restorePair(pair: DomainPair, entries: readonly OutboxEntry[], restoring: Restoring): void {
  const { storage, paths, log, clock } = restoring;
  if (isServedHere(restoring, pair.local)) {
    const refusal = isServedHere(restoring, pair.remote)
      ? new StanzaError('remote-server-timeout', `${pair.remote} has moved to this server: send it again`)
      : undefined;
    paths.of(pair).restore(entries, refusal);
    return;
  }
  // Nobody is left whom an error would reach: it waits, for the domain may come back.
  const old = entries.filter(({ at }) => at <= clock.now() - KEPT_FOR_NOBODY_MS).map(({ position }) => position);
  log.warn(
    { ...pair, stanzas: entries.length - old.length, removed: old.length },
    'stanzas of a domain that is no longer in the configuration stay in the outbox, for 30 days',
  );
  storage.commit.add(storage.outboxes.removeWrites(pair, old), {
    committed: () => undefined,
    refused: (error) => log.error({ ...pair, error: error.message }, 'old messages stay in the outbox'),
  });
}
