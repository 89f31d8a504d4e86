import type { GroupCommit } from '../../../storage/group-commit.ts';
import type { Federation } from '../../federation/federation.ts';
import type { CommitMeter } from '../../metrics/commit-meter.ts';
import type { Counters } from '../../metrics/counters.ts';
import type { ProcessMeter } from '../../metrics/process-meter.ts';
import type { ResumableSessions } from '../../routing/resumable-sessions.ts';
import type { SessionTable } from '../../routing/session-table.ts';
import type { PasswordWork } from '../../sasl/password-work.ts';
import type { Admission } from '../../streams/admission.ts';
import type { ClientStream } from '../../streams/client-stream.ts';
import type { Flusher } from '../../streams/flusher.ts';
import type { LoginQueue } from '../../streams/login-queue.ts';
import type { TlsHandshakes } from '../../streams/tls-handshakes.ts';

/** What all connections of one kind share: those of clients, or those of other servers. */
export interface PeerSource {
  readonly admission: Admission;
  readonly handshakes: TlsHandshakes;
  readonly flusher: Flusher;
}

/** Everything that metrics are read from. */
export interface MetricSource {
  readonly version: string;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  readonly counters: Counters;
  /** Errors that nothing caught. */
  readonly faults: () => number;
  readonly commit: Pick<GroupCommit, 'queuedBytes' | 'lastFailure'>;
  readonly commits: CommitMeter;
  readonly process: ProcessMeter;
  readonly streams: ReadonlySet<ClientStream>;
  readonly table: Pick<SessionTable, 'sessionCount' | 'sessions'>;
  readonly resumable: Pick<ResumableSessions, 'detachedCount'>;
  readonly logins: LoginQueue;
  readonly passwordWork: PasswordWork;
  readonly clients: PeerSource;
  /** Undefined where this server does not talk to others. */
  readonly servers: (PeerSource & { readonly federation: Federation }) | undefined;
}
