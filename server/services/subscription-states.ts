import type { Subscription } from '../routing/pipeline.ts';

/** One of the nine states of RFC 6121 A.1, with the pre-approval of 3.4. */
export interface SubscriptionState {
  readonly subscription: 'none' | 'to' | 'from' | 'both';
  /** Pending out. */
  readonly ask: boolean;
  /** Pending in: the request that waits for the user's answer. */
  readonly request: string | undefined;
  readonly approved: boolean;
}

/** What a subscription stanza leads to. */
export interface Transition {
  readonly state: SubscriptionState;
  readonly isChanged: boolean;
  /** Outbound: send it on to the contact. Inbound: show it to the user. */
  readonly passes: boolean;
  /** Inbound: what the server answers on the user's behalf. */
  readonly reply: 'subscribed' | 'unsubscribed' | undefined;
}

interface Sides {
  to: boolean;
  from: boolean;
  ask: boolean;
  request: string | undefined;
  approved: boolean;
}

const NONE: SubscriptionState = { subscription: 'none', ask: false, request: undefined, approved: false };

/** RFC 6121 A.2: the user sends a subscription stanza. */
export function outbound(type: Subscription, state: SubscriptionState = NONE): Transition {
  const sides = sidesOf(state);
  switch (type) {
    case 'subscribe': // A.2.1
      return transition(state, { ...sides, ask: sides.ask || !sides.to }, true);
    case 'unsubscribe': // A.2.2
      return transition(state, { ...sides, to: false, ask: false }, true);
    case 'subscribed': // A.2.3
      if (sides.request !== undefined) return transition(state, { ...sides, from: true, request: undefined }, true);
      return transition(state, { ...sides, approved: sides.approved || !sides.from }, false); // 3.4.1
    case 'unsubscribed': // A.2.4
      return transition(
        state,
        { ...sides, from: false, request: undefined, approved: false },
        sides.from || sides.request !== undefined,
      );
  }
}

/** RFC 6121 A.3: the contact has sent a subscription stanza. `bytes` is the stanza, kept while it is unanswered. */
export function inbound(type: Subscription, bytes: string, state: SubscriptionState = NONE): Transition {
  const sides = sidesOf(state);
  switch (type) {
    case 'subscribe': // A.3.1
      if (sides.from) return transition(state, sides, false, 'subscribed');
      if (sides.approved) return transition(state, { ...sides, from: true, request: undefined }, false, 'subscribed');
      if (sides.request !== undefined) return transition(state, sides, false);
      return transition(state, { ...sides, request: bytes }, true);
    case 'unsubscribe': // A.3.2
      if (!sides.from && sides.request === undefined) return transition(state, sides, false);
      return transition(state, { ...sides, from: false, request: undefined }, true, withdrawalReply(sides));
    case 'subscribed': // A.3.3
      if (!sides.ask) return transition(state, sides, false);
      return transition(state, { ...sides, to: true, ask: false }, true);
    case 'unsubscribed': // A.3.4
      return transition(state, { ...sides, to: false, ask: false }, sides.to || sides.ask);
  }
}

/**
 * Deviation from A.3.2 [1], as 3.3.3 has it: who only takes a request back is not answered, because a stranger could
 * tell by the answer that the account exists (8.5.1, RFC 6120 13.11). Whom the user has asked, or sees, knows it anyway.
 */
function withdrawalReply({ from, to, ask }: Sides): 'unsubscribed' | undefined {
  return from || to || ask ? 'unsubscribed' : undefined;
}

function sidesOf({ subscription, ask, request, approved }: SubscriptionState): Sides {
  return {
    to: subscription === 'to' || subscription === 'both',
    from: subscription === 'from' || subscription === 'both',
    ask,
    request,
    approved,
  };
}

function transition(
  before: SubscriptionState,
  sides: Sides,
  passes: boolean,
  reply?: 'subscribed' | 'unsubscribed',
): Transition {
  const subscription = sides.to ? (sides.from ? 'both' : 'to') : sides.from ? 'from' : 'none';
  const { ask, request, approved } = sides;
  const isChanged =
    subscription !== before.subscription ||
    ask !== before.ask ||
    request !== before.request ||
    approved !== before.approved;
  return { state: { subscription, ask, request, approved }, isChanged, passes, reply };
}
