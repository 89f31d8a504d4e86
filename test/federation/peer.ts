/** What the server under test federates with: Debian's Prosody or ejabberd, in a process of its own. */
export interface Peer {
  readonly name: string;
  /** Where its users log in. */
  readonly clientPort: number;
  readonly serverPort: number;
  readonly directTlsPort: number;
  /** Ends it at once, as a crash would. */
  kill(): Promise<void>;
  /** Starts it again with the same data. */
  restart(): Promise<void>;
  /** Ends it, in order or not. */
  stop(): Promise<void>;
  /** The end of its log, for a test that fails. */
  log(): string;
}

/** How a peer proves itself, and what it asks for. */
export interface PeerChoice {
  readonly directory: string;
  readonly address: string;
  readonly domain: string;
  readonly users: readonly string[];
  readonly password: string;
  readonly certificateFile: string;
  readonly keyFile: string;
  /** The authority it believes. */
  readonly caFile: string;
  readonly dnsPort: number;
  readonly dialback: boolean;
}

export type StartPeer = (choice: PeerChoice) => Promise<Peer>;
