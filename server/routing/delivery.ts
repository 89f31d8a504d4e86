import type { Jid } from '../../stanzas/jid.ts';
import { NS } from '../../stanzas/namespaces.ts';
import { messageType, type MessageType, type Stanza } from '../../stanzas/stanza.ts';

/** What the delivery rules need to know of a session. */
export interface Resource {
  readonly jid: Jid;
  /** Priority of its presence (RFC 6121 4.7.2.3); undefined for a connected resource that is not available. */
  readonly priority: number | undefined;
}

/** What becomes of a message (RFC 6121 8.5.4: D, M and A, O, E, S). */
export type MessageFate<R extends Resource> =
  | { readonly kind: 'deliver'; readonly to: readonly R[] }
  | { readonly kind: 'store' }
  | { readonly kind: 'refuse' }
  | { readonly kind: 'ignore' };

const STORE = { kind: 'store' } as const;
const REFUSE = { kind: 'refuse' } as const;
const IGNORE = { kind: 'ignore' } as const;

/**
 * The rules of RFC 6121 8.5.2 and 8.5.3 for a message to an account that exists. Where the RFC leaves a choice: messages
 * wait rather than bounce (O), go to the most available resources (M), and what cannot be delivered is refused (E).
 */
export function messageFate<R extends Resource>(type: MessageType, to: Jid, resources: readonly R[]): MessageFate<R> {
  if (!to.isBare) {
    // 8.5.3.1: an available or merely connected resource that matches exactly
    const match = resources.find((resource) => resource.jid.full === to.full);
    if (match !== undefined) return { kind: 'deliver', to: [match] };
    // 8.5.3.2.1
    if (type === 'error') return IGNORE;
    if (type !== 'chat') return REFUSE;
    // "chat" goes on as if to the bare JID
  }
  switch (type) {
    case 'groupchat':
      return REFUSE; // 8.5.2.1.1, 8.5.2.2.1
    case 'error':
      return IGNORE;
    case 'headline': {
      const all = nonNegative(resources);
      return all.length === 0 ? IGNORE : { kind: 'deliver', to: all };
    }
    case 'normal':
    case 'chat': {
      const most = mostAvailable(resources);
      return most.length === 0 ? STORE : { kind: 'deliver', to: most };
    }
  }
}

/**
 * The same for the error that answers a message of the account's own (returned-errors.ts): it goes to the session that sent
 * the message while that is there, then to whom other messages go.
 */
export function returnedErrorFate<R extends Resource>(to: Jid, resources: readonly R[]): MessageFate<R> {
  const sender = resources.find((resource) => resource.jid.full === to.full);
  return sender === undefined ? messageFate('chat', to.toBare(), resources) : { kind: 'deliver', to: [sender] };
}

/**
 * Whether a stranger hears that a message for nobody has not arrived: where there is no such account, and where a
 * resource is addressed that is not there. An error must not tell an account from none, nor a resource from none (8.1,
 * RFC 6120 13.10.2 and 13.11), so it is sent only where an account that is there would refuse as well, and for words
 * that would be lost: who tries to find out by those shows themselves.
 */
export function isRefusedToStrangers(message: Stanza): boolean {
  switch (messageType(message)) {
    case 'normal':
    case 'chat':
      return message.hasChild('body', NS.CLIENT);
    case 'groupchat':
      return message.to!.isBare; // 8.5.2.1.1, 8.5.2.2.1
    case 'headline':
    case 'error':
      return false;
  }
}

function nonNegative<R extends Resource>(resources: readonly R[]): readonly R[] {
  return resources.filter(({ priority }) => priority !== undefined && priority >= 0);
}

/** All resources that share the highest non-negative priority. */
function mostAvailable<R extends Resource>(resources: readonly R[]): readonly R[] {
  if (resources.length === 1) return (resources[0]!.priority ?? -1) >= 0 ? resources : [];
  let highest = 0;
  for (const { priority } of resources) if (priority !== undefined && priority > highest) highest = priority;
  return resources.filter(({ priority }) => priority === highest);
}
