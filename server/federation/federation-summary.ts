import { OutgoingStream } from './outgoing-stream.ts';
import type { ServerStream } from './server-stream.ts';

/** A stream between servers as an operator sees it. */
export interface ServerStreamSummary {
  readonly direction: 'incoming' | 'outgoing';
  /** The domains of the other server, and ours. */
  readonly remote: readonly string[];
  readonly local: readonly string[];
  readonly address: string;
  /** Milliseconds since the epoch. */
  readonly since: number;
  readonly secure: boolean;
  /** Whether stanzas go both ways over it (XEP-0288). */
  readonly bidirectional: boolean;
  /** Whether it acknowledges (XEP-0198). */
  readonly managed: boolean;
  readonly unconfirmedStanzas: number;
  readonly idleSeconds: number;
}

/** What waits for another server. */
export interface WaitingSummary {
  readonly local: string;
  readonly remote: string;
  readonly stanzas: number;
  readonly connecting: boolean;
  /** Why it waits; undefined where the connection is only being made. */
  readonly reason: string | undefined;
}

export function summaryOf(stream: ServerStream): ServerStreamSummary {
  const received = [...stream.pairs.received].map((pair) => pair.split('>'));
  const sent = stream.pairs.sent;
  const wanted = stream instanceof OutgoingStream ? [stream.pair] : [];
  return {
    direction: stream.direction,
    remote: names([...received.map(([from]) => from), ...[...sent, ...wanted].map(({ remote }) => remote)]),
    local: names([...received.map(([, to]) => to), ...[...sent, ...wanted].map(({ local }) => local)]),
    address: stream.connection.remoteAddress,
    since: stream.since,
    secure: stream.isEncrypted,
    bidirectional: received.length > 0 && sent.length > 0,
    managed: stream.flow.isCounting,
    unconfirmedStanzas: stream.flow.unconfirmedCount,
    idleSeconds: stream.idleSeconds,
  };
}

/** Each once; `*` stands for all of ours. */
function names(list: readonly (string | undefined)[]): string[] {
  return [...new Set(list)].filter((name): name is string => name !== undefined && name !== '*');
}
