import type { Jid } from '../../stanzas/jid.ts';
import { keepingOf } from '../../stanzas/processing-hints.ts';
import { NS } from '../../stanzas/namespaces.ts';
import { messageType, type Stanza } from '../../stanzas/stanza.ts';
import { StanzaError } from '../../stanzas/stanza-error.ts';
import type { StoreError } from '../../storage/ordered-store.ts';
import type { SendKey } from '../../storage/send-keys.ts';
import type { Account, Inbound, SentStanza } from './account.ts';
import { Deliveries, HeldDelivery } from './deliveries.ts';
import { messageFate, type MessageFate } from './delivery.ts';
import { mayComeBack } from './returned-errors.ts';
import { chatOf, type RecordedPlace, type Recorder } from './recorder.ts';
import type { Repeats } from './repeats.ts';
import type { MessageDelivery } from './message-delivery.ts';
import { Departure, ReceivedMessage, SentMessage, type RecordedOutcome } from './recorded-message.ts';
import type { Receipt } from './receipt.ts';
import type { Session } from './session.ts';
import type { Log } from '../log.ts';
import type { Counters } from '../metrics/counters.ts';

export interface AcceptanceOptions {
  readonly recorder: Recorder;
  readonly repeats: Repeats;
  readonly delivery: MessageDelivery;
  readonly log: Log;
  readonly counters: Counters;
  /** DESIGN: `off` means that a message to an online session is neither stored nor numbered. */
  readonly history: boolean;
  readonly maxOfflineMessages: number;
  readonly maxOfflineBytes: number;
  /** How much may come back to an account and wait besides that; with more it sends nothing elsewhere. */
  readonly maxReturnedMessages: number;
  readonly maxReturnedBytes: number;
  /** The object that now stands for an account; perhaps another one than when it sent something. */
  currentAccount(account: Account): Account;
  isLocalDomain(domain: string): boolean;
  /** Sends an error back to the sender of a stanza that was accepted for processing and could not be kept. */
  refuse(stanza: Stanza, error: unknown): void;
}

/**
 * Accepts messages for an account: stamp, record, deliver (docs/architecture.md, steps 7 to 9). A message that is kept is
 * delivered, and its sender's receipt settled, only when it has been committed: who is told *accepted* can rely on it.
 */
export class Acceptance implements RecordedOutcome {
  readonly #options: AcceptanceOptions;

  constructor(options: AcceptanceOptions) {
    this.#options = options;
  }

