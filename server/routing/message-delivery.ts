import { withDelay } from '../../stanzas/delay.ts';
import { keepingOf } from '../../stanzas/processing-hints.ts';
import { NS } from '../../stanzas/namespaces.ts';
import { messageType, type Stanza } from '../../stanzas/stanza.ts';
import { StanzaError } from '../../stanzas/stanza-error.ts';
import type { LogEntry, LogPlace } from '../../storage/message-log.ts';
import type { Clock } from '../clock.ts';
import type { Log } from '../log.ts';
import type { Counters } from '../metrics/counters.ts';
import type { MeasuredMessage } from '../metrics/message-stages.ts';
import type { Account, SentStanza } from './account.ts';
import type { ArchiveIds } from './archive-ids.ts';
import { messageFate, returnedErrorFate, type MessageFate } from './delivery.ts';
import { LoggedMessage } from './logged-message.ts';
import type { GivenBack } from './pending-messages.ts';
import type { Copy, Pipeline } from './pipeline.ts';
import type { RecordedPlace } from './recorder.ts';
import type { Session } from './session.ts';
import type { Slot } from './slot.ts';
import { readStoredStanza } from './stored-stanza.ts';

export interface MessageDeliveryOptions {
  readonly pipeline: Pick<Pipeline, 'copySent' | 'copyReceived' | 'archived'>;
  readonly archiveIds: ArchiveIds;
  /** Up to which position in the log a session's client takes from the archive what is in it; none where it did not say. */
  readonly archiveMark: Slot<number>;
  readonly clock: Clock;
  readonly log: Log;
  readonly counters: Counters;
  /** Sends an error back to the sender of a stanza that was accepted for processing and could not be kept. */
  refuse(stanza: Stanza, error: unknown): void;
}

/** Hands recorded messages to the sessions of their account: at once, or later in order (XEP-0160), or again. */
export class MessageDelivery {
  readonly #options: MessageDeliveryOptions;

  constructor(options: MessageDeliveryOptions) {
    this.#options = options;
  }

