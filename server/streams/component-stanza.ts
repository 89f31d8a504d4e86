import { fromServerContent, toServerContent } from '../../stanzas/content-namespace.ts';
import type { Frame } from '../../stanzas/frame.ts';
import { JidError, type Jid, type JidCache } from '../../stanzas/jid.ts';
import { NS } from '../../stanzas/namespaces.ts';
import { Stanza, stanzaKind } from '../../stanzas/stanza.ts';
import { StanzaError } from '../../stanzas/stanza-error.ts';
import { StreamError } from '../../stanzas/stream-error.ts';
import type { Component } from '../routing/component.ts';
import type { Components } from '../routing/components.ts';
import type { InboundLedger } from '../routing/receipt.ts';
import type { Router } from '../routing/router.ts';

export interface ComponentStanzaContext {
  readonly components: Components;
  readonly router: Router;
  readonly jids: JidCache;
}

const IQ_TYPES = new Set(['get', 'set', 'result', 'error']);

/**
 * Takes a stanza from a component and sends it on its way.
 * @param lang the stream's default language (RFC 6120 4.7.4)
 * @throws StreamError for what ends the stream
 */
export function acceptComponentStanza(
  component: Component,
  frame: Frame,
  lang: string | undefined,
  ledger: InboundLedger,
  { components, router, jids }: ComponentStanzaContext,
): void {
  // Interop: some libraries declare jabber:client on each stanza.
  const kind = stanzaKind(frame.namespace === NS.COMPONENT ? { name: frame.name, namespace: NS.CLIENT } : frame);
  if (frame.namespace === NS.SERVER) throw new StreamError('invalid-namespace', 'This is no server-to-server stream');
  if (kind === undefined) throw new StreamError('unsupported-stanza-type', 'This element is no stanza');
  const from = senderOf(frame.from, component, jids);
  const receipt = ledger.begin();
  const header = { from, id: frame.id, type: frame.type, lang: frame.lang ?? lang };
  const scoped = { ...frame, ...fromServerContent(frame, NS.COMPONENT) };
  let to: Jid;
  try {
    to = recipientOf(frame.to, jids);
  } catch (error) {
    if (!(error instanceof JidError)) throw error;
    // RFC 6120 8.3.3.8; the malformed address is not given back (8.3.1 rule 2)
    const refused = Stanza.fromFrame(kind, scoped, { ...header, to: component.host });
    router.answer(refused, new StanzaError('jid-malformed', error.message), receipt);
    return;
  }
  const stanza = Stanza.fromFrame(kind, scoped, { ...header, to });
  if (kind === 'iq' && (frame.id === undefined || !IQ_TYPES.has(frame.type ?? ''))) {
    router.answer(stanza, new StanzaError('bad-request'), receipt); // RFC 6120 8.2.3
  } else components.send(component, stanza, receipt);
}

/** The stanza as it goes over a stream whose content namespace is jabber:component:accept. */
export function componentBytes(stanza: Stanza): string {
  const content = toServerContent(stanza.content, NS.COMPONENT);
  return content === stanza.content ? stanza.toBytes() : stanza.withContent(content).toBytes();
}

/** XEP-0114 3: any address at the component's own domain. */
function senderOf(text: string | undefined, { settings }: Component, jids: JidCache): Jid {
  if (text === undefined) throw unaddressed();
  try {
    const from = jids.parse(text);
    if (from.domain === settings.domain) return from;
  } catch (error) {
    if (!(error instanceof JidError)) throw error;
  }
  throw new StreamError('invalid-from', `Stanzas of this component come from ${settings.domain}`);
}

function recipientOf(text: string | undefined, jids: JidCache): Jid {
  if (text === undefined) throw unaddressed();
  return jids.parse(text);
}

/** XEP-0114 3, "as in the 'jabber:server' namespace": RFC 6120 4.9.3.7. */
function unaddressed(): StreamError {
  return new StreamError('improper-addressing', 'Every stanza of a component has a from and a to');
}
