import { StreamError } from '../../stanzas/stream-error.ts';
import type { DomainPair } from '../../storage/outboxes.ts';
import { certificateProblem } from './failure-words.ts';
import type { ServerStream } from './server-stream.ts';

/** How a pair of domains was proved: by a certificate (SASL EXTERNAL, or instead of a key), or by a key. */
export type Proof = 'certificate' | 'dialback';

/** Writes to the log that stanzas of the pair may flow over the stream, and why. */
export function tellUp(stream: ServerStream, { local, remote }: DomainPair, proof: Proof): void {
  const { connection, direction, isEncrypted, hasDirectTls, context } = stream;
  const { tlsVersion, peer } = connection.security;
  const facts = {
    ...{ direction, local, remote, proof, address: connection.remoteAddress },
    tls: isEncrypted ? `${tlsVersion ?? 'yes'} (${hasDirectTls ? 'direct' : 'STARTTLS'})` : 'none',
    ...(peer?.problem !== undefined && { peerCertificate: certificateProblem(peer.problem) }),
  };
  context.log.info(facts, 'a stream between servers is up');
}

/** Writes to the log that the peer has ended a stream with an error. */
export function tellPeerError({ connection, direction, pairs, context }: ServerStream, reason: string): void {
  context.log.info({ direction, address: connection.remoteAddress, pairs: [...pairs.received] }, reason);
}

/** Writes to the log why what came over a stream could not be taken. */
export function tellFailed({ connection, direction, pairs, context }: ServerStream, error: unknown): void {
  const facts = { direction, address: connection.remoteAddress };
  if (error instanceof StreamError) {
    const refused = { ...facts, pairs: [...pairs.received], error: error.message };
    context.log.info(refused, 'a stream between servers was refused');
    return;
  }
  const text = error instanceof Error ? error.stack : String(error);
  context.log.error({ ...facts, error: text }, 'a stream between servers failed');
}

/** Writes to the log that a stream is over which had proved something, and why. */
export function tellOver(stream: ServerStream, remote: string): void {
  const { connection, direction, context, endReason } = stream;
  const facts = { direction, remote, address: connection.remoteAddress, reason: endReason };
  context.log.info(facts, 'a stream between servers is over');
}
