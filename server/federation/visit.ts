import { randomBytes, randomUUID } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { createSecureContext } from 'node:tls';

import type { Config } from '../../config/options.ts';
import { JidCache } from '../../stanzas/jid.ts';
import type { Clock } from '../clock.ts';
import type { Log } from '../log.ts';
import { Counters } from '../metrics/counters.ts';
import { namesDomain, peerCertificateOf } from '../sasl/peer-certificate.ts';
import { Flusher } from '../streams/flusher.ts';
import { TcpConnection } from '../streams/tcp-connection.ts';
import { ALPN_SERVER, ClientHandshakes } from './client-handshakes.ts';
import { DialbackKeys, VISITOR } from './dialback-key.ts';
import { certificateProblem, connectionProblem } from './failure-words.ts';
import type { FederationContext, StreamEvents, Verification } from './federation-context.ts';
import { OutgoingStream } from './outgoing-stream.ts';
import { PeerPolicies } from './peer-policy.ts';

/** An address where a domain is said to be served. */
export interface Place {
  readonly address: string;
  readonly port: number;
  readonly directTls: boolean;
}

/** What another server finds at a place. */
export interface Visit {
  readonly tlsVersion: string | undefined;
  /** Why the certificate does not prove the domain, in words; undefined where it does. */
  readonly certificateProblem: string | undefined;
  /** What was answered to a key that nobody has made: `invalid` where dialback works (XEP-0220 2.2.2). */
  readonly verification: Verification;
  /** What was answered to a key of the server that is to be found: `valid` where it is the one; undefined where none was given. */
  readonly recognition: Verification | undefined;
}

/** A dialback key that a server has made for who visits it. */
export interface VisitorKey {
  readonly domain: string;
  readonly streamId: string;
  readonly key: string;
}

export interface VisitOptions {
  readonly settings: Config['s2s'];
  /** PEM; undefined: the public ones. */
  readonly authorities: readonly string[] | undefined;
  readonly clock: Clock;
  /** For the whole visit. */
  readonly timeoutMs: number;
}

/** Nothing answers at a place, in words for an operator. */
export class UnansweredError extends Error {
  override readonly name = 'UnansweredError';
  /** As the system calls the reason. */
  readonly code: string;

  constructor(message: string, code: string) {
    super(message);
    this.code = code;
  }
}

const NOBODY: Log = { debug: nothing, info: nothing, warn: nothing, error: nothing };
const FAREWELL_MS = 500;

/**
 * Comes to a place as another server would that wants to know whether it is the right one: TLS, certificate, and a
 * question about a dialback key. It proves nothing of itself, so that nothing can be sent.
 * @param own a key of the server that is to be found there
 * @throws UnansweredError, PeerFailure, Error
 */
export async function visit(
  domain: string,
  place: Place,
  options: VisitOptions,
  own?: Omit<VisitorKey, 'domain'>,
): Promise<Visit> {
  const { clock, timeoutMs, authorities } = options;
  const endsAt = clock.monotonic() + timeoutMs;
  const socket = await reach(place, options);
  const context = createSecureContext(authorities === undefined ? {} : { ca: [...authorities] });
  const leftMs = Math.max(1, endsAt - clock.monotonic());
  const clients = new ClientHandshakes({ contextFor: () => context, timeoutMs: leftMs, clock });
  const secured = place.directTls ? await clients.secure(socket, domain, domain, [ALPN_SERVER]) : socket;
  const connection = new TcpConnection(secured, {
    flusher: new Flusher({ log: NOBODY }),
    handshakes: { secure: (request) => clients.secure(request.socket, domain, domain) },
    peerOf: peerCertificateOf,
  });
  let gone: () => void = nothing;
  const isGone = new Promise<void>((resolve) => (gone = resolve));
  const pair = { local: VISITOR, remote: domain };
  const stream = new OutgoingStream(connection, contextOf(options, gone), pair);
  const cancel = clock.schedule(Math.max(1, endsAt - clock.monotonic()), () => stream.abort('it took too long'));
  try {
    await stream.ready;
    const verification = await stream.verify(pair, randomUUID(), randomBytes(16).toString('hex'));
    const recognition = own === undefined ? undefined : await stream.verify(pair, own.streamId, own.key);
    const { tlsVersion, peer } = connection.security;
    const problem = peer === undefined ? 'it shows none' : peer.problem && certificateProblem(peer.problem);
    const isNamed = peer !== undefined && namesDomain(peer.names, domain);
    return {
      tlsVersion,
      certificateProblem: problem ?? (isNamed ? undefined : `it is not for ${domain}`),
      verification,
      recognition,
    };
  } finally {
    cancel();
    stream.close('the examination is over');
    const abandon = clock.schedule(FAREWELL_MS, () => stream.abort('the examination is over'));
    await isGone;
    abandon();
  }
}

/** Connects to a place, whatever answers there. @throws UnansweredError */
export function reach({ address, port }: Place, { clock, timeoutMs }: VisitOptions): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: address, port, allowHalfOpen: true });
    const fail = (error: Error): void => {
      cancel();
      const code = 'code' in error ? String(error.code) : '';
      reject(new UnansweredError(connectionProblem(error), code));
    };
    const cancel = clock.schedule(timeoutMs, () => {
      socket.removeListener('error', fail).on('error', nothing).destroy();
      reject(new UnansweredError('nothing answers there: a firewall may swallow it', 'ETIMEDOUT'));
    });
    socket.once('error', fail).once('connect', () => {
      cancel();
      socket.removeListener('error', fail);
      resolve(socket);
    });
  });
}

function contextOf({ settings, clock }: VisitOptions, gone: () => void): FederationContext {
  const events: StreamEvents = {
    opened: nothing,
    ended: gone,
    proved: nothing,
    maySend: nothing,
    verify: () => Promise.resolve('invalid'),
    pingAnswered: () => false,
    isCalledBy: () => false,
    answersPings: () => false,
    hasKeptFrom: () => false,
    keep: () => false,
    hasKeptOf: () => false,
    takeKept: nothing,
    takeKeptOf: nothing,
    resumptionEnded: nothing,
  };
  return {
    settings: { ...settings, requireTls: false },
    // Nobody has proved anything on such a stream, so no stanza gets as far as this.
    router: { isLocalDomain: () => false, hasService: () => false, answer: nothing, route: nothing },
    clock,
    log: NOBODY,
    counters: new Counters(clock),
    jids: new JidCache(2),
    policies: new PeerPolicies('dialback', []),
    keys: new DialbackKeys(randomBytes(32)),
    randomId: randomUUID,
    events,
  };
}

function nothing(): undefined {
  return undefined;
}
