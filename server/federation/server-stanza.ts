import { fromServerContent, toServerContent } from '../../stanzas/content-namespace.ts';
import type { Frame } from '../../stanzas/frame.ts';
import { JidError, type Jid } from '../../stanzas/jid.ts';
import { keepingOf } from '../../stanzas/processing-hints.ts';
import { withoutForgedSequence } from '../../stanzas/sequence.ts';
import { Stanza, stanzaKind } from '../../stanzas/stanza.ts';
import { StanzaError } from '../../stanzas/stanza-error.ts';
import { StreamError } from '../../stanzas/stream-error.ts';
import type { InboundLedger } from '../routing/receipt.ts';
import { isServedHere, type FederationContext } from './federation-context.ts';

/** The beginning of the ids of pings by which a stream learns how far the other server has come. */
export const ARRIVAL_PING = 'posthorn-arrived-';

const SUBSCRIPTION_TYPES = new Set(['subscribe', 'subscribed', 'unsubscribe', 'unsubscribed']);
const IQ_TYPES = new Set(['get', 'set', 'result', 'error']);

/**
 * Takes a stanza from another server and sends it on its way.
 * @param received the pairs, `remote>local`, of which stanzas are taken; `remote>*` for any of our domains
 * @throws StreamError for what ends the stream
 */
export function acceptStanza(
  frame: Frame,
  context: FederationContext,
  ledger: InboundLedger,
  received: ReadonlySet<string>,
): void {
  const kind = stanzaKind(frame);
  if (kind === undefined) throw new StreamError('unsupported-stanza-type', 'This element is no stanza');
  const from = addressOf(frame.from, context);
  const to = addressOf(frame.to, context);
  // RFC 6120 8.1.2.2, 4.9.3.9
  if (!received.has(`${from.domain}>${to.domain}`) && !received.has(`${from.domain}>*`)) {
    throw new StreamError('invalid-from', `Nothing was proved for ${from.domain} and ${to.domain}`);
  }
  const { id, type, lang } = frame;
  const scoped = { ...frame, ...fromServerContent(frame) };
  const stanza = Stanza.fromFrame(kind, scoped, { from, to, id, type, lang });
  const { router, counters } = context;
  counters.serverStanzasReceived[kind]++;
  const receipt = ledger.begin();
  if (!isServedHere(context, to.domain)) {
    router.answer(stanza, new StanzaError('remote-server-not-found', 'This domain is not served here'), receipt);
  } else if (kind === 'iq' && (id === undefined || !IQ_TYPES.has(type ?? ''))) {
    router.answer(stanza, new StanzaError('bad-request'), receipt); // RFC 6120 8.2.3
  } else if (kind === 'iq' && isAnsweredPing(stanza, context)) {
    receipt.settle();
  } else {
    router.route(
      withoutForgedSequence(stanza, (by) => isServedHere(context, by)),
      receipt,
    );
  }
}

/** The stanza as it goes over a stream whose content namespace is jabber:server. */
export function serverBytes(stanza: Stanza): string {
  const content = toServerContent(stanza.content);
  return content === stanza.content ? stanza.toBytes() : stanza.withContent(content).toBytes();
}

/** Whether a stanza must survive the end of the process: messages, and what changes subscriptions. */
export function isDurable(stanza: Stanza): boolean {
  if (stanza.kind === 'message') return keepingOf(stanza) !== 'never';
  return stanza.kind === 'presence' && SUBSCRIPTION_TYPES.has(stanza.type ?? '');
}

function isAnsweredPing({ type, id, from, to }: Stanza, { events }: FederationContext): boolean {
  if (type !== 'result' && type !== 'error') return false;
  if (id?.startsWith(ARRIVAL_PING) !== true || from?.local !== '' || to?.local !== '') return false;
  return events.pingAnswered(id, { local: to.domain, remote: from.domain });
}

/** RFC 6120 4.9.3.7 */
function addressOf(text: string | undefined, { jids }: FederationContext): Jid {
  try {
    if (text !== undefined && text !== '') return jids.parse(text);
  } catch (error) {
    if (!(error instanceof JidError)) throw error;
  }
  throw new StreamError('improper-addressing', 'Between servers every stanza has a from and a to');
}
