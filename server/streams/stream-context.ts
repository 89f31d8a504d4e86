import type { Config } from '../../config/options.ts';
import type { Element } from '../../stanzas/element.ts';
import type { JidCache } from '../../stanzas/jid.ts';
import type { ScannerLimits } from '../../stanzas/scanner.ts';
import type { GroupCommit } from '../../storage/group-commit.ts';
import type { Clock } from '../clock.ts';
import type { Log } from '../log.ts';
import type { Counters } from '../metrics/counters.ts';
import type { Acceptance } from '../routing/acceptance.ts';
import type { BindFeatures } from '../routing/bind-features.ts';
import type { Pipeline } from '../routing/pipeline.ts';
import type { ResumableSessions } from '../routing/resumable-sessions.ts';
import type { Router } from '../routing/router.ts';
import type { SessionTable } from '../routing/session-table.ts';
import type { Slot } from '../routing/slot.ts';
import type { SaslContext } from '../sasl/handshakes.ts';
import type { ClientStream } from './client-stream.ts';
import type { LoginQueue } from './login-queue.ts';

/** What every client stream of a server shares. */
export interface StreamContext {
  readonly config: Config;
  readonly domains: ReadonlySet<string>;
  /** What a scanner takes from who has not logged in yet, and from who has. */
  readonly scannerLimits: { readonly unauthenticated: ScannerLimits; readonly authenticated: ScannerLimits };
  readonly router: Router;
  readonly acceptance: Pick<Acceptance, 'clearArchived'>;
  readonly table: SessionTable;
  readonly pipeline: Pipeline;
  readonly resumable: ResumableSessions;
  readonly commit: Pick<GroupCommit, 'isFull' | 'whenRoom'>;
  readonly clock: Clock;
  readonly log: Log;
  readonly counters: Counters;
  readonly jids: JidCache;
  /** What modules let a client switch on while it binds (XEP-0386). */
  readonly bindFeatures: BindFeatures;
  /** The client installation that bound a session (XEP-0388), where it said which; kept over resumption and restart. */
  readonly sessionClient: Slot<string>;
  /** Up to which position in the log a session's client takes from the archive what is in it; kept like that. */
  readonly archiveMark: Slot<number>;
  /** Makes resources that are stable for a client and that nobody else can guess. */
  readonly resourceSecret: Uint8Array;
  /** Features of authenticated streams that modules announce. */
  readonly streamFeatures: readonly (() => Element)[];
  /** One for all listeners. */
  readonly logins: LoginQueue;
  /** All but what depends on the one connection. */
  readonly sasl: Omit<SaslContext, 'domain' | 'security' | 'address'>;
  readonly randomId: () => string;
  readonly streams: Set<ClientStream>;
}
