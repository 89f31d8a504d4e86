import { createHmac } from 'node:crypto';

import type { Element } from '../../stanzas/element.ts';
import { JidError, type Jid } from '../../stanzas/jid.ts';
import { NS } from '../../stanzas/namespaces.ts';
import { StanzaError } from '../../stanzas/stanza-error.ts';
import { StreamError } from '../../stanzas/stream-error.ts';
import type { Account } from '../routing/account.ts';
import type { Session } from '../routing/session.ts';
import { clientName, type UserAgent } from '../sasl/tokens.ts';
import type { ClientStream } from './client-stream.ts';
import { checkUsable, openSession } from './resource-binding.ts';
import { enableManagement } from './stream-management.ts';

/** Bytes of a resource that nobody can guess. */
const IDENTIFIER_BYTES = 12;
const MAX_TAG_BYTES = 100;

/**
 * Binds as a client asked together with its authentication (XEP-0386) and resolves to `<bound/>`, a byte string; '' where
 * the stream was closed meanwhile. Of the messages that wait those are cleared that its client finds in the archive; the
 * others are delivered as ever. Rejects with StreamError where the account cannot have another session, for which XEP-0386
 * knows no answer.
 */
export async function bindInline(
  stream: ClientStream,
  bare: Jid,
  request: Element,
  agent: UserAgent | undefined,
): Promise<string> {
  const { context } = stream;
  try {
    const account = context.table.account(bare);
    await account.loaded;
    checkUsable(account);
    if (!stream.isNegotiating) return '';
    if (agent !== undefined) endEarlierSessions(stream, account, agent);
    // Before the session begins, so that it receives what comes from here on, and nothing that the archive is said to hold.
    const states = await context.bindFeatures.metadataOf(account);
    const archivedUpTo = Math.max(0, ...states.map((state) => state.archivedUpTo ?? 0));
    if (archivedUpTo > 0) await context.acceptance.clearArchived(account, archivedUpTo);
    checkUsable(account);
    if (stream.isOver) return '';
    if (agent !== undefined) endEarlierSessions(stream, account, agent); // it may have bound twice at once
    let management = '';
    let answers: readonly Element[] = [];
    openSession(stream, account, chooseResource(stream, account, request, agent), (session) => {
      management = manage(stream, session, request);
      answers = context.bindFeatures.enable(session, request);
      if (archivedUpTo > 0) context.archiveMark.set(session, archivedUpTo);
    });
    const content =
      [...states.map((state) => state.element), ...answers].map((one) => one.toBytes(NS.BIND2)).join('') + management;
    return content === '' ? `<bound xmlns='${NS.BIND2}'/>` : `<bound xmlns='${NS.BIND2}'>${content}</bound>`;
  } catch (error) {
    if (!(error instanceof StanzaError)) throw error;
    const condition = error.condition === 'resource-constraint' ? 'resource-constraint' : 'not-authorized';
    throw new StreamError(condition, error.text);
  }
}

/** XEP-0198 8: `<enable/>` within `<bind/>`. Counting begins before the first stanza. */
function manage(stream: ClientStream, session: Session, request: Element): string {
  const enable = request.child('enable', NS.STREAM_MANAGEMENT);
  if (enable === undefined) return '';
  return enableManagement(stream, session, enable.attribute('resume'), enable.attribute('max'));
}

/** XEP-0386, "Performing the bind": a client has one session; one that it lost hands back what it did not take. */
function endEarlierSessions({ context }: ClientStream, account: Account, agent: UserAgent): void {
  const name = clientName(agent);
  for (const session of account.sessions) {
    if (context.sessionClient.peek(session) !== name) continue;
    session.stream?.closeWithError(new StreamError('conflict', 'The client has a newer session'));
    context.table.end(session);
  }
}

/** XEP-0386, "Resource identifier generation": the tag, then what is the same for this client every time. */
function chooseResource(
  { context }: ClientStream,
  account: Account,
  request: Element,
  agent: UserAgent | undefined,
): Jid {
  const tag = request.child('tag')?.text ?? '';
  const stable =
    agent === undefined ? context.randomId() : stableIdentifier(context.resourceSecret, account, tag, agent);
  const isTagged = tag !== '' && Buffer.byteLength(tag) <= MAX_TAG_BYTES;
  for (const resource of isTagged ? [`${tag}/${stable}`, stable] : [stable]) {
    const jid = tryResource(account, resource);
    if (jid !== undefined && account.session(jid.full) === undefined) return jid;
  }
  return account.jid.withResource(context.randomId()); // another session asked for this very resource
}

function tryResource(account: Account, resource: string): Jid | undefined {
  try {
    return account.jid.withResource(resource);
  } catch (error) {
    if (error instanceof JidError) return undefined; // the tag cannot be part of a resource
    throw error;
  }
}

/** The id of the client must not be seen in it, and nobody who knows one resource may guess another. */
function stableIdentifier(secret: Uint8Array, account: Account, tag: string, { id }: UserAgent): string {
  const text = `${account.jid.bare}\0${tag}\0${id}`;
  return createHmac('sha256', secret).update(text, 'utf8').digest().subarray(0, IDENTIFIER_BYTES).toString('base64url');
}
