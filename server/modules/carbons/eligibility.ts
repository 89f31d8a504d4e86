import { createHash } from 'node:crypto';

import { BoundedCache } from '../../../stanzas/bounded-cache.ts';
import type { Child } from '../../../stanzas/frame.ts';
import type { Jid } from '../../../stanzas/jid.ts';
import { NS } from '../../../stanzas/namespaces.ts';
import { messageType, type Stanza } from '../../../stanzas/stanza.ts';

/**
 * Whether a message that is no error is eligible for carbons (XEP-0280 6.1). XEP-0334 4.3 adds `no-copy`, which 9 wants
 * beside `private`.
 *
 * @param contact whom it goes to, or comes from
 */
export function isEligible(stanza: Stanza, contact: Jid): boolean {
  const type = messageType(stanza);
  let hasBody = false;
  let hasPayload = false;
  for (const { name, namespace } of stanza.children) {
    if (namespace === NS.CARBONS && name === 'private') return false;
    if (namespace === NS.HINTS && name === 'no-copy') return false;
    if (type === 'chat') continue;
    if (namespace === NS.CLIENT && name === 'body') hasBody = true;
    else if (IM_PAYLOADS.has(namespace)) hasPayload = true;
  }
  switch (type) {
    case 'chat':
      return true;
    case 'normal':
      return hasBody || hasPayload || isOfRoom(stanza, contact);
    case 'headline':
      return hasPayload || isOfRoom(stanza, contact);
    case 'groupchat':
    case 'error':
      return false;
  }
}

/** XEP-0045 7.5: between occupants, whose addresses are full. */
export function isRoomPrivate(stanza: Stanza, contact: Jid): boolean {
  return !contact.isBare && stanza.hasChild('x', NS.MUC_USER) && !isInvitation(stanza);
}

/** What never is a message of its own: a carbon. */
export function isCarbon({ name, namespace }: Child): boolean {
  return namespace === NS.CARBONS && (name === 'sent' || name === 'received');
}

function isOfRoom(stanza: Stanza, contact: Jid): boolean {
  return stanza.hasChild('x', NS.MUC_USER) && (!contact.isBare || isInvitation(stanza));
}

/** XEP-0045 7.8.2 */
function isInvitation(stanza: Stanza): boolean {
  return stanza.child('x', NS.MUC_USER)?.child('invite') !== undefined;
}

/** Payloads of instant messaging (6.1). */
const IM_PAYLOADS: ReadonlySet<string> = new Set([
  NS.RECEIPTS,
  NS.CHAT_STATES,
  NS.CHAT_MARKERS,
  'jabber:x:conference', // XEP-0249: direct invitations
]);

const MAX_REMEMBERED = 100;
/** Clients choose their ids; of a longer one a digest is kept. */
const MAX_KEY_LENGTH = 300;
const SEEN = {};

/**
 * What an account exchanged that is not eligible, so that an error which answers it is not copied either (6.1). Nearly
 * every message is eligible, so these few are remembered rather than all others, and an error that answers none of them is
 * copied. The latest of them suffice: errors come soon or, from a server that is away, for what has no such payload.
 */
export class Ineligible {
  readonly #messages = new BoundedCache<string, object>(MAX_REMEMBERED);
  readonly #rooms = new BoundedCache<string, object>(MAX_REMEMBERED);

  sent({ id, to }: Stanza): void {
    this.#messages.set(keyOf(id, to!), SEEN);
  }

  received({ id, from, type }: Stanza): void {
    // A room sends many; who answers one of its occupants answers one of these, or what the room sends to each client itself.
    if (type === 'groupchat') {
      if (this.#rooms.get(from!.bare) === undefined) this.#rooms.set(copyOf(from!.bare), SEEN);
    } else this.#messages.set(keyOf(id, from!), SEEN);
  }

  /** Whether this error, which comes to the account, answers one of what it sent. */
  isAnsweredFrom({ id, from }: Stanza): boolean {
    return this.#messages.get(keyOf(id, from!)) !== undefined;
  }

  /** Whether this error, which the account sends, answers one of what it received. */
  isAnsweredTo({ id, to }: Stanza): boolean {
    if (!to!.isBare && this.#rooms.get(to!.bare) !== undefined) return true;
    return this.#messages.get(keyOf(id, to!)) !== undefined;
  }
}

function keyOf(id: string | undefined, contact: Jid): string {
  const key = `${contact.full}\0${id ?? ''}`;
  return key.length > MAX_KEY_LENGTH ? createHash('sha256').update(key).digest('base64') : copyOf(key);
}

/** What is a slice of a stanza would stay in memory with it. */
function copyOf(text: string): string {
  return Buffer.from(text).toString();
}
