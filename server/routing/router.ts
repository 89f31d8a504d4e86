import type { Element } from '../../stanzas/element.ts';
import { tryParseJid, type Jid } from '../../stanzas/jid.ts';
import { withoutForgedSequence } from '../../stanzas/sequence.ts';
import { Stanza } from '../../stanzas/stanza.ts';
import { withoutForgedIds } from '../../stanzas/stable-id.ts';
import { StanzaError } from '../../stanzas/stanza-error.ts';
import type { StreamError } from '../../stanzas/stream-error.ts';
import { StoreError } from '../../storage/ordered-store.ts';
import type { Log } from '../log.ts';
import type { Counters } from '../metrics/counters.ts';
import type { Acceptance } from './acceptance.ts';
import { HeldDelivery } from './deliveries.ts';
import type { Account, AccountEvents, Inbound, Outbound } from './account.ts';
import { isRefusedToStrangers } from './delivery.ts';
import type { IqTable, SelfIqRequest } from './iq-table.ts';
import { isKnownPresence, isOfPresence, isProbe, sentPresenceKind } from './presence-kinds.ts';
import type { PendingRequests } from './pending-requests.ts';
import { amend, runScreens, Unanswered, type Pipeline, type ReceivedPresence } from './pipeline.ts';
import type { Receipt } from './receipt.ts';
import type { Session } from './session.ts';
import type { SessionTable } from './session-table.ts';

/** Claims a domain that is not one of ours: a component, a service on a subdomain, the way to other servers. */
export interface Destination {
  receive(item: Inbound): void;
  /**
   * Keeps a message of ours in the batch that fills, with its record, so that no crash comes between the two; what is
   * returned hands it over once the batch has committed. Undefined where `receive` does it all. Never throws.
   */
  reserve?(stanza: Stanza): ((receipt: Receipt | undefined) => void) | undefined;
}

export interface RouterOptions {
  readonly domains: ReadonlySet<string>;
  readonly table: SessionTable;
  readonly pipeline: Pipeline;
  readonly iq: IqTable;
  readonly acceptance: Acceptance;
  readonly pending: PendingRequests;
  readonly log: Log;
  readonly counters: Counters;
  /** Ends the session's stream because its client reads too slowly. */
  readonly overflowError: () => StreamError;
}

/**
 * Where every stanza goes (RFC 6120 10, RFC 6121 8): from a session through its account's *sent* mailbox to whoever
 * claims the address, and for a local account through its *received* mailbox. The one place where a StanzaError becomes
 * an error stanza.
 */
export class Router implements AccountEvents {
  readonly #options: RouterOptions;
  readonly #services = new Map<string, Destination>();
  #remote: Destination | undefined;

  constructor(options: RouterOptions) {
    this.#options = options;
    options.table.setEvents(this);
  }

  /** Routes a domain to a service; it is one of `services` from then on. */
  addService(domain: string, service: Destination): void {
    this.#services.set(domain, service);
  }

  hasService(domain: string): boolean {
    return this.#services.has(domain);
  }

  /** Sends whatever nobody here claims to other servers; undefined: there are none. */
  setRemote(remote: Destination | undefined): void {
    this.#remote = remote;
  }

  isLocalDomain(domain: string): boolean {
    return this.#options.domains.has(domain);
  }

  /** A session's stanza, its sender already set (RFC 6120 8.1.2.1). */
  send(session: Session, stanza: Stanza, receipt: Receipt): void {
    session.account.sent.put({ session, stanza, receipt });
  }

  /** Routes a stanza by its `to` (RFC 6120 10.4, 10.5). */
  route(stanza: Stanza, receipt?: Receipt): void {
    const to = stanza.to;
    if (to === undefined) throw new Error('a stanza without an address is routed');
    if (this.#options.domains.has(to.domain)) {
      if (to.local === '') this.#receiveAtServer({ stanza, receipt });
      else this.#receiveLocally(this.#options.table.account(to), { stanza, receipt });
      return;
    }
    // RFC 6120 10.1: behind what the same account has sent and what is on its way to the disk
    const sender = stanza.from === undefined ? undefined : this.#options.table.peek(stanza.from.bare);
    if (sender === undefined) this.#routeElsewhere(stanza, receipt);
    else this.#options.acceptance.departBehind(sender, () => this.#routeElsewhere(stanza, receipt));
  }

