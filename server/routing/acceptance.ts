import { withDelay } from '../../stanzas/delay.ts';
import { keepingOf } from '../../stanzas/processing-hints.ts';
import { withSequence } from '../../stanzas/sequence.ts';
import { messageType, Stanza } from '../../stanzas/stanza.ts';
import { StanzaError } from '../../stanzas/stanza-error.ts';
import type { CommitListener, GroupCommit } from '../../storage/group-commit.ts';
import type { LogEntry, MessageLog } from '../../storage/message-log.ts';
import type { StoreError, Write } from '../../storage/ordered-store.ts';
import { chatKey } from '../../storage/sequences.ts';
import type { Clock } from '../clock.ts';
import type { Log } from '../log.ts';
import type { Account, Delivery, Inbound } from './account.ts';
import { messageFate, type MessageFate } from './delivery.ts';
import type { GivenBack } from './pending-messages.ts';
import type { Receipt } from './receipt.ts';
import type { Sequencer } from './sequencer.ts';
import type { Session } from './session.ts';
import { readStoredStanza } from './stored-stanza.ts';

export interface AcceptanceOptions {
  readonly commit: GroupCommit;
  readonly messageLog: MessageLog;
  readonly sequencer: Sequencer;
  readonly clock: Clock;
  readonly log: Log;
  /** DESIGN: `off` means that a message to an online session is neither stored nor numbered. */
  readonly history: boolean;
  readonly maxOfflineMessages: number;
  readonly maxOfflineBytes: number;
  /** Sends an error back to the sender of a stanza that was accepted for processing and could not be kept. */
  refuse(stanza: Stanza, error: unknown): void;
}

/**
 * Accepts messages for an account: stamp, record, deliver (docs/architecture.md, steps 7 to 9). A message that is kept is
 * delivered, and its sender's receipt settled, only when it has been committed: who is told *accepted* can rely on it.
 */
export class Acceptance {
  readonly #options: AcceptanceOptions;

  constructor(options: AcceptanceOptions) {
    this.#options = options;
  }

  /** Takes a message. Throws StanzaError where RFC 6121 8.5 or the account's limits refuse it. */
  accept(account: Account, { stanza, receipt }: Inbound): void | Promise<void> {
    const fate = messageFate(messageType(stanza), stanza.to!, account.sessions);
    if (fate.kind === 'refuse') throw new StanzaError('service-unavailable');
    if (fate.kind === 'ignore') {
      receipt?.settle();
      return;
    }
    const keeping = keepingOf(stanza);
    const isPassing = keeping === 'never' || (fate.kind === 'deliver' && !this.#options.history);
    if (isPassing) {
      this.#pass(account, stanza, receipt, fate);
      return;
    }
    if (fate.kind === 'store') this.#checkRoom(account, stanza);
    if (keeping !== 'archive') {
      this.#record(account, stanza, receipt, undefined);
      return;
    }
    const chat = chatKey(account.jid.bare, stanza.from!.bare);
    const pending = this.#options.sequencer.prepare(chat);
    if (pending === undefined) this.#record(account, stanza, receipt, chat);
    else return this.#recordWhenPrepared(pending, account, stanza, receipt, chat);
  }

  async #recordWhenPrepared(
    pending: Promise<void>,
    account: Account,
    stanza: Stanza,
    receipt: Receipt | undefined,
    chat: string,
  ): Promise<void> {
    await pending;
    // A refused batch may have made the sequencer forget it again.
    for (;;) {
      const again = this.#options.sequencer.prepare(chat);
      if (again === undefined) break;
      await again;
    }
    this.#record(account, stanza, receipt, chat);
  }

