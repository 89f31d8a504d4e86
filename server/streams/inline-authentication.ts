import { escapeText, toByteString } from '../../stanzas/byte-string.ts';
import type { Frame } from '../../stanzas/frame.ts';
import { Jid } from '../../stanzas/jid.ts';
import { NS } from '../../stanzas/namespaces.ts';
import type { Authenticated, ExtensibleNegotiation } from '../sasl/extensible-negotiation.ts';
import type { HashedTokenMechanism } from '../sasl/hashed-token.ts';
import type { ClientStream } from './client-stream.ts';
import { bindInline } from './inline-binding.ts';
import { noteFailure, noteLogin } from './login-outcome.ts';
import type { LoginKind } from './login-queue.ts';
import type { SaslProfiles } from './sasl-profiles.ts';
import { clientName } from '../sasl/tokens.ts';
import { checkClaim } from './stream-opening.ts';
import { resumeSession } from './stream-resumption.ts';

/** Takes an element of XEP-0388 from a client that is not authenticated. Rejects with StreamError. */
export async function authenticateWithin(
  stream: ClientStream,
  profiles: SaslProfiles,
  negotiation: ExtensibleNegotiation,
  frame: Frame,
): Promise<void> {
  if (frame.name === 'authenticate') {
    profiles.loginBeganMs = stream.context.clock.monotonic();
    await stream.context.logins.enter(kindOf(frame), stream.remoteAddress);
  }
  if (stream.isOver) return;
  const step = await negotiation.receive(frame);
  if (!stream.isNegotiating) return;
  if (step.kind === 'success') {
    await welcome(stream, negotiation, step, profiles.loginBeganMs);
    return;
  }
  stream.writeElement(step.reply);
  if (step.kind === 'failure') noteFailure(stream, step);
}

/** Whether a client comes back, by what it claims; its address pays for it either way. */
function kindOf({ children }: Frame): LoginKind {
  const returns = children.some(
    ({ name, namespace }) =>
      (name === 'fast' && namespace === NS.FAST) || (name === 'resume' && namespace === NS.STREAM_MANAGEMENT),
  );
  return returns ? 'return' : 'full';
}

/**
 * Does what the client asked for inline, in the order of the specifications (tokens, which concern the client alone,
 * first; XEP-0386: a resumption before a bind, and no bind after it), tells the client, and lets the session's stanzas go.
 */
async function welcome(
  stream: ClientStream,
  negotiation: ExtensibleNegotiation,
  authenticated: Authenticated,
  beganMs: number,
): Promise<void> {
  const { login, mechanism, request, additional } = authenticated;
  const bare = login.bareJid;
  checkClaim(stream.negotiation.claimed, bare);
  stream.negotiation.client = request.agent === undefined ? undefined : clientName(request.agent);
  stream.negotiation.authenticated = bare; // from here on it ends with the account's sessions, whatever is waited for below
  let inline = await tokenFor(stream, negotiation, authenticated);
  const resume = request.find('resume', NS.STREAM_MANAGEMENT);
  const resumption =
    resume === undefined
      ? undefined
      : await resumeSession(stream, bare, resume.attribute('previd'), resume.attribute('h'));
  inline += resumption?.answer ?? '';
  if (!stream.isNegotiating) return;
  noteLogin(stream, bare, mechanism, beganMs);
  stream.authenticatedWithin(bare);
  stream.output.withhold();
  try {
    resumption?.proceed?.();
    const bind = stream.session === undefined ? request.find('bind', NS.BIND2) : undefined;
    if (bind !== undefined) inline += await bindInline(stream, Jid.parse(bare), bind, request.agent);
    if (stream.isOver) return;
    const identifier = toByteString(escapeText(stream.session?.jid.full ?? bare));
    stream.writeElement(
      `<success xmlns='${NS.SASL2}'>${additional}` +
        `<authorization-identifier>${identifier}</authorization-identifier>${inline}</success>`,
    );
    stream.negotiation.writeFeatures();
  } finally {
    stream.output.release();
  }
}

/** The `<token/>` that the client asked for or is due (XEP-0484), a byte string; '' for none. */
async function tokenFor(
  { context }: ClientStream,
  negotiation: ExtensibleNegotiation,
  { login, request, token, isTokenInvalidated }: Authenticated,
): Promise<string> {
  const { tokens } = context.sasl;
  const { agent } = request;
  if (tokens === undefined || agent === undefined) return '';
  const asked = request.find('request-token', NS.FAST)?.attribute('mechanism');
  const isDue = token !== undefined && !isTokenInvalidated && tokens.isDue(token.token);
  const wanted = asked ?? (isDue ? token.token.mechanism : undefined);
  const mechanism: HashedTokenMechanism | undefined = negotiation.tokenMechanisms.find((known) => known === wanted);
  if (mechanism === undefined) return '';
  const holder = { bareJid: login.bareJid, agent, credentials: login.credentials };
  const issued = await tokens.issue(holder, mechanism);
  const expiry = new Date(issued.expiresAt).toISOString();
  return `<token xmlns='${NS.FAST}' expiry='${expiry}' token='${issued.token}'/>`; // base 64: nothing to escape
}
