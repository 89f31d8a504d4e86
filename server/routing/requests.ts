import type { Element } from '../../stanzas/element.ts';
import type { Stanza } from '../../stanzas/stanza.ts';
import { StanzaError } from '../../stanzas/stanza-error.ts';
import type { Account, Inbound } from './account.ts';
import type { ErrorReplies, ReturnPath } from './error-replies.ts';
import type { IqTable, SelfIqRequest } from './iq-table.ts';
import type { PendingRequests } from './pending-requests.ts';
import type { Receipt } from './receipt.ts';
import type { Session } from './session.ts';

export interface RequestsOptions {
  readonly path: ReturnPath;
  readonly errors: ErrorReplies;
  readonly iq: IqTable;
  readonly pending: PendingRequests;
}

/**
 * Answers the IQ requests that are for nobody's session: to an account's bare JID (RFC 6121 8.5.2.1.3) and to the server
 * itself (RFC 6120 10.5.1 and 10.5.2). Requests start in order; an answer that takes its time holds up nobody.
 */
export class Requests {
  readonly #options: RequestsOptions;

  constructor(options: RequestsOptions) {
    this.#options = options;
  }

  /**
   * Takes an IQ to an account's bare JID. Throws StanzaError.
   * @param session the one it comes from, where that is of the same account
   */
  receiveForAccount(
    account: Account,
    stanza: Stanza,
    receipt: Receipt | undefined,
    session: Session | undefined,
  ): void {
    const { iq, pending } = this.#options;
    if (stanza.type !== 'get' && stanza.type !== 'set') {
      pending.answer(stanza);
      receipt?.settle();
      return;
    }
    // RFC 6120 13.11: a stranger is told the same as where there is no account, whatever the request looks like
    if (session === undefined && stanza.children.length !== 1) throw new StanzaError('service-unavailable');
    const child = requestPayload(stanza);
    const from = stanza.from!;
    const delegated = iq.delegated(stanza, child);
    if (delegated !== undefined) {
      receipt?.settle(); // somebody else has it, who may take a minute to answer
      this.#answer(stanza, undefined, delegated, session);
      return;
    }
    if (session !== undefined) {
      const own = iq.find('self', stanza.type, child.namespace, child.name);
      if (own !== undefined) {
        const request = (): SelfIqRequest => ({ stanza, payload: stanza.parse(child), from, account, session });
        this.#answer(stanza, receipt, () => own(request()), session);
        return;
      }
    }
    const handler = iq.find('account', stanza.type, child.namespace, child.name);
    if (handler === undefined) throw new StanzaError('service-unavailable');
    this.#answer(stanza, receipt, () => handler({ stanza, payload: stanza.parse(child), from, account }), session);
  }

  /** Takes whatever is addressed to the server itself: it hears requests, and answers to its own. Throws StanzaError. */
  receiveAtServer({ stanza, receipt }: Inbound): void {
    const { iq, pending } = this.#options;
    if (stanza.kind === 'presence' || (stanza.kind === 'iq' && stanza.type !== 'get' && stanza.type !== 'set')) {
      if (stanza.kind === 'iq') pending.answer(stanza);
      receipt?.settle();
      return;
    }
    if (stanza.kind === 'message' || !stanza.to!.isBare) throw new StanzaError('service-unavailable');
    const child = requestPayload(stanza);
    const delegated = iq.delegated(stanza, child);
    if (delegated !== undefined) {
      receipt?.settle(); // as above
      this.#answer(stanza, undefined, delegated);
      return;
    }
    const handler = iq.find('server', stanza.type!, child.namespace, child.name);
    if (handler === undefined) throw new StanzaError('service-unavailable');
    const from = stanza.from!;
    this.#answer(stanza, receipt, () => handler({ stanza, payload: stanza.parse(child), from }));
  }

  /**
   * @param session answered in its place among what it is delivered, so that a roster never overtakes, or falls behind, a
   *   push; and nobody else, should it end before. Undefined where the answer is routed.
   */
  #answer(
    stanza: Stanza,
    receipt: Receipt | undefined,
    handle: () => Element | void | Promise<Element | void>,
    session?: Session,
  ): void {
    const { path, errors } = this.#options;
    const reply = (answer: Element | void): void => {
      const result = stanza.reply('result', answer === undefined ? [] : [answer]);
      if (session === undefined) path.route(result);
      else path.deliverTo(session, result);
      receipt?.settle();
    };
    const answer = handle();
    if (answer instanceof Promise) {
      answer.then(reply).catch((error: unknown) => errors.answer(stanza, error, receipt, session));
    } else reply(answer);
  }
}

/** RFC 6120 8.2.3 rule 5: exactly one child. */
function requestPayload(stanza: Stanza): NonNullable<Stanza['payload']> {
  const [child, ...more] = stanza.children;
  if (child === undefined || more.length > 0) throw new StanzaError('bad-request', 'A request has exactly one child');
  return child;
}
