import { element } from '../../../stanzas/element.ts';
import { NS } from '../../../stanzas/namespaces.ts';
import { StanzaError } from '../../../stanzas/stanza-error.ts';
import type { LogEntry } from '../../../storage/message-log.ts';
import { defineModule } from '../../module.ts';
import type { Account } from '../../routing/account.ts';
import type { AccountIqRequest } from '../../routing/iq-table.ts';
import type { Session } from '../../routing/session.ts';
import { Rosters } from '../../services/rosters.ts';
import { ArchiveReader } from './archive-reader.ts';
import {
  allows,
  defaultPreferences,
  preferencesElement,
  readPreferences,
  restorePreferences,
  storedPreferences,
  type ArchivePreferences,
} from './preferences.ts';
import { isUnfiltered, queryForm, readQuery } from './query.ts';
import { metadata, pageEnd, resultMessage } from './results.ts';
import { Retractions } from './retractions.ts';

const PREFERENCES = 'archive-preferences';
const BEHIND_POLL_MS = 50;
/** Stanzas that may wait behind the disk before results wait as well. */
const MAX_AHEAD = 500;

/**
 * XEP-0313: Message Archive Management, of accounts. What is archived decides the core where it records a message
 * (server/routing/recorder.ts); this is how its owner reads it, and says what is to be archived (XEP-0441).
 */
export const messageArchive = defineModule({
  name: 'message-archive',
  implements: [
    { xep: 59, version: '1.0', note: 'in archive queries' },
    { xep: 313, version: '1.1.3', note: 'of accounts' },
    { xep: 359, version: '0.7.0' },
    { xep: 424, version: '0.4.2', note: 'tombstones in archives of accounts' },
    { xep: 441, version: '0.2.0' },
  ],
  needs: { rosters: Rosters },
  setup(
    {
      iq,
      feature,
      bindMetadata,
      on,
      archive,
      storage,
      config,
      clock,
      log,
      counters,
      deliverTo,
      sessionSlot,
      accountSlot,
    },
    { rosters },
  ) {
    if (config.messages.history === 'off') return;
    feature(NS.MAM, ['account']);
    feature(`${NS.MAM}#extended`, ['account']);
    feature(`${NS.MAM}#groupchat-field`, ['account']);
    feature(NS.STANZA_ID, ['server', 'account']);
    feature(NS.RESULT_SET, ['account']); // XEP-0059 3
    const { ids } = archive;
    const { pageMessages, maxPageMessages, maxPreferences } = config.archive;
    const reader = new ArchiveReader({ archive: storage.archive, ids, pageMessages, maxPageMessages });
    const usual = defaultPreferences(config.archive.default);
    const preferences = accountSlot<ArchivePreferences>(() => usual);
    /** One query of a session at a time: the next one's page is not read before this one's is sent. */
    const lastQuery = sessionSlot<{ settled: Promise<unknown> }>(() => ({ settled: Promise.resolve() }));

    on.accountLoaded(async function loadPreferences(account) {
      const stored = await storage.documents.get(account.jid.bare, PREFERENCES);
      if (stored !== undefined) preferences.set(account, restorePreferences(stored));
    });
    archive.policy(function isWanted(account, contact) {
      const wanted = preferences.peek(account) ?? usual;
      return allows(
        wanted,
        contact,
        () => contact.bare === account.jid.bare || rosters.of(account).item(contact.bare)?.isListed === true,
      );
    });

    // XEP-0424 3 and 5
    feature(NS.RETRACT, ['server', 'account']);
    feature(`${NS.RETRACT}#tombstone`, ['account']);
    const retractions = new Retractions(storage);
    archive.archived(function buryRetracted(account, stanza, entry) {
      if (!stanza.hasChild('retract', NS.RETRACT)) return;
      retractions.bury(account.jid.bare, stanza, entry).catch((error: unknown) => {
        log.error({ account: account.jid.bare, error: String(error) }, 'a retracted message stays in the archive');
      });
    });

    iq.self.get(NS.MAM, 'query', function describeQuery() {
      return element('query', NS.MAM, {}, queryForm());
    });
    iq.self.set(NS.MAM, 'query', function queryArchive({ payload, session }) {
      const last = lastQuery.of(session);
      const answer = last.settled.then(async () => {
        const query = readQuery(payload);
        const owner = session.account.jid.bare;
        const beganMs = clock.monotonic();
        const { entries, hasMore } = await reader.page(owner, query);
        counters.archiveQuerySeconds.observe((clock.monotonic() - beganMs) / 1000);
        // 4.4.4: flipped is the order of sending alone
        await send(session, query.isFlipped ? entries.toReversed() : entries, query.queryId);
        // XEP-0059 2.7: counting may cost something, so only where the client asks for nothing else
        const isCounting = query.set.max === 0 && isUnfiltered(query);
        const count = isCounting ? await storage.retention.knownCount(owner) : undefined;
        return pageEnd(owner, entries, !hasMore, ids, count);
      });
      last.settled = answer.catch(() => undefined);
      return answer;
    });
    iq.self.get(NS.MAM, 'metadata', async function answerMetadata({ account: { jid } }) {
      return metadata(jid.bare, await storage.archive.bounds(jid.bare), ids);
    });
    // XEP-0386: what the archive holds when the session begins, and what its client therefore need not be sent
    bindMetadata(async function describeArchive({ jid }: Account) {
      const bounds = await storage.archive.bounds(jid.bare);
      return { element: metadata(jid.bare, bounds, ids), archivedUpTo: bounds?.last.position };
    });
    iq.self.get(NS.MAM, 'prefs', function getPreferences({ account }) {
      return preferencesElement(preferences.peek(account) ?? usual);
    });
    iq.self.set(NS.MAM, 'prefs', async function setPreferences({ payload, account }) {
      const wanted = readPreferences(payload, maxPreferences);
      await storage.documents.put(account.jid.bare, PREFERENCES, storedPreferences(wanted), Number.MAX_SAFE_INTEGER);
      preferences.set(account, wanted);
      return preferencesElement(wanted);
    });

    // 7.1: an archive is its owner's alone. Who may not even know of the account learns nothing of it.
    for (const name of ['query', 'metadata', 'prefs']) {
      iq.account.get(NS.MAM, name, refuse);
      iq.account.set(NS.MAM, name, refuse);
    }

    function refuse({ account, from }: AccountIqRequest): never {
      if (rosters.sharesPresenceWith(account, from.bare)) throw new StanzaError('forbidden');
      throw new StanzaError('service-unavailable');
    }

    /** Sends messages as fast as the client reads: what it has not read is bounded like everything else. */
    async function send(session: Session, entries: readonly LogEntry[], queryId: string | undefined): Promise<void> {
      for (const entry of entries) {
        while (isBehind(session)) {
          await new Promise<void>((resolve) => void clock.schedule(BEHIND_POLL_MS, resolve));
        }
        if (!session.account.sessions.includes(session)) return;
        deliverTo(session, resultMessage(session, entry, ids, queryId));
      }
    }
  },
});

function isBehind(session: Session): boolean {
  const { account } = session;
  return account.sessions.includes(session) && (session.isBehind || account.deliveriesAhead > MAX_AHEAD);
}
