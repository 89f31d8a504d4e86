import { element } from '../../stanzas/element.ts';
import { otherAttribute, type Frame } from '../../stanzas/frame.ts';
import { Jid, JidError } from '../../stanzas/jid.ts';
import { NS } from '../../stanzas/namespaces.ts';
import { Stanza } from '../../stanzas/stanza.ts';
import { StanzaError } from '../../stanzas/stanza-error.ts';
import { StreamError } from '../../stanzas/stream-error.ts';
import type { Eventual } from '../eventual.ts';
import type { Account } from '../routing/account.ts';
import { Session } from '../routing/session.ts';
import { clientStanzaKind } from './client-stanza.ts';
import type { ClientStream } from './client-stream.ts';
import { failedElement } from './stream-management.ts';
import { resumeSession } from './stream-resumption.ts';

/** Takes an element of an authenticated client that has no resource yet (RFC 6120 7). */
export function bindResource(stream: ClientStream, bare: string, frame: Frame): void {
  if (frame.namespace === NS.STREAM_MANAGEMENT) {
    if (frame.name === 'resume') stream.waitFor(resume(stream, bare, frame));
    else stream.writeElement(failedElement('unexpected-request')); // XEP-0198 3: not before a resource is bound
    return;
  }
  const request =
    clientStanzaKind(frame) === 'iq' && frame.type === 'set' && frame.id !== undefined && isForUs(stream, bare, frame)
      ? Stanza.fromFrame('iq', frame, { id: frame.id, type: frame.type })
      : undefined;
  // RFC 6120 7.1: nothing but the binding before the binding
  if (request?.hasChild('bind', NS.BIND) !== true) throw new StreamError('not-authorized', 'Bind a resource first');
  stream.waitFor(bind(stream, Jid.parse(bare), request));
}

/** XEP-0198 5: instead of binding; where it fails, a resource may be bound. */
async function resume(stream: ClientStream, bare: string, frame: Frame): Promise<void> {
  const [previd, h] = [otherAttribute(frame, 'previd'), otherAttribute(frame, 'h')];
  const { answer, proceed } = await resumeSession(stream, bare, previd, h);
  if (!stream.isNegotiating) return;
  stream.writeElement(answer);
  proceed?.();
}

/** Whether a stanza goes no further than the server and the account (RFC 6120 7.1). */
function isForUs({ negotiation: { domain }, context }: ClientStream, bare: string, { to }: Frame): boolean {
  if (to === undefined) return true;
  try {
    const { full } = context.jids.parse(to);
    return full === domain || full === bare;
  } catch {
    return false;
  }
}

function bind(stream: ClientStream, bare: Jid, request: Stanza): Eventual<void> {
  const account = stream.context.table.account(bare);
  if (account.state === 'loading') return account.loaded.then(() => bindTo(account, stream, request));
  bindTo(account, stream, request);
}

function bindTo(account: Account, stream: ClientStream, request: Stanza): void {
  const { context } = stream;
  try {
    checkUsable(account);
    if (!stream.isNegotiating) return; // closed meanwhile: a session would never end
    const jid = chooseResource(stream, account, request);
    openSession(stream, account, jid);
    // RFC 6120 7.6.1
    const answer = element('bind', NS.BIND, {}, element('jid', NS.BIND, {}, jid.full));
    stream.writeOwn(request.reply('result', [answer]));
  } catch (error) {
    if (!(error instanceof StanzaError)) throw error;
    stream.writeOwn(request.errorReply(error));
    // RFC 6120 7.7.3
    if (++stream.negotiation.bindAttempts >= context.config.c2s.maxBindAttempts) {
      throw new StreamError('policy-violation', 'Too many attempts to bind a resource');
    }
  }
}

/**
 * Looks at an account that has been read, in the turn in which a session of it is opened.
 * @throws StanzaError where there can be none
 */
export function checkUsable(account: Account): void {
  if (account.state === 'unreadable') {
    throw new StanzaError('resource-constraint', 'The account cannot be read at the moment', 'wait');
  }
  // The account may have been disabled or removed since the password was checked.
  if (account.state !== 'present') throw new StanzaError('not-allowed', 'The account is not usable');
}

/**
 * Opens a session under a resource that this may take from an older one, and ties it to the stream.
 * @param prepare runs before anything can be delivered to the session
 * @throws StanzaError where there is no room for it
 */
export function openSession(
  stream: ClientStream,
  account: Account,
  jid: Jid,
  prepare?: (session: Session) => void,
): void {
  const { context } = stream;
  makeRoom(stream, account, jid);
  const session = new Session(account, jid, stream, context.clock.now(), context.config.limits);
  // However it binds: who revokes the access of this client ends this session too.
  const { client } = stream.negotiation;
  if (client !== undefined) context.sessionClient.set(session, client);
  prepare?.(session);
  context.table.add(session);
  stream.bound(session);
  for (const handler of context.pipeline.sessionBound) handler(session);
}

function chooseResource(stream: ClientStream, account: Account, request: Stanza): Jid {
  const asked = request.child('bind', NS.BIND)?.child('resource')?.text ?? '';
  // RFC 6120 7.6: random, because a resource that can be guessed leaks presence
  if (asked === '') return account.jid.withResource(stream.context.randomId());
  try {
    return account.jid.withResource(asked);
  } catch (error) {
    if (error instanceof JidError) throw new StanzaError('bad-request', error.message);
    throw error;
  }
}

/** RFC 6120 7.6.2.1 and 7.7.2.2 */
function makeRoom(stream: ClientStream, account: Account, jid: Jid): void {
  const { resourceConflict, maxSessionsPerAccount } = stream.context.config.c2s;
  const existing = account.session(jid.full);
  if (existing === undefined) {
    if (account.sessions.length >= maxSessionsPerAccount && !endLongestAway(stream, account)) {
      throw new StanzaError('resource-constraint', 'Too many devices are logged in');
    }
  } else if (resourceConflict === 'refuse') {
    throw new StanzaError('conflict', 'The resource is in use', 'modify');
  } else {
    // Interop: the newest wins, since the older connection is most often dead
    existing.stream?.closeWithError(new StreamError('conflict', 'A newer session took this resource'));
    stream.context.table.end(existing);
  }
}

/** Makes room by the session whose client has been away the longest. Returns false if none is away. */
function endLongestAway({ context }: ClientStream, account: Account): boolean {
  let longest: Session | undefined;
  for (const session of account.sessions) {
    const since = session.resumption?.detachedAt;
    if (since !== undefined && !(since >= (longest?.resumption?.detachedAt ?? Infinity))) longest = session;
  }
  if (longest !== undefined) context.table.end(longest);
  return longest !== undefined;
}