  /** Takes a message. Throws StanzaError where RFC 6121 8.5 or the account's limits refuse it. */
  accept(account: Account, inbound: Inbound): void | Promise<void> {
    const { stanza, receipt, sent } = inbound;
    const fate = messageFate(messageType(stanza), stanza.to!, account.sessions);
    if (fate.kind === 'refuse') throw new StanzaError('service-unavailable');
    if (fate.kind === 'ignore') {
      this.#ignore(account, inbound);
      receipt?.settle();
      return;
    }
    const keeping = keepingOf(stanza);
    if (keeping === 'never') {
      this.#pass(account, inbound, fate);
      return;
    }
    const waits = account.isFlushing || account.pending.waitingCount > 0;
    // Without history a message is recorded only where it has to wait: for somebody, or behind others.
    if (!this.#options.history && fate.kind === 'deliver' && !waits && account.deliveriesAhead === 0) {
      this.#deliverNow(account, inbound);
      return;
    }
    const isForeign = !this.#options.isLocalDomain(stanza.from!.domain);
    const chat = chatOf(account, stanza, stanza.from!, isForeign);
    const sender = sent === undefined ? undefined : this.#options.currentAccount(sent.session.account);
    const message: Recordable = {
      chat: keeping === 'archive' ? chat : undefined,
      sender,
      absent: sent === undefined && !isForeign && stanza.from!.local !== '' ? stanza.from : undefined,
      key: sent === undefined ? undefined : this.#options.repeats.keyOf(sent, chat),
    };
    const mayWait = fate.kind === 'store' || waits;
    // The usual case without a closure, which would be one for every message on its way.
    const pending = this.#prepare(message);
    if (pending === undefined && !this.#mayBeRepeat(message)) this.#recordReceived(account, inbound, message, mayWait);
    else return this.#onceReceived(account, inbound, message, mayWait, pending);
  }

  /**
   * Takes a message that a session sends elsewhere; it is handed over behind the commit of what was recorded of it and in
   * the order of the calls.
   */
  acceptSent(sent: SentStanza, receipt: Receipt | undefined, way: WayElsewhere): void | Promise<void> {
    const { stanza, session } = sent;
    this.#checkReturned(session.account, stanza);
    const keeping = this.#options.history ? keepingOf(stanza) : 'never';
    if (keeping !== 'archive') {
      this.copySent(sent);
      this.departBehind(session.account, way.depart);
      return;
    }
    const sender = this.#options.currentAccount(session.account);
    const chat = chatOf(sender, stanza, stanza.to!, true);
    const message: Recordable = { chat, sender, absent: undefined, key: this.#options.repeats.keyOf(sent, chat) };
    return this.#once(message, receipt, () => this.#recordSent(sender, sent, message, receipt, way));
  }

  /** Hands over what an account sends elsewhere, behind what of it still waits for the disk (RFC 6120 10.1). */
  departBehind(account: Account, depart: () => void): void {
    if (account.departures === undefined || account.departures.ahead === 0) depart();
    else account.departures.put({ isReady: true, deliver: depart });
  }

  /** Shows the sender's other sessions a message that is not recorded, in its place among what they receive (XEP-0280 8). */
  copySent(sent: SentStanza): void {
    const { account } = sent.session;
    if (!this.#options.delivery.mayCopySent(account, sent) || account.isHoldingEnough) return;
    account.enqueue(new HeldDelivery(account, () => this.#options.delivery.copySent(account, sent, undefined)));
  }

  /** As MessageDelivery.takeBack. */
  takeBack(session: Session): void {
    this.#options.delivery.takeBack(session);
  }

  /** As MessageDelivery.clearArchived. */
  clearArchived(account: Account, upTo: number): Promise<void> {
    return this.#options.delivery.clearArchived(account, upTo);
  }

  /** As MessageDelivery.flush. */
  flush(account: Account): void {
    this.#options.delivery.flush(account);
  }

  #onceReceived(
    account: Account,
    inbound: Inbound,
    message: Recordable,
    mayWait: boolean,
    pending: Promise<void> | undefined,
  ): Promise<void> {
    const record = (): void => this.#recordReceived(account, inbound, message, mayWait);
    return this.#onceKnown(message, inbound.receipt, pending, record);
  }

  #recordReceived(account: Account, inbound: Inbound, message: Recordable, mayWait: boolean): void {
    // Disabled or removed while the chat's number was read: what is written now would outlive the account.
    if (account.state !== 'present') throw new StanzaError('service-unavailable');
    // Only now: a message that was kept already is not refused when it is sent again.
    if (mayWait) this.#checkRoom(account, inbound.stanza);
    this.#record(account, inbound, message);
  }

  /** Records a message unless its client has sent it before: then it has its place, and is acknowledged again. */
  #once(message: Recordable, receipt: Receipt | undefined, record: () => void): void | Promise<void> {
    const pending = this.#prepare(message);
    if (pending === undefined && !this.#mayBeRepeat(message)) record();
    else return this.#onceKnown(message, receipt, pending, record);
  }

  async #onceKnown(
    message: Recordable,
    receipt: Receipt | undefined,
    pending: Promise<void> | undefined,
    record: () => void,
  ): Promise<void> {
    await pending;
    await this.#prepared(message);
    const { sender, key } = message;
    if (this.#mayBeRepeat(message) && sender !== undefined && key !== undefined) {
      if (await this.#options.repeats.isRepeat(sender, key)) {
        await this.#options.repeats.seenAgain(sender, key);
        this.#options.counters.messages.repeated++;
        receipt?.settle();
        return;
      }
      await this.#prepared(message);
    }
    record();
  }

  #prepare({ chat, sender }: Recordable): Promise<void> | undefined {
    const numbers = this.#options.recorder.prepare(chat, sender);
    return numbers ?? (sender === undefined ? undefined : this.#options.repeats.prepare(sender));
  }

  /** What was prepared may have been forgotten again, for instance because a batch was refused. */
  async #prepared(message: Recordable): Promise<void> {
    for (let pending = this.#prepare(message); pending !== undefined; pending = this.#prepare(message)) await pending;
  }

  #mayBeRepeat({ sender, key }: Recordable): boolean {
    return sender !== undefined && key !== undefined && this.#options.repeats.mayKnow(sender, key);
  }

  /** A message that is delivered soon or never. It does not overtake those that wait for the disk. */
  #pass(account: Account, { stanza, receipt, sent }: Inbound, fate: MessageFate<Session>): void {
    const hasBody = stanza.hasChild('body', NS.CLIENT);
    if (fate.kind === 'store') {
      // XEP-0160 3: chat states are dropped without a word; a message with a body must not vanish.
      if (hasBody) throw new StanzaError('service-unavailable');
      if (sent !== undefined) this.copySent(sent);
      this.#options.counters.messages.dropped++;
      receipt?.settle();
      return;
    }
    if (account.isHoldingEnough) {
      if (hasBody) throw new StanzaError('resource-constraint', 'Too much waits for the recipient', 'wait');
      this.#options.counters.messages.dropped++;
      receipt?.settle();
      return;
    }
    if (sent !== undefined && sent.session.account !== account) this.copySent(sent);
    const { delivery } = this.#options;
    if (account.isFlushing || account.deliveriesAhead > 0) {
      account.enqueue(new HeldDelivery(account, () => delivery.deliverUnrecorded(account, stanza, receipt?.measured)));
    } else delivery.deliverUnrecorded(account, stanza, receipt?.measured);
    // There is nothing to keep, so the sender's count need not wait for a recipient that reads slowly.
    receipt?.settle();
  }