  /** A message that is delivered now or never. It does not overtake those that wait for the disk. */
  #pass(account: Account, stanza: Stanza, receipt: Receipt | undefined, fate: MessageFate<Session>): void {
    if (fate.kind === 'store') {
      // XEP-0160 3: chat states are dropped without a word; a message with a body must not vanish.
      if (stanza.hasChild('body', 'jabber:client')) throw new StanzaError('service-unavailable');
      receipt?.settle();
      return;
    }
    account.enqueue({
      // Held behind a flush, but not without a bound: a client that reads slowly must not collect them here.
      get isReady() {
        return !account.isFlushing || account.deliveriesAhead > MAX_HELD;
      },
      deliver: () => {
        const now = messageFate(messageType(stanza), stanza.to!, account.sessions);
        if (now.kind === 'deliver') for (const session of now.to) session.deliver(stanza);
        receipt?.settle();
      },
    });
  }

  #checkRoom(account: Account, stanza: Stanza): void {
    const { maxOfflineMessages, maxOfflineBytes } = this.#options;
    const { waitingCount, waitingBytes } = account.pending;
    // XEP-0160 2, step 3
    if (waitingCount >= maxOfflineMessages || waitingBytes + stanza.content.length > maxOfflineBytes) {
      throw new StanzaError('service-unavailable', 'The recipient has no room for more messages');
    }
  }

  #record(account: Account, stanza: Stanza, receipt: Receipt | undefined, chat: string | undefined): void {
    const { commit, messageLog, sequencer, clock } = this.#options;
    const writes: Write[] = [];
    const entry: LogEntry = {
      position: account.pending.nextPosition(Math.floor(clock.now() * 1000)),
      flags: { archived: false, pending: true, sent: false },
      peer: stanza.from!.bare,
      sequence: chat === undefined ? undefined : sequencer.next(chat, writes),
      stanza: stanza.toDocument(),
    };
    writes.push(...messageLog.appendWrites(account.jid.bare, entry));
    const message = new RecordedMessage(this, account, stanza, receipt, entry);
    account.enqueue(message);
    commit.add(writes, message);
    receipt?.batched();
  }

  /** For RecordedMessage: the batch was refused, so nobody saw it and nobody will. */
  refused(stanza: Stanza, error: StoreError): void {
    this.#options.log.error({ code: error.code, error: error.message }, 'a message cannot be stored');
    this.#options.refuse(
      stanza,
      new StanzaError('resource-constraint', 'The server cannot store messages at the moment', 'wait'),
    );
  }

  /** For RecordedMessage: its turn to be delivered has come. */
  deliver(account: Account, stanza: Stanza, entry: LogEntry): void {
    const { pending } = account;
    const size = entry.stanza.length;
    // Behind messages that wait, or with nobody there, it waits too: the flush keeps the order.
    if (account.isFlushing || pending.waitingCount > 0) {
      pending.addWaiting(size);
      if (!account.isFlushing) this.flush(account);
      return;
    }
    const fate = messageFate(messageType(stanza), stanza.to!, account.sessions);
    // A client that is away for a moment has its share in memory; more waits in the log until it is back.
    if (fate.kind !== 'deliver' || !fate.to.some(mayTakeMore)) {
      pending.addWaiting(size);
      return;
    }
    pending.handOut(entry.position, fate.to.length);
    const stamped = this.#stamped(account, stanza, entry);
    for (const session of fate.to) session.deliver(stamped, entry.position);
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
      if (position !== undefined) recorded.push({ position, bytes: stanza.content.length });
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
   * Delivers what waits to whoever may have it now (XEP-0160), in order, before any live message. Yields to a client that
   * reads slowly by waiting until it has caught up.
   */
  flush(account: Account): void {
    if (account.isFlushing || account.pending.waitingCount === 0 || !hasReader(account)) return;
    account.isFlushing = true;
    void this.#flush(account).then((isDone) => {
      account.isFlushing = false;
      account.deliverReady();
      // A message may have been committed between the last page and now.
      if (isDone) this.flush(account);
    });
  }

  /** Returns false if it had to give up. */
  async #flush(account: Account): Promise<boolean> {
    const { log, clock } = this.#options;
    const { pending } = account;
    try {
      while (hasReader(account)) {
        const page = await pending.nextWaiting();
        if (page === undefined) return true;
        for (const entry of page.entries) {
          // A session ended, perhaps by reading too slowly: what it gave back comes first.
          if (!pending.isCurrent(page) || hasSlowReader(account)) break;
          const fate = this.#fateOfStored(account, entry);
          if (fate === undefined) return true;
          pending.handOutWaiting(entry.position, entry.stanza.length, Math.max(1, fate.to.length));
          if (fate.to.length === 0) pending.confirm(entry.position);
          for (const session of fate.to) session.deliver(fate.stanza, entry.position);
        }
        while (hasSlowReader(account)) {
          await new Promise<void>((resolve) => void clock.schedule(BEHIND_POLL_MS, resolve));
        }
      }
      return true;
    } catch (error) {
      log.error({ account: account.jid.bare, error: String(error) }, 'waiting messages cannot be delivered');
      return false;
    }
  }

  /** The stanza as it is delivered late and to whom; undefined when it must go on waiting. */
  #fateOfStored(account: Account, entry: LogEntry): { stanza: Stanza; to: readonly Session[] } | undefined {
    const stored = this.#read(entry);
    // An entry that cannot be read is passed over rather than standing before all that come later.
    if (stored === undefined) return { stanza: Stanza.create('message', {}), to: [] };
    const fate = messageFate(messageType(stored), stored.to!, account.sessions);
    switch (fate.kind) {
      case 'deliver': {
        const stamped = this.#stamped(account, stored, entry);
        return { stanza: withDelay(stamped, account.jid.domain, entry.position), to: fate.to };
      }
      case 'store':
        return undefined;
      case 'refuse':
      case 'ignore': {
        // A message to a full JID whose resource has gone meanwhile: it was accepted, so it goes to the others.
        const bare = messageFate('chat', account.jid, account.sessions);
        if (bare.kind !== 'deliver') return undefined;
        const stamped = this.#stamped(account, stored, entry);
        return { stanza: withDelay(stamped, account.jid.domain, entry.position), to: bare.to };
      }
    }
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

  #stamped(account: Account, stanza: Stanza, { peer, sequence }: LogEntry): Stanza {
    return sequence === undefined ? stanza : withSequence(stanza, account.jid.domain, peer, sequence);
  }
}

