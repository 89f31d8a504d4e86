import type { Config } from '../../config/options.ts';
import type { JidCache } from '../../stanzas/jid.ts';
import type { DomainPair } from '../../storage/outboxes.ts';
import type { Clock } from '../clock.ts';
import type { Log } from '../log.ts';
import type { Counters } from '../metrics/counters.ts';
import type { Router } from '../routing/router.ts';
import type { DialbackKeys } from './dialback-key.ts';
import type { IncomingStream } from './incoming-stream.ts';
import type { PeerFailure } from './peer-failure.ts';
import type { PeerPolicies } from './peer-policy.ts';
import type { ProvedPairs } from './proved-pairs.ts';
import type { ServerStream } from './server-stream.ts';
import type { StreamFlow } from './stream-flow.ts';

/** What every stream between servers shares. */
export interface FederationContext {
  readonly settings: Config['s2s'];
  readonly router: Pick<Router, 'isLocalDomain' | 'hasService' | 'answer' | 'route'>;
  readonly clock: Clock;
  readonly log: Log;
  readonly counters: Counters;
  readonly jids: JidCache;
  readonly policies: PeerPolicies;
  readonly keys: DialbackKeys;
  readonly randomId: () => string;
  readonly events: StreamEvents;
}

/** What a verified or refused dialback key comes to (XEP-0220 2.2.1). */
export type Verification = 'valid' | 'invalid' | PeerFailure;

/** What streams tell the federation, and ask of it. */
export interface StreamEvents {
  opened(stream: ServerStream): void;
  ended(stream: ServerStream): void;
  /** Another server has proved a domain: it is there. */
  proved(remote: string): void;
  /** Stanzas for the pair may go out over the stream (XEP-0288). */
  maySend(stream: IncomingStream, pair: DomainPair): void;
  /** Asks the server of `pair.remote` whether a key is its own. Never rejects. @param address of who claims it */
  verify(pair: DomainPair, streamId: string, key: string, address: string): Promise<Verification>;
  /** A ping was answered that was sent to learn how far the other server has come. */
  pingAnswered(id: string, pair: DomainPair): boolean;
  /** Whether the server of a domain has opened a stream to us, proved or not. */
  isCalledBy(remote: string): boolean;
  /** Whether a server is known to answer pings. */
  answersPings(remote: string): boolean;
  /**
   * Keeps what a broken stream leaves, for the one that resumes it. Returns false where there is no room.
   * @param domains of the peer that stood in its pairs
   */
  keep(flow: StreamFlow, domains: ReadonlySet<string>): boolean;
  /** Whether a broken stream may be resumed that the server of a domain had opened. */
  hasKeptFrom(domain: string): boolean;
  /**
   * What the stream left that a peer had opened; one that is broken without our knowing is given up for it.
   * @param pairs what the peer has proved
   */
  takeKept(id: string, pairs: Pick<ProvedPairs, 'receivesFrom'>): StreamFlow | undefined;
  /** Whether a stream broke that we had opened for the pair and may resume. */
  hasKeptOf(pair: DomainPair): boolean;
  /** What the broken stream left that we had opened for a pair; `resumptionEnded` follows. */
  takeKeptOf(pair: DomainPair): StreamFlow | undefined;
  /** It is known, or never will be, what had come of it: nothing needs to wait for that any more. */
  resumptionEnded(flow: StreamFlow): void;
}

/** Whether a domain is served here: one of ours, or a service on a subdomain. */
export function isServedHere({ router }: Pick<FederationContext, 'router'>, domain: string): boolean {
  return router.isLocalDomain(domain) || router.hasService(domain);
}
