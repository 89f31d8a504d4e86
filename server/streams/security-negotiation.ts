import type { Frame } from '../../stanzas/frame.ts';
import { NS } from '../../stanzas/namespaces.ts';
import { StreamError } from '../../stanzas/stream-error.ts';
import { whenThere, type Eventual } from '../eventual.ts';
import type { SaslStep } from '../sasl/negotiation.ts';
import type { ClientStream } from './client-stream.ts';
import { authenticateWithin } from './inline-authentication.ts';
import { noteFailure, noteLogin } from './login-outcome.ts';
import type { SaslProfiles } from './sasl-profiles.ts';
import { failedElement } from './stream-management.ts';
import { checkClaim } from './stream-opening.ts';

/** Takes an element of a client that is not authenticated: STARTTLS (RFC 6120 5) or SASL (RFC 6120 6), nothing else. */
export function negotiateSecurity(stream: ClientStream, profiles: SaslProfiles, frame: Frame): void {
  const { extensible } = profiles;
  if (extensible !== undefined && frame.namespace === NS.SASL2) {
    stream.waitFor(authenticateWithin(stream, profiles, extensible, frame));
  } else if (extensible?.isUnderWay === true) {
    // XEP-0388, "During Authentication"
    throw new StreamError('policy-violation', 'Only a response or an abort belongs here');
  } else if (frame.namespace === NS.TLS && frame.name === 'starttls') {
    // RFC 6120 5.4.2.2
    if (stream.connection.canStartTls) stream.waitFor(startTls(stream));
    else {
      stream.writeElement(`<failure xmlns='${NS.TLS}'/>`);
      stream.close();
    }
  } else if (frame.namespace === NS.SASL) {
    stream.waitFor(authenticate(stream, profiles, frame));
  } else if (frame.namespace === NS.STREAM_MANAGEMENT) {
    stream.writeElement(failedElement('unexpected-request')); // XEP-0198 3
  } else {
    // RFC 6120 4.9.3.12
    throw new StreamError('not-authorized', 'Log in first');
  }
}

async function startTls(stream: ClientStream): Promise<void> {
  const { negotiation } = stream;
  const { domain } = negotiation;
  stream.writeElement(`<proceed xmlns='${NS.TLS}'/>`);
  // RFC 6120 5.4.3.3: whatever was known or sent before TLS is forgotten
  stream.restart();
  negotiation.domain = undefined;
  negotiation.claimed = undefined;
  try {
    await stream.connection.startTls(domain);
  } catch (error) {
    stream.context.log.debug({ address: stream.remoteAddress, error: String(error) }, 'TLS was not established');
    stream.abort();
  } finally {
    stream.forgetHeld();
  }
}

function authenticate(stream: ClientStream, profiles: SaslProfiles, frame: Frame): Eventual<void> {
  if (frame.name !== 'auth') return goOn(stream, profiles, frame);
  const { logins, clock } = stream.context;
  profiles.loginBeganMs = clock.monotonic();
  const turn = logins.enter('full', stream.remoteAddress);
  return turn === undefined ? goOn(stream, profiles, frame) : turn.then(() => goOn(stream, profiles, frame));
}

function goOn(stream: ClientStream, profiles: SaslProfiles, frame: Frame): Eventual<void> {
  if (stream.isOver) return;
  return whenThere(profiles.sasl.receive(frame), (step) => answer(stream, profiles, step));
}

function answer(stream: ClientStream, profiles: SaslProfiles, step: SaslStep): void {
  const { negotiation } = stream;
  if (!stream.isNegotiating) return;
  if (step.kind === 'success') {
    const authenticated = `${step.username}@${negotiation.domain ?? ''}`;
    checkClaim(negotiation.claimed, authenticated);
    stream.writeElement(step.reply);
    negotiation.authenticated = authenticated;
    noteLogin(stream, authenticated, step.mechanism, profiles.loginBeganMs);
    stream.restart(); // RFC 6120 6.3.2
    return;
  }
  stream.writeElement(step.reply);
  if (step.kind === 'failure') noteFailure(stream, step);
}
