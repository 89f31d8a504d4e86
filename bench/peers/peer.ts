/** What the comparison knows of a server: how to start it, what it is called, and what it does with a message. */

/** How the messages of a visit are treated, by every server alike. */
export interface Setting {
  /** Whether messages to people who are online are stored. */
  readonly history: boolean;
  /** What an acknowledged message must survive; only Posthorn has the choice. */
  readonly durability: 'process' | 'sync';
}

/** The servers that are compared. */
export const SERVER_NAMES = ['posthorn', 'prosody', 'ejabberd'] as const;
export type ServerName = (typeof SERVER_NAMES)[number];

/** As the distribution installs it, or as its own documentation advises a busy server. */
export type Tuning = 'tuned' | 'installed';

/** Where a started server finds its place. */
export interface Place {
  /** An empty directory of its own, removed afterwards by who made it. */
  readonly directory: string;
  /** The core its threads are pinned to. */
  readonly core: number;
  readonly certificateFile: string;
  readonly keyFile: string;
  /** Accounts to provision: `u0` to `u(n-1)` at DOMAIN, all with the same SCRAM keys. */
  readonly users: number;
}

/** A server that answers. */
export interface RunningServer {
  /** Its main process; threads and child processes are found from there. */
  readonly pid: number;
  /** Plaintext, STARTTLS offered, authentication allowed without TLS. */
  readonly port: number;
  readonly directTlsPort: number;
  /** From the start of the process to the first stream features, in milliseconds. */
  readonly startUpMs: number;
  /** Ends it in order, by its process id, and at last by force. */
  stop(): Promise<void>;
}

/** A server of the comparison. */
export interface Peer {
  readonly name: ServerName;
  readonly tuning: Tuning;
  /** What tells it from another one of the same name and tuning, as a report says it. */
  readonly variant?: string | undefined;
  /** Its version, or undefined where it is not installed. */
  version(): string | undefined;
  /** What an acknowledged message survives with this setting. */
  durabilityOf(setting: Setting): string;
  /** What was done to it beyond what DOMAIN, ports and accounts need. */
  readonly configuration: string;
  start(setting: Setting, place: Place): Promise<RunningServer>;
}

/** The only domain. */
export const DOMAIN = 'localhost';

/** What a report calls a server. */
export function labelOf({ name, tuning, variant }: Pick<Peer, 'name' | 'tuning' | 'variant'>): string {
  if (variant !== undefined) return `${name}, ${variant}`;
  return name === 'posthorn' || tuning === 'tuned' ? name : `${name} as installed`;
}
