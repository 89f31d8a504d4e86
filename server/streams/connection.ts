import type { StreamError } from '../../stanzas/stream-error.ts';
import type { SecurityLayer } from '../sasl/mechanisms.ts';

/** What a stream hears from its connection. */
export interface ConnectionListener {
  /** Bytes came. Not called while paused. The buffer is only lent: whoever keeps bytes copies them. */
  received(chunk: Buffer): void;
  /** The peer broke a rule of the transport itself: what the stream can still say, before the connection closes. */
  refused?(error: StreamError): void;
  /** The connection is gone; nothing follows. `error` says why when it was not in order. */
  closed(error?: Error): void;
  /**
   * Everything written so far is about to be handed to the system: a mark that comes back in `flushed` once it has been,
   * or -1 when nobody waits for it (the usual case, which costs nothing).
   */
  flushMark(): number;
  flushed(mark: number): void;
}

/** How first-level elements are put on the wire. */
export type Framing =
  | 'stream' // RFC 6120: one XML document, <stream:stream> around everything
  | 'websocket'; // RFC 7395: one message per element, <open/> and <close/>

/**
 * A bidirectional transport under one stream. Output is gathered and written once per turn of the loop (or at `flush`,
 * or where much is gathered: flusher.ts).
 * `write` takes a byte string; under `websocket` framing each call is one whole message, as each `received` chunk is.
 */
export interface Connection {
  readonly framing: Framing;
  /** The peer's IP address, for limits and the log. */
  readonly remoteAddress: string;
  /** What protects the connection now. */
  readonly security: SecurityLayer;
  /** Bytes written and not yet taken by the system. */
  readonly bufferedBytes: number;
  /** Whether `startTls` is possible (plain TCP only). */
  readonly canStartTls: boolean;
  listener: ConnectionListener | undefined;
  write(bytes: string): void;
  /** Hands what was written to the system now. */
  flush(): void;
  pause(): void;
  resume(): void;
  /**
   * Negotiates TLS, as the server unless we have opened the connection, after everything written has gone; what came in before it is forgotten (RFC 6120
   * 5.4.3.3). Rejects, with the connection closed, when it fails.
   * @param fallbackDomain whose certificate to show a client that names none of our domains by SNI
   */
  startTls(fallbackDomain?: string): Promise<void>;
  /** Flushes, then closes our side; `closed` follows when the peer has closed too. */
  end(): void;
  /** Closes at once; what was not taken by the system is lost. */
  destroy(): void;
}
