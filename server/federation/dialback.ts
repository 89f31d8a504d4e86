import { escapeAttribute, toByteString } from '../../stanzas/byte-string.ts';
import { parseElement } from '../../stanzas/element.ts';
import type { Frame } from '../../stanzas/frame.ts';
import { NS } from '../../stanzas/namespaces.ts';
import type { StanzaErrorCondition } from '../../stanzas/stanza-error.ts';
import { StreamError } from '../../stanzas/stream-error.ts';
import { Scope } from '../../stanzas/scope.ts';
import type { FederationContext, Verification } from './federation-context.ts';
import { PeerFailure } from './peer-failure.ts';

/** The attributes of `<db:result/>` and `<db:verify/>` (XEP-0220 2). */
export interface DialbackHeader {
  readonly from: string;
  readonly to: string;
  readonly id?: string | undefined;
  readonly type?: 'valid' | 'invalid' | 'error' | undefined;
}

/** A dialback element as a byte string. Interop: the prefix is the one everybody uses. @param content a byte string */
export function dialbackBytes(name: 'result' | 'verify', header: DialbackHeader, content = ''): string {
  let tag = `<db:${name}`;
  for (const [attribute, value] of Object.entries(header) as [string, string | undefined][]) {
    if (value !== undefined) tag += ` ${attribute}='${toByteString(escapeAttribute(value))}'`;
  }
  return content === '' ? `${tag}/>` : `${tag}>${content}</db:${name}>`;
}

/** The content of a dialback element of type error (XEP-0220 2.5), a byte string. */
export function dialbackError(condition: DialbackCondition): string {
  return `<error type='cancel'><${condition} xmlns='${NS.STANZA_ERRORS}'/></error>`;
}

/** The conditions of XEP-0220 2.5; remote-connection-failed is no stanza error, but the table has it. */
export type DialbackCondition = StanzaErrorCondition | 'remote-connection-failed';

/** The domains of a dialback element. @throws StreamError */
export function dialbackDomains(
  frame: Frame,
  context: FederationContext,
): { readonly from: string; readonly to: string } {
  return { from: domainOf(frame.from, context), to: domainOf(frame.to, context) };
}

function domainOf(text: string | undefined, { jids }: FederationContext): string {
  try {
    const jid = text === undefined ? undefined : jids.parse(text);
    if (jid?.local === '' && jid.resource === '') return jid.domain;
  } catch {
    // no address, so no domain
  }
  throw new StreamError('improper-addressing', 'Dialback is between two domains');
}

/** What the answer to `<db:verify/>` says. @param remote the domain that was asked */
export function verificationOf(frame: Frame, remote: string): Verification {
  if (frame.type === 'valid' || frame.type === 'invalid') return frame.type;
  const condition = conditionOf(frame);
  // XEP-0220 2.5: what is said to the initiating server
  return new PeerFailure(
    condition === 'item-not-found' ? 'remote-server-not-found' : 'remote-server-timeout',
    `${remote} does not verify: ${condition ?? 'no reason is given'}`,
  );
}

/** The condition in a dialback element of type error. */
export function conditionOf(frame: Frame): string | undefined {
  const error = frame.children.find(({ name }) => name === 'error');
  if (error === undefined) return undefined;
  const element = parseElement(frame.content.slice(error.start, error.end), Scope.of(NS.SERVER).within(frame.others));
  return element.children.find(({ namespace }) => namespace === NS.STANZA_ERRORS)?.name;
}
