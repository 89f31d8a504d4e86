import { element, type Element } from '../../stanzas/element.ts';
import type { Child } from '../../stanzas/frame.ts';
import { NS } from '../../stanzas/namespaces.ts';
import { messageType, type Stanza } from '../../stanzas/stanza.ts';
import { defineModule } from '../module.ts';
import type { DeliveryGate, Session } from '../routing/session.ts';

/** XEP-0352: Client State Indication. A client nobody looks at is sent what matters, with the rest before it in one go. */
export const clientState = defineModule({
  name: 'client-state',
  implements: [{ xep: 352, version: '1.0.0' }],
  setup({ elementSent, streamFeature, bindFeature, on, config }) {
    streamFeature(element('csi', NS.CLIENT_STATE));
    const changeClientState = (session: Session, name: string): void => {
      if (name === 'active') becomeActive(session);
      // A client that acknowledges is given a bounded queue anyway, so what waits here counts against the same bound.
      else if (name === 'inactive') session.gate ??= new InactiveClient(session, config.limits.maxQueueStanzas >> 2);
    };
    elementSent(NS.CLIENT_STATE, changeClientState);
    // XEP-0386: a session may begin in either state
    bindFeature({ namespace: NS.CLIENT_STATE, enable: (session, { name }) => changeClientState(session, name) });
    // 5.2: a resumed stream begins active
    on.sessionResumed(becomeActive);
  },
});

function becomeActive(session: Session): void {
  const { gate } = session;
  session.gate = undefined;
  gate?.release();
}

/**
 * Holds presence and what says only that somebody is typing. Anything else ends the wait: it is delivered behind what was
 * held, so that no order changes (RFC 6120 10.1). Of several presences of one sender only the last is kept.
 */
class InactiveClient implements DeliveryGate {
  readonly #session: Session;
  readonly #maxHeld: number;
  #held: Stanza[] = [];
  #isReleasing = false;

  constructor(session: Session, maxHeld: number) {
    this.#session = session;
    this.#maxHeld = maxHeld;
  }

  takes(stanza: Stanza): boolean {
    if (this.#isReleasing) return false;
    if (!canWait(stanza) || this.#held.length >= this.#maxHeld) {
      this.release();
      return false;
    }
    if (stanza.kind === 'presence') {
      const sender = stanza.from?.full;
      const earlier = this.#held.findIndex(({ kind, from }) => kind === 'presence' && from?.full === sender);
      if (earlier >= 0) this.#held.splice(earlier, 1);
    }
    this.#held.push(stanza);
    return true;
  }

  release(): void {
    const held = this.#held;
    this.#held = [];
    this.#isReleasing = true;
    for (const stanza of held) this.#session.deliver(stanza);
    this.#isReleasing = false;
  }
}

function canWait(stanza: Stanza): boolean {
  switch (stanza.kind) {
    case 'iq':
      return false;
    case 'presence':
      // Requests are for a person; a room's answer to who enters it (XEP-0045 7.2.2) is waited for.
      return (stanza.type === undefined || stanza.type === 'unavailable') && !isOwnRoomPresence(stanza);
    case 'message':
      return isHeadlineEvent(stanza) || saysOnlyTyping(stanza);
  }
}

function isOwnRoomPresence(stanza: Stanza): boolean {
  return stanza.hasChild('x', NS.MUC_USER) && /code=['"]110['"]/.test(stanza.content);
}

/** A notification of PEP (XEP-0163 4.3). */
function isHeadlineEvent(stanza: Stanza): boolean {
  return messageType(stanza) === 'headline' && stanza.hasChild('event', NS.PUBSUB_EVENT);
}

function saysOnlyTyping(stanza: Stanza): boolean {
  if (stanza.type === 'error') return false;
  const carbon = stanza.children.find(({ namespace }) => namespace === NS.CARBONS);
  if (carbon === undefined) return areOnlyChatStates(stanza.children);
  const message = stanza.parse(carbon).child('forwarded', NS.FORWARD)?.child('message', NS.CLIENT);
  return message !== undefined && areOnlyChatStates(message.children);
}

const ASIDES: ReadonlySet<string> = new Set([NS.HINTS, NS.STANZA_ID, NS.SEQUENCE, NS.DELAY]);

function areOnlyChatStates(children: readonly (Child | Element)[]): boolean {
  let saysSomething = false;
  for (const { name, namespace } of children) {
    if (namespace === NS.CHAT_STATES) saysSomething = true;
    else if (!ASIDES.has(namespace) && name !== 'thread') return false;
  }
  return saysSomething;
}