  /** RFC 6121 8.5 lets it go. XEP-0280 7: those who take copies get theirs whatever becomes of the message. */
  #ignore(account: Account, { stanza, sent }: Inbound): void {
    this.#options.counters.messages.dropped++;
    if (sent !== undefined && sent.session.account !== account) this.copySent(sent);
    const { delivery } = this.#options;
    if (account.sessions.length === 0 || account.isHoldingEnough) return;
    account.enqueue(new HeldDelivery(account, () => delivery.copyReceived(account, stanza)));
  }

  /** Nothing is ahead, and somebody is there. */
  #deliverNow(account: Account, { stanza, receipt, sent }: Inbound): void {
    if (sent !== undefined && sent.session.account !== account) this.copySent(sent);
    this.#options.delivery.deliverUnrecorded(account, stanza, receipt?.measured);
    receipt?.settle();
  }

  #checkRoom(account: Account, stanza: Stanza): void {
    const { maxOfflineMessages, maxOfflineBytes } = this.#options;
    const { waitingCount, waitingBytes, returnedCount, returnedBytes } = account.pending;
    // XEP-0160 2, step 3; what is on its way to the disk waits as well. What came back takes nobody's room: see `#checkReturned`
    const ahead = account.deliveriesAhead - account.returnsAhead;
    if (
      waitingCount - returnedCount + ahead >= maxOfflineMessages ||
      waitingBytes - returnedBytes + stanza.size > maxOfflineBytes
    ) {
      throw new StanzaError('service-unavailable', 'The recipient has no room for more messages');
    }
  }

  /** What has come back is never refused, so who takes nothing of it may not send what would come back too. */
  #checkReturned({ pending }: Account, stanza: Stanza): void {
    const { maxReturnedMessages, maxReturnedBytes } = this.#options;
    const isTooMuch = pending.returnedCount >= maxReturnedMessages || pending.returnedBytes >= maxReturnedBytes;
    if (isTooMuch && mayComeBack(stanza)) {
      const text = 'Too much that could not be delivered waits for you: become available to receive it';
      throw new StanzaError('resource-constraint', text, 'wait');
    }
  }

  /** Stamp and record: the number, and the message in the logs of both sides, are one batch. */
  #record(account: Account, { stanza, receipt, sent }: Inbound, { chat, sender, absent, key }: Recordable): void {
    const { recorder, delivery } = this.#options;
    const recording = recorder.begin(chat);
    const entry = recorder.received(recording, account, stanza, account === sender);
    if (absent !== undefined && absent.bare !== account.jid.bare) recorder.unsent(recording, absent, 'origin');
    const message = new ReceivedMessage(this, delivery, account, stanza, receipt, entry);
    account.enqueue(message);
    let ownEntry: RecordedPlace | undefined = entry;
    if (sent !== undefined && sender !== undefined && sender !== account) {
      ownEntry = recorder.sent(recording, sender, sent.stanza);
      message.copy = new SentMessage(delivery, sender, sent, ownEntry);
      message.copy.enqueue();
    }
    this.#remember(sender, ownEntry, key);
    recorder.commit(recording, message);
    receipt?.batched();
  }

  #recordSent(
    sender: Account,
    sent: SentStanza,
    { chat, key }: Recordable,
    receipt: Receipt | undefined,
    way: WayElsewhere,
  ): void {
    const { recorder, delivery } = this.#options;
    const recording = recorder.begin(chat);
    const entry = recorder.sent(recording, sender, sent.stanza);
    const copy = new SentMessage(delivery, sender, sent, entry);
    copy.enqueue();
    sender.departures ??= new Deliveries();
    const reserved = way.reserve();
    // Where a crash may come between record and hand-over, its sender's repeat is all there is of it then.
    if (reserved !== undefined || receipt === undefined) this.#remember(sender, entry, key);
    else if (key !== undefined) this.#options.repeats.rememberOnceTaken(sender, key, receipt);
    const departure = new Departure(this, sender.departures, copy, sent.stanza, receipt, reserved ?? way.depart);
    sender.departures.put(departure);
    recorder.commit(recording, departure);
    if (reserved !== undefined) receipt?.batched();
  }

  #remember(sender: Account | undefined, entry: RecordedPlace | undefined, key: SendKey | undefined): void {
    if (sender === undefined || entry === undefined || key === undefined) return;
    this.#options.repeats.remember(sender, entry.position, key);
  }

  /** The batch was refused, so nobody saw the message and nobody will. */
  refused(stanza: Stanza, error: StoreError): void {
    this.#options.log.error({ code: error.code, error: error.message }, 'a message cannot be stored');
    this.#options.refuse(
      stanza,
      new StanzaError('resource-constraint', 'The server cannot store messages at the moment', 'wait'),
    );
  }
}

/** How a message goes to who is no account of ours. */
export interface WayElsewhere {
  /** Hands it over. */
  readonly depart: () => void;
  /**
   * Keeps it where it goes in the batch that fills, with its record: a crash between the two would lose it, for its sender's
   * repeat is known. What is returned hands it over then; undefined where `depart` does.
   */
  readonly reserve: () => (() => void) | undefined;
}

/** A message between its arrival and its record. */
interface Recordable {
  /** The chat that counts it; undefined for what is not counted. */
  readonly chat: string | undefined;
  /** Its sender, where that is an account of ours. */
  readonly sender: Account | undefined;
  /** Who it comes from where that is one of ours and none of its sessions sends it: it is in the recipient's log alone. */
  readonly absent: Jid | undefined;
  /** By what it would be known when it is sent again. */
  readonly key: SendKey | undefined;
}