const BEHIND_POLL_MS = 50;
/** Stanzas of one account that wait behind a flush. */
const MAX_HELD = 500;

/** Whether a flush should wait until a client has read what it was given. */
function hasSlowReader(account: Account): boolean {
  return account.sessions.some((session) => session.stream !== undefined && session.isAvailable && session.isBehind);
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

/** One message between its record and its delivery. */
class RecordedMessage implements Delivery, CommitListener {
  isReady = false;
  #isRefused = false;
  readonly #acceptance: Acceptance;
  readonly #account: Account;
  readonly #stanza: Stanza;
  readonly #receipt: Receipt | undefined;
  readonly #entry: LogEntry;

  constructor(acceptance: Acceptance, account: Account, stanza: Stanza, receipt: Receipt | undefined, entry: LogEntry) {
    this.#acceptance = acceptance;
    this.#account = account;
    this.#stanza = stanza;
    this.#receipt = receipt;
    this.#entry = entry;
  }

  committed(): void {
    this.#receipt?.settle();
    this.isReady = true;
    this.#account.deliverReady();
  }

  refused(error: StoreError): void {
    this.#acceptance.refused(this.#stanza, error);
    this.#receipt?.settle();
    this.#isRefused = true;
    this.isReady = true;
    this.#account.deliverReady();
  }

  deliver(): void {
    if (!this.#isRefused) this.#acceptance.deliver(this.#account, this.#stanza, this.#entry);
  }
}
