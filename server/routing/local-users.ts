import { Stanza } from '../../stanzas/stanza.ts';
import { StanzaError } from '../../stanzas/stanza-error.ts';
import type { Counters } from '../metrics/counters.ts';
import type { Acceptance } from './acceptance.ts';
import type { Account, Inbound } from './account.ts';
import { HeldDelivery } from './deliveries.ts';
import { isRefusedToStrangers } from './delivery.ts';
import type { ErrorReplies } from './error-replies.ts';
import { withoutForgeries } from './forged-ids.ts';
import { amend, runScreens, type Pipeline, type ReceivedPresence } from './pipeline.ts';
import { isKnownPresence, isProbe, UNKNOWN_PRESENCE } from './presence-kinds.ts';
import type { Receipt } from './receipt.ts';
import type { Requests } from './requests.ts';
import type { Session } from './session.ts';
import type { SessionTable } from './session-table.ts';

export interface LocalUsersOptions {
  readonly domains: ReadonlySet<string>;
  readonly table: SessionTable;
  readonly pipeline: Pipeline;
  readonly acceptance: Acceptance;
  readonly requests: Requests;
  readonly errors: ErrorReplies;
  readonly counters: Counters;
  /** Sends an answer on its way. */
  route(stanza: Stanza): void;
}

/** What becomes of a stanza to an account of ours (RFC 6121 8.5), from its *received* mailbox to its sessions. */
export class LocalUsers {
  readonly #options: LocalUsersOptions;

  constructor(options: LocalUsersOptions) {
    this.#options = options;
  }

  /** Puts a stanza into the account's mailbox. Behind a store that stalls, what arrives gathers there: not without a bound. */
  put(account: Account, item: Inbound): void {
    if (account.received.waiting < MAX_RECEIVED_WAITING) account.received.put(item);
    else
      this.#options.errors.answer(
        item.stanza,
        new StanzaError('resource-constraint', 'Too much waits for the recipient', 'wait'),
        item.receipt,
      );
  }

  /** Step 6 for one stanza to an account, in its turn. Never throws. As ErrorReplies.guard, without its closures. */
  receive(account: Account, item: Inbound): void | Promise<void> {
    try {
      return this.#screen(account, item)?.catch((error: unknown) => this.#refuse(item, error));
    } catch (error) {
      this.#refuse(item, error);
    }
  }

  #refuse({ stanza, receipt, sent }: Inbound, error: unknown): void {
    const { errors } = this.#options;
    if (stanza.kind === 'message') errors.refuse(stanza, error, receipt, undefined, sent);
    else errors.refuse(stanza, error, receipt, stanza.kind === 'iq' ? sent?.session : undefined);
  }

  #screen(account: Account, item: Inbound): void | Promise<void> {
    const { stanza } = item;
    // RFC 6121 4.7.1; the same wherever it goes, so that it tells nobody anything
    if (stanza.kind === 'presence' && !isKnownPresence(stanza)) throw UNKNOWN_PRESENCE;
    // RFC 6121 4.3.2: to a subscriber, "unsubscribed" would end for good what is only suspended
    const isAsIfAbsent = account.state === 'disabled' && !isProbe(stanza);
    if (account.state === 'absent' || isAsIfAbsent) {
      this.#receiveForNobody(item);
      return;
    }
    if (account.state === 'unreadable') throw UNREADABLE;
    const screening = runScreens(this.#options.pipeline.screenReceived, stanza, account);
    if (screening === undefined) return this.#receiveScreened(account, item);
    return screening.then(() => this.#receiveScreened(account, item));
  }

  /** As Router.deliverTo. */
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
    this.#options.errors.answer(stanza, new StanzaError('service-unavailable'));
  }

  /** RFC 6121 8.5.1, and wherever it leaves a choice just as for an account that does not know the sender (RFC 6120 13.11). */
  #receiveForNobody({ stanza, receipt, sent }: Inbound): void {
    if (stanza.kind === 'iq' || (stanza.kind === 'message' && isRefusedToStrangers(stanza))) {
      throw new StanzaError('service-unavailable');
    }
    // 8.5.1 (b), 4.3.2 rule 1
    if (isProbe(stanza)) {
      const header = { from: stanza.to!.toBare(), to: stanza.from!.toBare(), id: stanza.id, type: 'unsubscribed' };
      this.#options.route(Stanza.create('presence', header));
    }
    if (stanza.kind === 'message') {
      this.#options.counters.messages.dropped++;
      if (sent !== undefined) this.#options.acceptance.copySent(sent);
    }
    receipt?.settle();
  }

  #receiveScreened(account: Account, item: Inbound): void | Promise<void> {
    const { pipeline, acceptance, domains } = this.#options;
    const stanza = amend(pipeline.amendReceived, item.stanza, account);
    switch (stanza.kind) {
      case 'message':
        item.receipt?.measured?.reached('routed');
        return acceptance.accept(account, {
          // What comes from elsewhere has not been looked at yet.
          stanza: item.sent === undefined ? withoutForgeries(stanza, domains) : stanza,
          receipt: item.receipt,
          sent: item.sent,
        });
      case 'presence':
        return this.#receivePresence(account, stanza, item.receipt);
      case 'iq':
        this.#receiveIq(account, stanza, item.receipt, item.sent?.session);
    }
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

  /** @param from the session it comes from, where that is of the same account */
  #receiveIq(account: Account, stanza: Stanza, receipt: Receipt | undefined, from: Session | undefined): void {
    const to = stanza.to!;
    if (to.isBare) {
      // RFC 6121 8.5.2.1.3: the server answers on behalf of the account
      this.#options.requests.receiveForAccount(account, stanza, receipt, from);
      return;
    }
    const session = account.session(to.full);
    // RFC 6121 8.5.3.2.3
    if (session === undefined) throw new StanzaError('service-unavailable');
    this.deliverTo(session, stanza);
    receipt?.settle();
  }
}

const MAX_RECEIVED_WAITING = 10_000;

/** Nothing is known of the account: the sender may try again, so that nobody is told of an absence that is none. */
const UNREADABLE = new StanzaError('resource-constraint', 'The account cannot be read at the moment', 'wait');
