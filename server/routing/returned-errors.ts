import { NS } from '../../stanzas/namespaces.ts';
import { keepingOf } from '../../stanzas/processing-hints.ts';
import type { Stanza } from '../../stanzas/stanza.ts';
import type { StanzaError } from '../../stanzas/stanza-error.ts';
import type { Accounts } from '../../storage/accounts.ts';
import type { CommitListener, GroupCommit } from '../../storage/group-commit.ts';
import { StoreError, type Write } from '../../storage/ordered-store.ts';
import type { Counters } from '../metrics/counters.ts';
import type { Account } from './account.ts';
import type { MessageDelivery } from './message-delivery.ts';
import { ReturnedMessage } from './recorded-message.ts';
import { chatOf, type Recorder } from './recorder.ts';
import type { Repeats } from './repeats.ts';
import type { SessionTable } from './session-table.ts';

/** What an error takes the place of. */
export interface Replaced {
  /** What is written with the error, in one batch: a crash leaves the one or the other, never neither. */
  readonly writes: readonly Write[];
  /** Committed: the sender hears of it. Refused: nothing has happened. */
  readonly listener: CommitListener;
}

/** Why something comes back. */
export interface Returned extends Replaced {
  readonly error: StanzaError;
}

export interface ReturnedErrorsOptions {
  readonly recorder: Recorder;
  readonly repeats: Pick<Repeats, 'returnedWrites'>;
  readonly delivery: MessageDelivery;
  readonly table: Pick<SessionTable, 'account'>;
  readonly accounts: Pick<Accounts, 'whileThere'>;
  readonly commit: GroupCommit;
  readonly counters: Counters;
  isLocalDomain(domain: string): boolean;
  /** Sends the error back, to who is there. */
  answer(stanza: Stanza, error: StanzaError): void;
}

/**
 * Errors for what was acknowledged to its sender and has not arrived. XEP-0160 3 keeps no errors for who is away; but this
 * one is all its sender will ever hear of the message, so it waits in the sender's log like a message, not archived and
 * without a number, until a client has it. Errors of others never get into a log: one that is there is of this kind.
 */
export class ReturnedErrors {
  readonly #options: ReturnedErrorsOptions;
  /** Those that have not been handed to their accounts: a backlog that comes back at once must not make one huge batch. */
  #waiting: Back[] = [];
  #next = 0;
  #underWay = 0;
  #isHandingOver = false;
  #awaitsRoom = false;

  constructor(options: ReturnedErrorsOptions) {
    this.#options = options;
  }

  /** Gives a stanza back to its sender, behind what is on its way there; `replaced` hears later, or during the call. */
  give(stanza: Stanza, error: StanzaError, replaced: Replaced): void {
    const { commit } = this.#options;
    if (this.#isFromPerson(stanza) && mayComeBack(stanza)) {
      this.#waiting.push({ stanza, error, replaced });
      this.#handOver();
      return;
    }
    const { writes, listener } = replaced;
    const committed = (): void => {
      listener.committed();
      if (isAnswered(stanza)) this.#options.answer(stanza, error);
    };
    if (writes.length === 0) setImmediate(committed);
    else commit.add(writes, { committed, refused: (failure) => listener.refused(failure) });
  }