  #routeElsewhere(stanza: Stanza, receipt: Receipt | undefined): void {
    const to = stanza.to!;
    const service = this.#services.get(to.domain) ?? this.#remote;
    if (service !== undefined && stanza.kind === 'message') this.#options.counters.messages.forwarded++;
    if (service !== undefined) void this.#guarded(stanza, receipt, () => service.receive({ stanza, receipt }));
    else
      this.answer(stanza, new StanzaError('remote-server-not-found', 'This server does not talk to others'), receipt);
  }

  #reserveElsewhere(stanza: Stanza, receipt: Receipt | undefined): (() => void) | undefined {
    const handOver = (this.#services.get(stanza.to!.domain) ?? this.#remote)?.reserve?.(stanza);
    if (handOver === undefined) return undefined;
    return () => {
      this.#options.counters.messages.forwarded++;
      handOver(receipt);
    };
  }

  /**
   * The error exit: answers the stanza with the error, unless it is itself an answer (RFC 6120 8.3.1 rule 8), and settles
   * the receipt. What is no StanzaError is a bug: logged, answered `internal-server-error`.
   * @param to the session that is answered, where it must be none that has taken its address since
   */
  answer(stanza: Stanza, error: unknown, receipt?: Receipt, to?: Session): void {
    try {
      if (error instanceof Unanswered) return;
      const known = error instanceof StanzaError ? error : this.#reportBug(stanza, error);
      if (!mayAnswer(stanza) || stanza.from === undefined) return;
      if (stanza.kind === 'message') this.#options.counters.messages.refused++;
      if (to === undefined) this.route(stanza.errorReply(known));
      else this.deliverTo(to, stanza.errorReply(known));
    } finally {
      receipt?.settle();
    }
  }

  /**
   * Where somebody hears something now: at the address itself, or in a session of the same account that is available;
   * undefined while nobody is there.
   */
  presentAddress(jid: Jid): Jid | undefined {
    const sessions = this.#options.table.peek(jid.bare)?.sessions.filter(({ stream }) => stream !== undefined) ?? [];
    const own = sessions.find((session) => session.jid.full === jid.full);
    return (own ?? sessions.find(({ isAvailable }) => isAvailable))?.jid;
  }

  // AccountEvents

  /** Steps 3 to 5 for one stanza of a session. Never throws. */
  readonly sent = ({ session, stanza, receipt }: Outbound): void | Promise<void> => {
    const { pipeline } = this.#options;
    return this.#guarded(stanza, receipt, () => {
      const screening = runScreens(pipeline.screenSent, stanza, session);
      if (screening === undefined) return this.#dispatch(session, stanza, receipt);
      return screening.then(() => this.#dispatch(session, stanza, receipt));
    });
  };

  /** Step 6 for one stanza to an account. Never throws. */
  receive(account: Account, item: Inbound): void | Promise<void> {
    const { pipeline } = this.#options;
    const step = (): void | Promise<void> => {
      // RFC 6121 4.7.1; the same wherever it goes, so that it tells nobody anything
      if (item.stanza.kind === 'presence' && !isKnownPresence(item.stanza)) throw UNKNOWN_PRESENCE;
      // RFC 6121 4.3.2: to a subscriber, "unsubscribed" would end for good what is only suspended
      const isAsIfAbsent = account.state === 'disabled' && !isProbe(item.stanza);
      if (account.state === 'absent' || isAsIfAbsent) {
        this.#receiveForNobody(item);
        return;
      }
      if (account.state === 'unreadable') throw UNREADABLE;
      const screening = runScreens(pipeline.screenReceived, item.stanza, account);
      if (screening === undefined) return this.#receiveScreened(account, item);
      return screening.then(() => this.#receiveScreened(account, item));
    };
    return this.#guarded(item.stanza, item.receipt, step, item.stanza.kind === 'iq' ? item.sent?.session : undefined);
  }

  overflowed(session: Session): void {
    session.stream?.closeWithError(this.#options.overflowError());
    this.#options.table.end(session);
  }

  /**
   * Hands a stanza to one session in its place among the account's deliveries, and behind a flush if messages of its
   * sender wait there (RFC 6120 10.1). Deviation: with very much ahead it goes at once, for what is held is held in memory.
   */
  deliverTo(session: Session, stanza: Stanza): void {
    const { account } = session;
    const isLate = stanza.from !== undefined && account.isLate(stanza.from.bare);
    if ((account.deliveriesAhead === 0 && !isLate) || account.isHoldingEnough) this.#deliverNow(session, stanza);
    else {
      const deliver = (): void => this.#deliverNow(session, stanza);
      account.enqueue(isLate ? new HeldDelivery(account, deliver) : { isReady: true, deliver });
    }
  }

  /** RFC 6120 8.2.3, RFC 6121 8.5.3.2.3: a request whose recipient has gone meanwhile is answered all the same. */
  #deliverNow(session: Session, stanza: Stanza): void {
    if (session.deliver(stanza) || stanza.kind !== 'iq') return;
    this.answer(stanza, new StanzaError('service-unavailable'));
  }

  // Sending side

  #dispatch(session: Session, screened: Stanza, receipt: Receipt | undefined): void | Promise<void> {
    const { pipeline } = this.#options;
    if (isOfPresence(screened) && !session.account.sessions.includes(session)) {
      // RFC 6121 4.5.2, 4.6.3: it has become unavailable already, and nobody would ever take back what came behind that
      receipt?.settle();
      return;
    }
    let stanza = amend(pipeline.amendSent, screened, session);
    switch (stanza.kind) {
      case 'presence':
        return this.#dispatchPresence(session, stanza, receipt);
      case 'message':
        stanza = this.#withoutForgeries(stanza);
        // RFC 6120 10.3.1: a message without an address is for the sender's own bare JID
        if (stanza.to === undefined) stanza = stanza.withHeader({ to: session.account.jid });
        return this.#sendMessage(session, stanza, receipt);
      case 'iq':
        // RFC 6120 10.3.3: so is an IQ
        if (stanza.to === undefined) stanza = stanza.withHeader({ to: session.account.jid });
        if (stanza.to!.full !== session.account.jid.full) this.route(stanza, receipt);
        else this.#receiveLocally(session.account, { stanza, receipt, sent: { session, stanza } });
        return;
    }
  }

  /** A message to an account of ours is recorded on both sides by the recipient's; what goes elsewhere, by the sender's. */
  #sendMessage(session: Session, stanza: Stanza, receipt: Receipt | undefined): void | Promise<void> {
    const to = stanza.to!;
    const sent = { session, stanza };
    if (!this.isLocalDomain(to.domain)) {
      receipt?.measured?.reached('routed');
      return this.#options.acceptance.acceptSent(sent, receipt, {
        depart: () => this.#routeElsewhere(stanza, receipt),
        reserve: () => this.#reserveElsewhere(stanza, receipt),
      });
    }
    if (to.local === '') this.#receiveAtServer({ stanza, receipt });
    else this.#receiveLocally(this.#options.table.account(to), { stanza, receipt, sent });
  }

  #dispatchPresence(session: Session, stanza: Stanza, receipt: Receipt | undefined): void | Promise<void> {
    const kind = sentPresenceKind(stanza);
    if (kind === undefined) {
      // RFC 6121 4.7.1: presence errors go where they are addressed; other types are unknown
      if (!isKnownPresence(stanza)) throw UNKNOWN_PRESENCE;
      if (stanza.to !== undefined) this.route(stanza, receipt);
      else receipt?.settle();
      return;
    }
    const handler = this.#options.pipeline.presenceSent.get(kind);
    if (handler === undefined) throw new StanzaError('feature-not-implemented');
    const pending = handler(stanza, session);
    if (pending === undefined) receipt?.settle();
    else return pending.then(() => receipt?.settle());
  }

  // Receiving side

  #receiveScreened(account: Account, item: Inbound): void | Promise<void> {
    const stanza = amend(this.#options.pipeline.amendReceived, item.stanza, account);
    switch (stanza.kind) {
      case 'message':
        item.receipt?.measured?.reached('routed');
        return this.#options.acceptance.accept(account, {
          // What comes from elsewhere has not been looked at yet.
          stanza: item.sent === undefined ? this.#withoutForgeries(stanza) : stanza,
          receipt: item.receipt,
          sent: item.sent,
        });
      case 'presence':
        return this.#receivePresence(account, stanza, item.receipt);
      case 'iq':
        this.#receiveIq(account, stanza, item.receipt, item.sent?.session);
    }
  }

  /** Behind a store that stalls, what arrives for an account gathers: not without a bound. */
  #receiveLocally(account: Account, item: Inbound): void {
    if (account.received.waiting < MAX_RECEIVED_WAITING) account.received.put(item);
    else
      this.answer(
        item.stanza,
        new StanzaError('resource-constraint', 'Too much waits for the recipient', 'wait'),
        item.receipt,
      );
  }

  /** RFC 6121 8.5.1, and wherever it leaves a choice just as for an account that does not know the sender (RFC 6120 13.11). */
  #receiveForNobody({ stanza, receipt }: Inbound): void {
    if (stanza.kind === 'iq' || (stanza.kind === 'message' && isRefusedToStrangers(stanza))) {
      throw new StanzaError('service-unavailable');
    }
    // 8.5.1 (b), 4.3.2 rule 1
    if (isProbe(stanza)) {
      const header = { from: stanza.to!.toBare(), to: stanza.from!.toBare(), id: stanza.id, type: 'unsubscribed' };
      this.route(Stanza.create('presence', header));
    }
    if (stanza.kind === 'message') this.#options.counters.messages.dropped++;
    receipt?.settle();
  }

  #receivePresence(account: Account, stanza: Stanza, receipt: Receipt | undefined): void | Promise<void> {
    const type = stanza.type;
    if (type === undefined || type === 'unavailable' || type === 'error') {
      this.#deliverPresence(account, stanza);
      receipt?.settle();
      return;
    }
    const handler = this.#options.pipeline.presenceReceived.get(type as ReceivedPresence);
    const pending = handler?.(stanza, account);
    if (pending === undefined) receipt?.settle();
    else return pending.then(() => receipt?.settle());
  }

  #deliverPresence(account: Account, stanza: Stanza): void {
    const to = stanza.to!;
    if (!to.isBare) {
      // RFC 6121 8.5.3.1, 8.5.3.2.2
      const session = account.session(to.full);
      if (session !== undefined) this.deliverTo(session, stanza);
      return;
    }
    // RFC 6121 8.5.2.1.2, 8.5.2.2.2
    for (const session of account.sessions) if (session.isAvailable) this.deliverTo(session, stanza);
  }

  /** @param session the one it comes from, where that is of the same account */
  #receiveIq(account: Account, stanza: Stanza, receipt: Receipt | undefined, session: Session | undefined): void {
    const to = stanza.to!;
    if (!to.isBare) {
      const session = account.session(to.full);
      // RFC 6121 8.5.3.2.3
      if (session === undefined) throw new StanzaError('service-unavailable');
      this.deliverTo(session, stanza);
      receipt?.settle();
      return;
    }
    // RFC 6121 8.5.2.1.3: the server answers on behalf of the account
    if (stanza.type !== 'get' && stanza.type !== 'set') {
      this.#options.pending.answer(stanza);
      receipt?.settle();
      return;
    }
    // RFC 6120 13.11: a stranger is told the same as where there is no account, whatever the request looks like
    if (session === undefined && stanza.children.length !== 1) throw new StanzaError('service-unavailable');
    const child = requestPayload(stanza);
    const from = stanza.from!;
    const delegated = this.#options.iq.delegated(stanza, child);
    if (delegated !== undefined) {
      receipt?.settle(); // somebody else has it, who may take a minute to answer
      this.#answerRequest(stanza, undefined, delegated, session);
      return;
    }
    if (session !== undefined) {
      const own = this.#options.iq.find('self', stanza.type, child.namespace, child.name);
      if (own !== undefined) {
        const request = (): SelfIqRequest => ({ stanza, payload: stanza.parse(child), from, account, session });
        this.#answerRequest(stanza, receipt, () => own(request()), session);
        return;
      }
    }
    const handler = this.#options.iq.find('account', stanza.type, child.namespace, child.name);
    if (handler === undefined) throw new StanzaError('service-unavailable');
    this.#answerRequest(
      stanza,
      receipt,
      () => handler({ stanza, payload: stanza.parse(child), from, account }),
      session,
    );
  }

  /** RFC 6120 10.5.1 and 10.5.2: the server itself. */
  #receiveAtServer({ stanza, receipt }: Inbound): void {
    void this.#guarded(stanza, receipt, () => {
      if (stanza.kind === 'presence' || (stanza.kind === 'iq' && stanza.type !== 'get' && stanza.type !== 'set')) {
        if (stanza.kind === 'iq') this.#options.pending.answer(stanza);
        receipt?.settle();
        return;
      }
      if (stanza.kind === 'message' || !stanza.to!.isBare) throw new StanzaError('service-unavailable');
      const child = requestPayload(stanza);
      const delegated = this.#options.iq.delegated(stanza, child);
      if (delegated !== undefined) {
        receipt?.settle(); // as above
        this.#answerRequest(stanza, undefined, delegated);
        return;
      }
      const handler = this.#options.iq.find('server', stanza.type!, child.namespace, child.name);
      if (handler === undefined) throw new StanzaError('service-unavailable');
      const from = stanza.from!;
      this.#answerRequest(stanza, receipt, () => handler({ stanza, payload: stanza.parse(child), from }));
    });
  }

  /**
   * Requests start in order; an answer that takes its time holds up nobody.
   * @param session answered in its place among what it is delivered, so that a roster never overtakes, or falls behind, a
   *   push; and nobody else, should it end before. Undefined where the answer is routed.
   */
  #answerRequest(
    stanza: Stanza,
    receipt: Receipt | undefined,
    handle: () => Element | void | Promise<Element | void>,
    session?: Session,
  ): void {
    const reply = (answer: Element | void): void => {
      const result = stanza.reply('result', answer === undefined ? [] : [answer]);
      if (session === undefined) this.route(result);
      else this.deliverTo(session, result);
      receipt?.settle();
    };
    const answer = handle();
    if (answer instanceof Promise) {
      answer.then(reply).catch((error: unknown) => this.answer(stanza, error, receipt, session));
    } else reply(answer);
  }

  /** Nothing thrown below leaves here: a StanzaError is an answer, anything else a bug that harms only this stanza. */
  #guarded(
    stanza: Stanza,
    receipt: Receipt | undefined,
    step: () => void | Promise<void>,
    session?: Session,
  ): void | Promise<void> {
    try {
      const pending = step();
      return pending?.catch((error: unknown) => this.answer(stanza, error, receipt, session));
    } catch (error) {
      this.answer(stanza, error, receipt, session);
    }
  }

  #reportBug(stanza: Stanza, error: unknown): StanzaError {
    const facts = { kind: stanza.kind, id: stanza.id, from: stanza.from?.full, to: stanza.to?.full };
    if (error instanceof StoreError) {
      this.#options.log.error({ ...facts, code: error.code, error: error.message }, 'the store does not answer');
      return STORE_FAILED;
    }
    this.#options.counters.stanzaFaults++;
    const stack = error instanceof Error ? error.stack : String(error);
    this.#options.log.error({ ...facts, error: stack }, 'handling a stanza failed');
    return new StanzaError('internal-server-error');
  }

  /** Removes numbers and archive ids that claim to be of ours, before ours are written. */
  #withoutForgeries(message: Stanza): Stanza {
    const isOurs = (by: string): boolean => this.#isOurs(by);
    return withoutForgedIds(withoutForgedSequence(message, isOurs), isOurs);
  }

  #isOurs(domain: string): boolean {
    const jid: Jid | undefined = tryParseJid(domain);
    return jid !== undefined && this.#options.domains.has(jid.domain);
  }
}

const MAX_RECEIVED_WAITING = 10_000;

/** No defect of ours: the sender may try again. */
const STORE_FAILED = new StanzaError('resource-constraint', 'The store does not answer at the moment', 'wait');

/** Nothing is known of the account: the sender may try again, so that nobody is told of an absence that is none. */
const UNREADABLE = new StanzaError('resource-constraint', 'The account cannot be read at the moment', 'wait');

const UNKNOWN_PRESENCE = new StanzaError('bad-request', 'Unknown type of presence');

/** RFC 6120 8.3.1 rule 8, and an IQ result is no question either. */
function mayAnswer(stanza: Stanza): boolean {
  if (stanza.type === 'error') return false;
  return stanza.kind !== 'iq' || stanza.type !== 'result';
}

/** RFC 6120 8.2.3 rule 5: exactly one child. */
function requestPayload(stanza: Stanza): NonNullable<Stanza['payload']> {
  const [child, ...more] = stanza.children;
  if (child === undefined || more.length > 0) throw new StanzaError('bad-request', 'A request has exactly one child');
  return child;
}
