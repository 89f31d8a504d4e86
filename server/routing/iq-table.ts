import type { Element } from '../../stanzas/element.ts';
import type { Child } from '../../stanzas/frame.ts';
import type { Jid } from '../../stanzas/jid.ts';
import type { Stanza } from '../../stanzas/stanza.ts';
import type { Account } from './account.ts';
import type { Session } from './session.ts';

/** A request (an IQ of type get or set) as its handler sees it. */
export interface IqRequest {
  readonly stanza: Stanza;
  /** The request's one child (RFC 6120 8.2.3). */
  readonly payload: Element;
  readonly from: Jid;
}

/** A request to an account's bare JID, answered on its behalf (RFC 6121 8.5.2.1.3). */
export interface AccountIqRequest extends IqRequest {
  readonly account: Account;
}

/** A request by the account's owner. */
export interface SelfIqRequest extends AccountIqRequest {
  readonly session: Session;
}

/** Returning is answering (with or without a payload), throwing StanzaError refuses. */
export type IqHandler<Request> = (request: Request) => Element | void | Promise<Element | void>;

/** Who a request is for. */
export type IqTarget =
  | 'server' // one of our domains
  | 'account' // an account's bare JID, whoever asks
  | 'self'; // an account's bare JID or no address at all, asked by its owner

/** What a handler for each target is given. */
export interface IqRequests {
  server: IqRequest;
  account: AccountIqRequest;
  self: SelfIqRequest;
}

/** Gives a request to somebody else, who answers it in our place; undefined leaves it to the handlers. */
export type Delegate = (stanza: Stanza, payload: Child) => (() => Promise<Element | undefined>) | undefined;

/** Which handler answers which request: one map per target. */
export class IqTable {
  readonly #handlers = new Map<string, IqHandler<never>>();
  #delegate: Delegate | undefined;

  /** Throws if there is a handler already: two modules that answer the same request are a mistake. */
  add<Target extends IqTarget>(
    target: Target,
    type: 'get' | 'set',
    namespace: string,
    name: string,
    handler: IqHandler<IqRequests[Target]>,
  ): void {
    const key = keyOf(target, type, namespace, name);
    if (this.#handlers.has(key)) throw new Error(`two handlers for IQ ${type} {${namespace}}${name} to ${target}`);
    this.#handlers.set(key, handler);
  }

  /** Asks it before any handler (XEP-0355). One for all. */
  delegate(delegate: Delegate): void {
    if (this.#delegate !== undefined) throw new Error('requests are delegated already');
    this.#delegate = delegate;
  }

  /** Who answers a request in our place, if anybody does. */
  delegated(stanza: Stanza, payload: Child): (() => Promise<Element | undefined>) | undefined {
    return this.#delegate?.(stanza, payload);
  }

  find<Target extends IqTarget>(
    target: Target,
    type: string,
    namespace: string,
    name: string,
  ): IqHandler<IqRequests[Target]> | undefined {
    return this.#handlers.get(keyOf(target, type, namespace, name)) as IqHandler<IqRequests[Target]> | undefined;
  }

  /** What is handled, for `posthorn pipeline`. */
  describe(): string[] {
    return [...this.#handlers].map(([key, handler]) => `${key} -> ${handler.name}`).sort();
  }
}

function keyOf(target: string, type: string, namespace: string, name: string): string {
  return `${target} ${type} {${namespace}}${name}`;
}