  /** A message that was committed: its turn among the account's deliveries has come. */
  deliver(account: Account, stanza: Stanza, entry: RecordedPlace, measured: MeasuredMessage | undefined): void {
    const { pending } = account;
    const size = entry.stanzaBytes;
    // Behind messages that wait, or with nobody there, it waits too: the flush keeps the order.
    if (account.isFlushing || pending.waitingCount > 0) {
      if (this.#giveAhead(account, stanza, entry)) return;
      pending.addWaiting(entry.position, size, isError(stanza));
      this.#options.counters.messages.stored++;
      account.rememberLate(stanza.from!.bare);
      if (!account.isFlushing) this.flush(account);
      return;
    }
    const fate = fateOf(stanza, account.sessions);
    // A backlog that comes back at once is more than a session may owe: the flush goes by what the client reads.
    if (isError(stanza) && fate.kind === 'deliver' && fate.to.some(({ isBehind }) => isBehind)) {
      pending.addWaiting(entry.position, size, isError(stanza));
      this.#options.counters.messages.stored++;
      this.flush(account);
      return;
    }
    // A client that is away for a moment has its share in memory; more waits in the log until it is back.
    const message = new LoggedMessage(account, stanza, entry, this.#options.archiveIds, entry.archiveId);
    if (fate.kind !== 'deliver' || !fate.to.some(mayTakeMore)) {
      pending.addWaiting(entry.position, size, isError(stanza));
      this.#options.counters.messages.stored++;
      // XEP-0280 7: also who does not take messages to the bare JID sees them. It does not count as delivered.
      const copies = this.#copiesOf(message, []).filter(({ to }) => to.isAvailable && !this.#hasArchived(to, entry));
      for (const { to, stanza: copy } of copies) to.deliver(copy);
      return;
    }
    // A copy counts as delivered: who has seen it on one device is not sent it again on another.
    const to = fate.to.filter((session) => !this.#hasArchived(session, entry));
    const copies = this.#copiesOf(message, fate.to).filter((copy) => !this.#hasArchived(copy.to, entry));
    pending.handOut(entry.position, Math.max(1, to.length + copies.length));
    if (!entry.flags.archived) pending.deleteWhenDone(entry.position);
    this.#options.counters.messages.delivered++;
    if (to.length + copies.length === 0) pending.confirm(entry.position);
    for (const session of to) give(session, addressed(message.stamped, session), entry);
    if (measured !== undefined && to.some(isConnected)) measured.leaves();
    for (const { to, stanza: copy } of copies) give(to, copy, entry);
  }

  /**
   * Where nobody takes what waits, perhaps never, a session that sends all the same hears at once what has come back, as long as
   * it reads: nothing that waits is of use to it.
   */
  #giveAhead(account: Account, stanza: Stanza, entry: RecordedPlace): boolean {
    if (!isError(stanza) || account.isFlushing || hasReader(account)) return false;
    const sender = account.session(stanza.to!.full);
    if (sender === undefined || sender.isBehind) return false;
    account.pending.handOutAhead(entry.position);
    account.pending.deleteWhenDone(entry.position);
    this.#options.counters.messages.delivered++;
    give(sender, stanza, entry);
    return true;
  }

  /** Whether anybody could get a copy of what this session sends. */
  mayCopySent({ sessions }: Account, { session }: SentStanza): boolean {
    return this.#options.pipeline.copySent.length > 0 && sessions.some((other) => other !== session);
  }

  /** Shows the sender's other sessions what one of them has sent. */
  copySent(account: Account, sent: SentStanza, entry: LogPlace | undefined): void {
    if (!this.mayCopySent(account, sent)) return;
    const message = new LoggedMessage(account, sent.stanza, entry, this.#options.archiveIds);
    const seen = [sent.session];
    for (const copier of this.#options.pipeline.copySent) {
      for (const { to, stanza } of copier(message, seen)) if (!this.#hasArchived(to, entry)) to.deliver(stanza);
    }
  }

  /** Shows a message that is delivered to nobody to those who take copies. */
  copyReceived(account: Account, stanza: Stanza): void {
    const message = new LoggedMessage(account, stanza, undefined, this.#options.archiveIds);
    for (const { to, stanza: copy } of this.#copiesOf(message, [])) if (to.isAvailable) to.deliver(copy);
  }

  /** Says that a message is in its account's archive. */
  archived(account: Account, stanza: Stanza, entry: LogPlace): void {
    for (const handler of this.#options.pipeline.archived) handler(account, stanza, entry);
  }

  /** Delivers a message that is not recorded. Nobody may be there any more: then one with a body comes back. */
  deliverUnrecorded(account: Account, stanza: Stanza, measured: MeasuredMessage | undefined): void {
    const fate = messageFate(messageType(stanza), stanza.to!, account.sessions);
    if (fate.kind !== 'deliver') {
      if (fate.kind !== 'ignore' && stanza.hasChild('body', NS.CLIENT)) {
        this.#options.refuse(stanza, new StanzaError('service-unavailable'));
      } else this.#options.counters.messages.dropped++;
      return;
    }
    this.#options.counters.messages.delivered++;
    for (const session of fate.to) session.deliver(stanza);
    if (measured !== undefined && fate.to.some(isConnected)) measured.leaves();
    const message = new LoggedMessage(account, stanza, undefined, this.#options.archiveIds);
    for (const { to, stanza: copy } of this.#copiesOf(message, fate.to)) to.deliver(copy);
  }

  /**
   * Takes back what a session that ended was given and has perhaps not received (XEP-0198 5, RFC 6121 8.5): recorded
   * messages wait again or go to another session, the others are accepted anew.
   */
  takeBack(session: Session): void {
    const { account } = session;
    const unconfirmed = session.takeUnconfirmed();
    const recorded: GivenBack[] = [];
    for (const { stanza, position } of unconfirmed) {
      if (position !== undefined) recorded.push(givenBack(stanza, position));
    }
    account.pending.takeBack(recorded);
    for (const { stanza, position } of unconfirmed) {
      if (position !== undefined || stanza.type === 'error') continue;
      if (stanza.kind === 'message' && keepingOf(stanza) !== 'never') {
        account.received.put({ stanza: stanza.withHeader({ to: account.jid }), receipt: undefined });
      } else if (stanza.kind === 'iq' && stanza.type !== 'result') {
        this.#options.refuse(stanza, new StanzaError('service-unavailable'));
      }
    }
    this.flush(account);
  }

  /**
   * A client that is about to begin a session takes from the archive what is in it up to this position (XEP-0386): what
   * waits of that is cleared, unless another session is there to take it. Rejects with StoreError.
   */
  async clearArchived({ sessions, pending }: Account, upTo: number): Promise<void> {
    if (sessions.every(({ priority = -1 }) => priority < 0)) await pending.clearArchived(upTo);
  }

  #hasArchived(session: Session, entry: LogPlace | undefined): boolean {
    if (entry?.flags.archived !== true) return false;
    return entry.position <= (this.#options.archiveMark.peek(session) ?? 0);
  }

  /**
   * Delivers what waits to whoever may have it now (XEP-0160), in order, before any live message. Yields to a client that
   * reads slowly by waiting until it has caught up.
   */
  flush(account: Account): void {
    if (account.isFlushing || account.pending.waitingCount === 0 || !hasReader(account)) return;
    account.isFlushing = true;
    void this.#flush(account).then((isDone) => {
      account.endFlush();
      // A message may have been committed between the last page and now.
      if (isDone) this.flush(account);
    });
  }

  /** Returns false if it had to give up. */
  async #flush(account: Account): Promise<boolean> {
    const { log } = this.#options;
    const { pending } = account;
    try {
      while (hasReader(account)) {
        const page = await pending.nextWaiting();
        if (page === undefined) return true;
        for (const entry of page.entries) {
          // A session ended, perhaps by reading too slowly: what it gave back comes first.
          if (!pending.isCurrent(page) || slowReaders(account).length > 0) break;
          const fate = this.#fateOfStored(account, entry);
          if (fate === undefined) return true;
          const { message } = fate;
          const to = fate.to.filter((session) => !this.#hasArchived(session, entry));
          // Who is available and takes no messages to the bare JID had its copy when the message came.
          const copies = (message === undefined ? [] : this.#copiesOf(message, fate.to)).filter(
            (copy) => (copy.to.priority ?? 0) >= 0 && !this.#hasArchived(copy.to, entry),
          );
          const isReturned = message !== undefined && isError(message.stamped);
          const holders = Math.max(1, to.length + copies.length);
          pending.handOutWaiting(entry.position, entry.stanza.length, holders, isReturned);
          if (!entry.flags.archived) pending.deleteWhenDone(entry.position);
          if (to.length + copies.length === 0) pending.confirm(entry.position);
          if (message !== undefined) {
            const { stamped } = message;
            // An error says nothing that has a time: the message that it answers has.
            const stanza = isError(stamped) ? stamped : withDelay(stamped, account.jid.domain, entry.position);
            for (const session of to) give(session, addressed(stanza, session), entry);
            this.#options.counters.messages.deliveredLate++;
          }
          for (const copy of copies) give(copy.to, copy.stanza, entry);
        }
        await this.#waitForSlowReaders(account);
      }
      return true;
    } catch (error) {
      log.error({ account: account.jid.bare, error: String(error) }, 'waiting messages cannot be delivered');
      return false;
    }
  }

  /** One who takes nothing for long must not keep the account's other devices, and their senders, waiting. */
  async #waitForSlowReaders(account: Account): Promise<void> {
    const { clock } = this.#options;
    let least = Infinity;
    let since = clock.monotonic();
    for (let slow = slowReaders(account); slow.length > 0; slow = slowReaders(account)) {
      const left = slow.reduce((sum, { unconfirmedCount }) => sum + unconfirmedCount, 0);
      if (left < least) {
        least = left;
        since = clock.monotonic();
      } else if (clock.monotonic() - since > STUCK_MS) {
        for (const session of slow) account.overflowed(session);
        return;
      }
      await new Promise<void>((resolve) => void clock.schedule(BEHIND_POLL_MS, resolve));
    }
  }

  /** The message and who gets it late; undefined when it must go on waiting. */
  #fateOfStored(account: Account, entry: LogEntry): FateOfStored | undefined {
    const stored = this.#read(entry);
    // An entry that cannot be read is passed over rather than standing before all that come later.
    if (stored === undefined) return { message: undefined, to: [] };
    const message = new LoggedMessage(account, stored, entry, this.#options.archiveIds);
    const fate = fateOf(stored, account.sessions);
    switch (fate.kind) {
      case 'deliver':
        return { message, to: fate.to };
      case 'store':
        return undefined;
      case 'refuse':
      case 'ignore': {
        // A message to a full JID whose resource has gone meanwhile: it was accepted, so it goes to the others.
        const bare = messageFate('chat', account.jid, account.sessions);
        return bare.kind === 'deliver' ? { message, to: bare.to } : undefined;
      }
    }
  }

  /** What the modules copy to further sessions, each at most once. */
  #copiesOf(message: LoggedMessage, receivers: readonly Session[]): readonly Copy[] {
    const { copyReceived } = this.#options.pipeline;
    // The usual case: nobody else is there.
    if (copyReceived.length === 0 || message.account.sessions.length <= receivers.length) return NO_COPIES;
    return copyReceived.flatMap((copy) => copy(message, receivers));
  }

  #read(entry: LogEntry): Stanza | undefined {
    try {
      const stanza = readStoredStanza(entry.stanza);
      if (stanza.kind === 'message' && stanza.to !== undefined && stanza.from !== undefined) return stanza;
      throw new Error('it is no message with both addresses');
    } catch (error) {
      this.#options.log.error({ position: entry.position, error: String(error) }, 'a stored message is damaged');
      return undefined;
    }
  }
}

interface FateOfStored {
  /** Undefined for an entry that cannot be read. */
  readonly message: LoggedMessage | undefined;
  readonly to: readonly Session[];
}

const NO_COPIES: readonly Copy[] = [];
const BEHIND_POLL_MS = 50;
const STUCK_MS = 60_000;

/** What becomes of a message in the log now. */
function fateOf(stanza: Stanza, sessions: readonly Session[]): MessageFate<Session> {
  if (isError(stanza)) return returnedErrorFate(stanza.to!, sessions.filter(mayTakeMore));
  return messageFate(messageType(stanza), stanza.to!, sessions);
}

/** The only errors in a log are those for messages of its owner (returned-errors.ts). */
export function isError({ type }: Stanza): boolean {
  return type === 'error';
}

/** An error for a session that is gone says to whom it comes now: clients look for what they have sent themselves. */
function addressed(stanza: Stanza, { jid }: Session): Stanza {
  return isError(stanza) && !jid.equals(stanza.to!) ? stanza.withHeader({ to: jid }) : stanza;
}

/** Delivers what is handed out already. One of several sessions may have ended while the others were served. */
function give(session: Session, stanza: Stanza, { position }: LogPlace): void {
  if (session.deliver(stanza, position)) return;
  session.account.pending.takeBack([givenBack(stanza, position)]);
}

function givenBack(stanza: Stanza, position: number): GivenBack {
  return { position, bytes: stanza.size, isReturned: isError(stanza) };
}

function isConnected({ stream }: Session): boolean {
  return stream !== undefined;
}

/** For whom a flush waits until they have read what they were given: those that take part in it. */
function slowReaders(account: Account): readonly Session[] {
  return account.sessions.filter(
    (session) => session.stream !== undefined && (session.priority ?? -1) >= 0 && session.isBehind,
  );
}

/** Whether somebody is there to take what waits. */
function hasReader(account: Account): boolean {
  return account.sessions.some(
    (session) => session.priority !== undefined && session.priority >= 0 && mayTakeMore(session),
  );
}

/** A session without a stream takes only what it may hold until its client resumes. */
function mayTakeMore(session: Session): boolean {
  return session.stream !== undefined || !session.isBehind;
}
