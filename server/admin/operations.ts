import type { Config } from '../../config/options.ts';
import type { Storage } from '../../storage/storage.ts';
import type { ComponentCounts } from '../routing/component.ts';
import type { VisitorKey } from '../federation/visit.ts';
import type { ServerStreamSummary, WaitingSummary } from '../federation/federation-summary.ts';

/** One session of the running server, as an operator sees it. */
export interface SessionSummary {
  /** The full JID. */
  readonly jid: string;
  /** Where the client connects from. */
  readonly address: string;
  /** `tcp`, `websocket` and the like. */
  readonly transport: string;
  /** Milliseconds since the epoch. */
  readonly since: number;
  /** The priority of its presence (RFC 6121 4.7.2.3); undefined while it is not available. */
  readonly priority: number | undefined;
  readonly secure: boolean;
  /** Stanzas the client has not taken yet. */
  readonly queuedStanzas: number;
}

/** Where a message is that an account receives, as the running server knows it. */
export interface DeliveryState {
  /** Whether the clients of the account have it; the store may learn of that later. */
  readonly isDelivered: boolean;
  /** Who was sent it and has not acknowledged it. */
  readonly unacknowledgedBy: readonly {
    /** The full JID. */
    readonly jid: string;
    /** False while it is away and expected back (XEP-0198 5). */
    readonly isConnected: boolean;
  }[];
}

/** An external component that is configured. */
export interface ComponentSummary {
  readonly domain: string;
  /** Where it connects from; undefined while it is away. */
  readonly address: string | undefined;
  /** Since when it is connected or away, milliseconds since the epoch. */
  readonly since: number;
  readonly counts: ComponentCounts;
}

/** The state of the running server. */
export interface ServerStatus {
  readonly version: string;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  readonly domains: readonly string[];
  readonly listening: readonly string[];
  readonly sessions: number;
  readonly connections: number;
  readonly residentBytes: number;
  /** Errors that nothing caught since the start; each is in the log. */
  readonly faults: number;
}

/** What `posthorn doctor` compares with the machine and the configuration. */
export interface ServerInspection {
  readonly version: string;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  readonly processId: number;
  /** Undefined where the system knows no such thing. */
  readonly userId: number | undefined;
  readonly configurationFile: string | undefined;
  readonly listening: readonly { readonly name: string; readonly address: string; readonly port: number }[];
  readonly certificates: readonly { readonly certificateFile: string; readonly notAfterMs: number }[];
  /** The last errors that nothing caught, oldest first. */
  readonly faults: readonly { readonly at: number; readonly text: string }[];
  /** For a visit by way of DNS, which finds this server where they are known (XEP-0220); none where it talks to no others. */
  readonly visitorKeys: readonly VisitorKey[];
  /** Why the last commit failed; undefined where it did not. */
  readonly storeFailure: string | undefined;
}

/** Federation as an operator sees it. */
export interface ServerStreams {
  readonly streams: readonly ServerStreamSummary[];
  readonly waiting: readonly WaitingSummary[];
}

/** What becomes of an account that a running server may know by heart. */
export type AccountChange = 'disabled' | 'removed' | 'password';

/** A message from the operator; without `from` the domain itself sends it. */
export interface OperatorMessage {
  readonly from: string | undefined;
  readonly to: string;
  readonly body: string;
}

/** What the running server offers to commands. */
export interface ServerOperations {
  readonly storage: Storage;
  readonly config: Config;
  status(): ServerStatus;
  inspect(): ServerInspection;
  sessions(): SessionSummary[];
  /** Where the message at this position of an account's log is; undefined where nobody of the account was here lately. */
  messageDelivery(bareJid: string, entry: { position: number; isArchived: boolean }): DeliveryState | undefined;
  components(): ComponentSummary[];
  /** Ends the session of a full JID, or all of a bare JID; returns how many ended. */
  kick(jid: string, reason: string): number;
  /** Ends the sessions that these clients of an account have bound, by the names of their tokens; returns how many ended. */
  endClients(bareJid: string, clients: readonly string[]): number;
  /** Ends the account's sessions; resolves when nothing of theirs is on its way to the store any more. */
  accountChanged(bareJid: string, change: AccountChange): Promise<void>;
  /** Sends a message; resolves once it is stored or delivered. Rejects with CommandError where it is refused. */
  send(message: OperatorMessage): Promise<void>;
  /** Streams to and from other servers, and what waits for one. */
  serverStreams(): ServerStreams;
  /** Opens a stream to another server. Rejects with an Error whose message the operator may read. */
  connectServer(remote: string, local: string | undefined): Promise<void>;
  /** Closes the streams of another domain; returns how many. */
  closeServerStreams(remote: string): number;
  /** What runs for each stanza, in order, a line each. */
  pipeline(): string[];
  /** Reads certificates anew; resolves to lines for the operator. */
  reload(): Promise<string[]>;
  /** Ends every stream with system-shutdown and commits what waits. */
  stop(): Promise<void>;
}
