import type { StanzaKind } from '../../stanzas/stanza.ts';
import type { Clock } from '../clock.ts';
import { Histogram } from './histogram.ts';
import { MessageStages } from './message-stages.ts';
import { Tally } from './tally.ts';

/** A number for each kind of stanza. */
export type StanzaCounts = Record<StanzaKind, number>;

/** What becomes of a message that the routing core has taken. */
export interface MessageCounts {
  /** Handed to at least one session at once. */
  delivered: number;
  /** Kept for somebody who is away. */
  stored: number;
  /** Kept before, and handed to a session now. */
  deliveredLate: number;
  /** Handed on: to another server, a service or a component. */
  forwarded: number;
  /** Answered with an error, also after it was forwarded. */
  refused: number;
  /** For nobody, and nobody waits for an answer. */
  dropped: number;
  /** Sent again by a client that had no acknowledgement, and here already. */
  repeated: number;
}

const MECHANISMS: readonly string[] = [
  ...['SCRAM-SHA-512-PLUS', 'SCRAM-SHA-256-PLUS', 'SCRAM-SHA-1-PLUS', 'SCRAM-SHA-512', 'SCRAM-SHA-256', 'SCRAM-SHA-1'],
  ...['PLAIN', 'HT-SHA-256-EXPR', 'HT-SHA-256-ENDP', 'HT-SHA-256-UNIQ', 'HT-SHA-256-NONE'],
];
const LOGIN_FAILURES = [
  ...['aborted', 'account-disabled', 'credentials-expired', 'encryption-required', 'incorrect-encoding'],
  ...['invalid-authzid', 'invalid-mechanism', 'malformed-request', 'mechanism-too-weak', 'not-authorized'],
  'temporary-auth-failure',
];
const STREAM_ERRORS = [
  ...['bad-format', 'conflict', 'connection-timeout', 'host-unknown', 'internal-server-error', 'invalid-from'],
  ...['invalid-namespace', 'not-authorized', 'not-well-formed', 'policy-violation', 'resource-constraint'],
  ...['restricted-xml', 'system-shutdown', 'undefined-condition', 'unsupported-encoding', 'unsupported-stanza-type'],
  'unsupported-version',
];
const SERVER_FAILURES = [
  ...[
    'internal-server-error',
    'not-allowed',
    'remote-server-not-found',
    'remote-server-timeout',
    'resource-constraint',
  ],
];
const LOGIN_BOUNDS = [0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/**
 * What a server has counted since it started, for whoever asks (server/http/metrics). On the way of a stanza these are plain
 * numbers, raised where it happens: nothing is looked up, built or allocated for it. With one message of 17 measured
 * (MessageStages) everything together costs 0.2 us a message (bench/micro/metrics.ts).
 */
export class Counters {
  readonly clientStanzasReceived = noStanzas();
  readonly clientStanzasSent = noStanzas();
  readonly serverStanzasReceived = noStanzas();
  readonly serverStanzasSent = noStanzas();
  clientBytesReceived = 0;
  serverBytesReceived = 0;
  readonly messages: MessageCounts = {
    delivered: 0,
    stored: 0,
    deliveredLate: 0,
    forwarded: 0,
    refused: 0,
    dropped: 0,
    repeated: 0,
  };
  readonly stages: MessageStages;
  /** Copies of messages that went into archives. */
  archived = 0;
  readonly archiveQuerySeconds = new Histogram();
  /** Stanzas whose handling failed by a defect of ours. */
  stanzaFaults = 0;
  /** Logins by mechanism. */
  readonly loginsSucceeded = new Tally(MECHANISMS);
  readonly loginsFailed = new Tally(MECHANISMS);
  /** The same failures by condition. */
  readonly loginFailures = new Tally(LOGIN_FAILURES);
  /** From the first element of a login to `<success/>`, with its wait for its turn and the client's round trips. */
  readonly loginSeconds = new Histogram(LOGIN_BOUNDS);
  readonly resumptions = new Tally(['resumed', 'not_found', 'malformed']);
  /** Streams of clients that we ended with an error. */
  readonly streamErrors = new Tally<string>(STREAM_ERRORS);
  /** Limits of a connection that is there already; who is not let in is counted by Admission and LoginQueue. */
  readonly limits = new Tally(['c2s.bytes_per_second', 'limits.max_queue']);
  /** Attempts to open a stream to another server that failed. */
  readonly serverConnectFailures = new Tally<string>(SERVER_FAILURES);

  constructor(clock: Clock) {
    this.stages = new MessageStages(clock);
  }
}

function noStanzas(): StanzaCounts {
  return { message: 0, presence: 0, iq: 0 };
}