  /** Hands errors to their accounts, in order, as long as the store has room. */
  #handOver(): void {
    if (this.#isHandingOver) return; // what is handed over may be refused at once
    const { commit } = this.#options;
    this.#isHandingOver = true;
    while (this.#next < this.#waiting.length && this.#underWay < MAX_UNDER_WAY && !commit.isFull) {
      this.#toSender(this.#waiting[this.#next++]!);
    }
    if (this.#next === this.#waiting.length || this.#next >= MAX_UNDER_WAY) {
      this.#waiting = this.#waiting.slice(this.#next);
      this.#next = 0;
    }
    this.#isHandingOver = false;
    if (this.#waiting.length === 0 || !commit.isFull || this.#awaitsRoom) return;
    this.#awaitsRoom = true;
    void commit.whenRoom().then(() => {
      this.#awaitsRoom = false;
      this.#handOver();
    });
  }

  #toSender({ stanza, error, replaced: { writes, listener } }: Back): void {
    this.#underWay++;
    const settled = (): void => {
      this.#underWay--;
      if (this.#waiting.length > 0) this.#handOver();
    };
    const returned: Returned = {
      error,
      writes,
      listener: {
        committed: () => {
          listener.committed();
          settled();
        },
        refused: (failure) => {
          listener.refused(failure);
          settled();
        },
      },
    };
    this.#options.table.account(stanza.from!).received.put({ stanza, receipt: undefined, returned });
  }

  /** Takes the error in its turn, as the account's mailbox has it. */
  receive(account: Account, stanza: Stanza, returned: Returned): void | Promise<void> {
    const record = (): void => this.#record(account, stanza, returned);
    switch (account.state) {
      case 'present':
        record();
        return;
      case 'disabled':
        // Perhaps it is being removed: what is written behind that would outlive it.
        return this.#options.accounts.whileThere(account.jid.bare, record).then(
          (isThere) => (isThere ? undefined : this.#forget(returned)),
          (failure: unknown) => returned.listener.refused(asStoreError(failure)),
        );
      case 'absent':
        this.#forget(returned);
        return;
      case 'loading':
      case 'unreadable':
        returned.listener.refused(new StoreError('failed', `the account ${account.jid.bare} cannot be read`));
    }
  }

  #record(account: Account, stanza: Stanza, { error, writes, listener }: Returned): void {
    const { recorder, repeats, delivery, counters } = this.#options;
    const recording = recorder.begin(undefined);
    const reply = stanza.errorReply(error);
    const entry = recorder.received(recording, account, reply, false);
    const message = new ReturnedMessage(delivery, account, reply, entry);
    message.enqueue();
    const committed = (): void => {
      counters.messages.refused++;
      listener.committed();
      message.committed();
    };
    const refused = (failure: StoreError): void => {
      message.refused(failure);
      listener.refused(failure);
    };
    const chat = chatOf(account, stanza, stanza.to!, true);
    // What is not archived is not known when it is sent again, and has no key (acceptance.ts).
    const isKnown = keepingOf(stanza) === 'archive';
    const sent = isKnown ? repeats.returnedWrites(account, stanza, chat, entry.position) : [];
    recorder.commitInstead(recording, [...writes, ...sent], { committed, refused });
  }

  /** Its sender has no account any more. */
  #forget({ writes, listener }: Replaced): void {
    this.#options.counters.messages.dropped++;
    this.#options.commit.add(writes, listener);
  }

  #isFromPerson({ from }: Stanza): boolean {
    return from !== undefined && from.local !== '' && this.#options.isLocalDomain(from.domain);
  }
}

interface Back {
  readonly stanza: Stanza;
  readonly error: StanzaError;
  readonly replaced: Replaced;
}

/** Errors with their accounts, some of which are perhaps still being read. */
const MAX_UNDER_WAY = 1000;

/** Whether a stanza says something whose loss its sender must hear of, and so may come back as an error in the sender's log. */
export function mayComeBack(stanza: Stanza): boolean {
  if (stanza.kind !== 'message' || stanza.type === 'error') return false;
  return keepingOf(stanza) !== 'never' || stanza.hasChild('body', NS.CLIENT);
}

/** RFC 6121 4.3: nobody waits for an answer to a probe, nor to a goodbye. */
function isAnswered({ kind, type }: Stanza): boolean {
  return kind !== 'presence' || (type !== 'probe' && type !== 'unavailable' && type !== 'error');
}

function asStoreError(failure: unknown): StoreError {
  if (failure instanceof StoreError) return failure;
  return new StoreError('failed', 'the store failed unexpectedly', { cause: failure });
}
