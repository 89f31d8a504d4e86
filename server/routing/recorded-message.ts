import type { Stanza } from '../../stanzas/stanza.ts';
import type { CommitListener } from '../../storage/group-commit.ts';
import type { StoreError } from '../../storage/ordered-store.ts';
import type { Account, SentStanza } from './account.ts';
import type { Deliveries, Delivery } from './deliveries.ts';
import type { MessageDelivery } from './message-delivery.ts';
import type { Receipt } from './receipt.ts';
import type { RecordedPlace } from './recorder.ts';

/** Who is told that a message could not be recorded. */
export interface RecordedOutcome {
  refused(stanza: Stanza, error: StoreError): void;
}

/** What became of a record: nothing yet, or for good. */
type Fate = 'recorded' | 'committed' | 'refused';

/** One message among what the sessions of its sender receive: they see it in the order in which it was numbered. */
export class SentMessage implements Delivery {
  #fate: Fate = 'recorded';
  #isEnqueued = false;
  readonly #delivery: MessageDelivery;
  readonly #account: Account;
  readonly #sent: SentStanza;
  readonly #entry: RecordedPlace | undefined;

  constructor(delivery: MessageDelivery, account: Account, sent: SentStanza, entry: RecordedPlace | undefined) {
    this.#delivery = delivery;
    this.#account = account;
    this.#sent = sent;
    this.#entry = entry;
  }

  get isReady(): boolean {
    // Copies keep their place behind a flush; where there are none nothing can be seen out of order.
    if (this.#fate === 'committed' && this.#delivery.mayCopySent(this.#account, this.#sent))
      return !this.#account.isFlushing;
    return this.#fate !== 'recorded';
  }

  /** Takes its place among the deliveries, if there is anybody to see it: others need not wait for its commit. */
  enqueue(): void {
    this.#account.recordsUnderWay++;
    if (!this.#delivery.mayCopySent(this.#account, this.#sent)) return;
    this.#isEnqueued = true;
    this.#account.enqueue(this);
  }

  settle(fate: 'committed' | 'refused'): void {
    this.#fate = fate;
    this.#account.recordsUnderWay--;
    // Also now behind what came before: the cursor must not pass messages that are still on their way.
    if (this.#isEnqueued) this.#account.deliverReady();
    else this.#account.enqueue(this);
  }

  deliver(): void {
    if (this.#fate === 'refused') return;
    if (this.#entry?.flags.archived === true) {
      this.#account.pending.passOver(this.#entry.position);
      this.#delivery.archived(this.#account, this.#sent.stanza, this.#entry);
    }
    this.#delivery.copySent(this.#account, this.#sent, this.#entry);
  }
}

/** One message between its record and its delivery. */
export class ReceivedMessage implements Delivery, CommitListener {
  isReady = false;
  /** The sender's side, where that is ours. */
  copy: SentMessage | undefined;
  #isRefused = false;
  readonly #outcome: RecordedOutcome;
  readonly #delivery: MessageDelivery;
  readonly #account: Account;
  readonly #stanza: Stanza;
  readonly #receipt: Receipt | undefined;
  readonly #entry: RecordedPlace;

  constructor(
    outcome: RecordedOutcome,
    delivery: MessageDelivery,
    account: Account,
    stanza: Stanza,
    receipt: Receipt | undefined,
    entry: RecordedPlace,
  ) {
    this.#outcome = outcome;
    this.#delivery = delivery;
    this.#account = account;
    this.#stanza = stanza;
    this.#receipt = receipt;
    this.#entry = entry;
  }

  committed(): void {
    this.#receipt?.measured?.reached('committed');
    this.#receipt?.settle();
    this.isReady = true;
    this.#account.deliverReady();
    this.copy?.settle('committed');
  }

  refused(error: StoreError): void {
    this.#outcome.refused(this.#stanza, error);
    this.#receipt?.refuse(error);
    this.#isRefused = true;
    this.isReady = true;
    this.#account.deliverReady();
    this.copy?.settle('refused');
  }

  deliver(): void {
    if (this.#isRefused) return;
    this.#delivery.deliver(this.#account, this.#stanza, this.#entry, this.#receipt?.measured);
    if (this.#entry.flags.archived) this.#delivery.archived(this.#account, this.#stanza, this.#entry);
  }
}

/** An error that comes back to an account, between its record and its delivery: counted apart from the messages of others. */
export class ReturnedMessage extends ReceivedMessage {
  readonly #account: Account;

  constructor(delivery: MessageDelivery, account: Account, stanza: Stanza, entry: RecordedPlace) {
    super(UNANSWERED, delivery, account, stanza, undefined, entry);
    this.#account = account;
  }

  enqueue(): void {
    this.#account.returnsAhead++;
    this.#account.enqueue(this);
  }

  override deliver(): void {
    this.#account.returnsAhead--;
    super.deliver();
  }
}

/** An error is not answered with another one (RFC 6120 8.3.1 rule 8). */
const UNANSWERED = { refused: () => undefined };

/** One message between its record at the sender and its way to another server, a service or a component. */
export class Departure implements Delivery, CommitListener {
  isReady = false;
  #isRefused = false;
  readonly #outcome: RecordedOutcome;
  readonly #departures: Deliveries;
  readonly #copy: SentMessage;
  readonly #stanza: Stanza;
  readonly #receipt: Receipt | undefined;
  readonly #depart: () => void;

  constructor(
    outcome: RecordedOutcome,
    departures: Deliveries,
    copy: SentMessage,
    stanza: Stanza,
    receipt: Receipt | undefined,
    depart: () => void,
  ) {
    this.#outcome = outcome;
    this.#departures = departures;
    this.#copy = copy;
    this.#stanza = stanza;
    this.#receipt = receipt;
    this.#depart = depart;
  }

  committed(): void {
    this.#receipt?.measured?.reached('committed');
    this.isReady = true;
    this.#departures.deliverReady();
    this.#copy.settle('committed');
  }

  refused(error: StoreError): void {
    this.#outcome.refused(this.#stanza, error);
    this.#receipt?.refuse(error);
    this.#isRefused = true;
    this.isReady = true;
    this.#departures.deliverReady();
    this.#copy.settle('refused');
  }

  deliver(): void {
    if (!this.#isRefused) this.#depart();
  }
}
