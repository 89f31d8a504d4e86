import type { Stanza } from '../../stanzas/stanza.ts';
import { StanzaError } from '../../stanzas/stanza-error.ts';
import type { StreamError } from '../../stanzas/stream-error.ts';
import type { Log } from '../log.ts';
import type { Counters } from '../metrics/counters.ts';
import type { Acceptance } from './acceptance.ts';
import type { Account, AccountEvents, Inbound, Outbound, SentStanza } from './account.ts';
import { ErrorReplies } from './error-replies.ts';
import { withoutForgeries } from './forged-ids.ts';
import type { IqTable } from './iq-table.ts';
import { LocalUsers } from './local-users.ts';
import type { PendingRequests } from './pending-requests.ts';
import { amend, runScreens, type Pipeline } from './pipeline.ts';
import { isKnownPresence, isOfPresence, sentPresenceKind, UNKNOWN_PRESENCE } from './presence-kinds.ts';
import type { Receipt } from './receipt.ts';
import type { Replaced, ReturnedErrors } from './returned-errors.ts';
import { Requests } from './requests.ts';
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
  readonly returned: ReturnedErrors;
  readonly pending: PendingRequests;
  readonly log: Log;
  readonly counters: Counters;
  /** Ends the session's stream because its client reads too slowly. */
  readonly overflowError: () => StreamError;
}

/**
 * Where every stanza goes (RFC 6120 10): from a session through its account's *sent* mailbox to whoever claims the address,
 * be it an account of ours (local-users.ts), the server itself (requests.ts), a service or another server.
 */
export class Router implements AccountEvents {
  readonly #options: RouterOptions;
  readonly #services = new Map<string, Destination>();
  #remote: Destination | undefined;
  readonly #errors: ErrorReplies;
  readonly #requests: Requests;
  readonly #localUsers: LocalUsers;

  constructor(options: RouterOptions) {
    const { domains, table, pipeline, acceptance, iq, pending, log, counters } = options;
    const errors = new ErrorReplies(this, log, counters);
    const requests = new Requests({ path: this, errors, iq, pending });
    const route = (stanza: Stanza): void => this.route(stanza);
    this.#options = options;
    this.#errors = errors;
    this.#requests = requests;
    this.#localUsers = new LocalUsers({ domains, table, pipeline, acceptance, requests, errors, counters, route });
    table.setEvents(this);
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
      else this.#localUsers.put(this.#options.table.account(to), { stanza, receipt });
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
    if (service !== undefined) void this.#errors.guard(stanza, receipt, () => service.receive({ stanza, receipt }));
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
    this.#errors.answer(stanza, error, receipt, to);
  }

  /** Answers with an error what was acknowledged to its sender, who hears of it though away now, and after a crash. */
  giveBack(stanza: Stanza, error: StanzaError, replaced: Replaced): void {
    this.#options.returned.give(stanza, error, replaced);
  }

  /**
   * Hands a stanza to one session in its place among the account's deliveries, and behind a flush if messages of its
   * sender wait there (RFC 6120 10.1). Deviation: with very much ahead it goes at once, for what is held is held in memory.
   */
  deliverTo(session: Session, stanza: Stanza): void {
    this.#localUsers.deliverTo(session, stanza);
  }

  /** XEP-0280 8: the sender's other clients see what was sent whatever becomes of it. */
  showRefused(sent: SentStanza): void {
    this.#options.acceptance.copySent(sent);
  }

  // AccountEvents

  /**
   * Steps 3 to 5 for one stanza of a session. Never throws. As ErrorReplies.guard, without its closures: here and in
   * local-users.ts they took, with a few look-ups in sets, a tenth of what a message costs.
   */
  readonly sent = (item: Outbound): void | Promise<void> => {
    const { stanza, receipt } = item;
    try {
      return this.#screen(item)?.catch((error: unknown) => this.answer(stanza, error, receipt));
    } catch (error) {
      this.answer(stanza, error, receipt);
    }
  };

  receive(account: Account, item: Inbound): void | Promise<void> {
    const { stanza, returned } = item;
    if (returned !== undefined) return this.#options.returned.receive(account, stanza, returned);
    return this.#localUsers.receive(account, item);
  }

  overflowed(session: Session): void {
    session.stream?.closeWithError(this.#options.overflowError());
    this.#options.table.end(session);
  }

  // Sending side

  #screen({ session, stanza, receipt }: Outbound): void | Promise<void> {
    const screening = runScreens(this.#options.pipeline.screenSent, stanza, session);
    if (screening === undefined) return this.#dispatch(session, stanza, receipt);
    return screening.then(() => this.#dispatch(session, stanza, receipt));
  }

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
        stanza = withoutForgeries(stanza, this.#options.domains);
        // RFC 6120 10.3.1: a message without an address is for the sender's own bare JID
        if (stanza.to === undefined) stanza = stanza.withHeader({ to: session.account.jid });
        return this.#sendMessage(session, stanza, receipt);
      case 'iq':
        // RFC 6120 10.3.3: so is an IQ
        if (stanza.to === undefined) stanza = stanza.withHeader({ to: session.account.jid });
        if (stanza.to!.full !== session.account.jid.full) this.route(stanza, receipt);
        else this.#localUsers.put(session.account, { stanza, receipt, sent: { session, stanza } });
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
    else this.#localUsers.put(this.#options.table.account(to), { stanza, receipt, sent });
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

  #receiveAtServer(item: Inbound): void {
    void this.#errors.guard(item.stanza, item.receipt, () => this.#requests.receiveAtServer(item));
  }
}
