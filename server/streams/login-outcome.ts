import { StreamError } from '../../stanzas/stream-error.ts';
import type { HandshakeFailure } from '../sasl/handshakes.ts';
import type { ClientStream } from './client-stream.ts';

/**
 * Logs and counts a login.
 * @param beganMs when its first element came, monotonic milliseconds
 */
export function noteLogin(stream: ClientStream, account: string, mechanism: string, beganMs: number): void {
  const { log, counters, clock } = stream.context;
  log.info({ account, mechanism, address: stream.remoteAddress }, 'logged in');
  counters.loginsSucceeded.add(mechanism);
  counters.loginSeconds.observe((clock.monotonic() - beganMs) / 1000);
}

/**
 * Logs and counts a failed login whose answer has been sent.
 * @throws StreamError where no further attempt is allowed (RFC 6120 6.4.5)
 */
export function noteFailure(stream: ClientStream, failure: HandshakeFailure): void {
  const { log, counters } = stream.context;
  counters.loginsFailed.add(failure.mechanism ?? '');
  counters.loginFailures.add(failure.condition);
  const facts = { account: failure.account, condition: failure.condition, address: stream.remoteAddress };
  if (failure.cause === undefined) log.info(facts, 'login failed');
  else
    log.error(
      { ...facts, error: failure.cause instanceof Error ? failure.cause.stack : 'unknown' },
      'login failed by our own fault',
    );
  if (failure.fatal) throw new StreamError('policy-violation', 'Too many failed logins');
}
