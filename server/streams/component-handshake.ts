import { createHash, timingSafeEqual } from 'node:crypto';

import { escapeAttribute, toByteString } from '../../stanzas/byte-string.ts';
import { element } from '../../stanzas/element.ts';
import type { StreamHeader } from '../../stanzas/frame.ts';
import { tryParseJid } from '../../stanzas/jid.ts';
import { NS } from '../../stanzas/namespaces.ts';
import { Stanza } from '../../stanzas/stanza.ts';
import { StreamError } from '../../stanzas/stream-error.ts';
import type { Component } from '../routing/component.ts';
import type { Components } from '../routing/components.ts';
import type { ComponentStreamContext } from './component-stream-context.ts';

/** The component a stream header is addressed to. @throws StreamError (XEP-0114 3) */
export function componentOf({ to, contentNamespace }: StreamHeader, components: Components): Component {
  if (contentNamespace !== NS.COMPONENT) {
    throw new StreamError('invalid-namespace', 'Components speak jabber:component:accept here');
  }
  const jid = to === undefined ? undefined : tryParseJid(to);
  const component = jid === undefined ? undefined : components.find(jid.full);
  if (component === undefined) throw new StreamError('host-unknown', 'No component of this name is configured');
  return component;
}

/** Our side of the stream header, a byte string. */
export function componentHeader(from: string, streamId: string): string {
  return (
    `<?xml version='1.0'?><stream:stream xmlns:stream='${NS.STREAMS}' xmlns='${NS.COMPONENT}'` +
    ` from='${toByteString(escapeAttribute(from))}' id='${streamId}'>`
  );
}

/** A ping to the component itself (XEP-0199), a byte string. */
export function pingBytes({ host, jid }: Component, id: string): string {
  return Stanza.create('iq', { from: host, to: jid, id, type: 'get' }, [element('ping', NS.PING)]).toBytes();
}

/**
 * Judges a handshake; who guesses waits longer from guess to guess. Rejects with StreamError where it does not prove the
 * component's secret.
 */
export async function checkHandshake(
  shown: string,
  streamId: string,
  { settings: { domain } }: Component,
  address: string,
  { throttle, secrets }: Pick<ComponentStreamContext, 'throttle' | 'secrets'>,
): Promise<void> {
  if (!(await throttle.admit(address, domain))) throw new StreamError('not-authorized', 'Too many wrong secrets');
  const secret = secrets.get(domain);
  if (secret === undefined || !provesSecret(shown, streamId, secret)) {
    await throttle.failed(address, domain);
    throw new StreamError('not-authorized', 'The secret is wrong');
  }
  throttle.succeeded(address, domain);
}

/** How long it takes tells nothing of how much of the handshake was right. */
function provesSecret(shown: string, streamId: string, secret: string): boolean {
  // XEP-0114 3: SHA-1 over the stream id and the secret, in lower-case hexadecimal
  const expected = createHash('sha1').update(streamId).update(secret).digest();
  const proof = Buffer.from(/^[0-9a-f]{40}$/i.test(shown) ? shown : '', 'hex');
  return proof.length === expected.length && timingSafeEqual(proof, expected);
}
