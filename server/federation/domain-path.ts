import type { Stanza } from '../../stanzas/stanza.ts';
import { StanzaError } from '../../stanzas/stanza-error.ts';
import type { DomainPair, OutboxEntry } from '../../storage/outboxes.ts';
import type { Clock } from '../clock.ts';
import type { Inbound } from '../routing/account.ts';
import type { Receipt } from '../routing/receipt.ts';
import { readStoredStanza } from '../routing/stored-stanza.ts';
import { positionsOf, type Carrier, type Parcel, type ParcelOwner } from './parcel.ts';
import { PathOutbox, type PathOutboxOptions } from './path-outbox.ts';
import type { PeerFailure } from './peer-failure.ts';
import { RetrySchedule } from './retry-schedule.ts';
import type { Returns, ReturnsOwner } from './returns.ts';
import { isDurable } from './server-stanza.ts';

/** What every path shares. */
export interface PathContext extends PathOutboxOptions {
  readonly clock: Clock;
  /** From 0 (inclusive) to 1 (exclusive). */
  readonly random: () => number;
  readonly limits: PathLimits;
  /** What all paths hold together. */
  readonly usage: { bytes: number };
  /** Whether the server stops: what is under way stays in the outbox. */
  isStopping(): boolean;
  /** Whether a stream that broke, and carried the path, waits for one of ours that resumes it. */
  isResumable(path: DomainPath): boolean;
  /** Begins to look for a carrier; `attach` or `failed` follows. */
  connect(path: DomainPath): void;
  readonly returns: Returns;
  /** Sends an error to whoever sent the stanza. */
  answer(stanza: Stanza, error: StanzaError): void;
}

export interface PathLimits {
  /** Of one path. */
  readonly maxStanzas: number;
  /** Of one path. */
  readonly maxBytes: number;
  /** Of all paths together. */
  readonly maxTotalBytes: number;
  /** How long a message waits for a server that does not answer. */
  readonly patienceMs: number;
}

/** Parcels of a backlog that are marked as handed out by one write. */
const MARK_AHEAD = 200;
const STANZA_OVERHEAD_BYTES = 200;
/** How long a server that had opened a stream has to come back and resume it, before we open one. */
const RESUMPTION_PATIENCE_MS = 15_000;

/**
 * The one way from a domain of ours to a domain elsewhere (RFC 6120 10.1): everything leaves in the order in which it came,
 * over one stream at a time. What was acknowledged to its sender lies in the outbox until the other server has it.
 */
export class DomainPath implements ParcelOwner, ReturnsOwner<Parcel> {
  readonly pair: DomainPair;
  readonly #context: PathContext;
  readonly #outbox: PathOutbox;
  readonly #retries: RetrySchedule;
  #queue: Parcel[] = [];
  /** Parcels with the carrier, not known to have arrived. */
  #out = 0;
  /** Parcels that are being stored and have not been handed over. */
  #reserved = 0;
  /** Parcels on their way back to their senders. */
  #returning = 0;
  #carrier: Carrier | undefined;
  /** When there was a carrier last, monotonic milliseconds. */
  #carriedAt = -Infinity;
  #isConnecting = false;
  #bytes = 0;

  constructor(pair: DomainPair, context: PathContext) {
    this.pair = pair;
    this.#context = context;
    this.#outbox = new PathOutbox(pair, context);
    this.#retries = new RetrySchedule(context);
  }

  /** Stanzas that have not been sent. */
  get waiting(): number {
    return this.#queue.length;
  }

  /** Whether nothing would be lost if this object were forgotten. */
  get isForgettable(): boolean {
    return (
      this.#queue.length === 0 &&
      this.#out === 0 &&
      this.#reserved === 0 &&
      this.#returning === 0 &&
      this.#carrier === undefined &&
      !this.#isConnecting &&
      this.#retries.isDue
    );
  }

  /** Why the last attempt failed; undefined while all is well. */
  get lastFailure(): string | undefined {
    return this.#retries.lastFailure?.message;
  }

  get isOpen(): boolean {
    return this.#carrier !== undefined;
  }

  get isConnecting(): boolean {
    return this.#isConnecting;
  }

  /** Takes a stanza. Throws StanzaError where there is no room, or no hope. */
  accept({ stanza, receipt }: Inbound): void {
    const parcel = this.#parcelOf(stanza);
    this.#hold(parcel);
    this.#queue.push(parcel);
    if (parcel.position === undefined) {
      receipt?.settle();
      this.#goOn();
      return;
    }
    receipt?.batched();
    this.#outbox.put(parcel, {
      committed: () => {
        receipt?.settle();
        parcel.isReady = true;
        this.#goOn();
      },
      refused: (error) => {
        this.#context.log.error(
          { code: error.code, error: error.message },
          'a message for another server cannot be stored',
        );
        this.#queue = this.#queue.filter((other) => other !== parcel);
        this.#release(parcel);
        const text = 'The server cannot store messages at the moment';
        this.#context.answer(stanza, new StanzaError('resource-constraint', text, 'wait'));
        receipt?.settle();
        this.#goOn();
      },
    });
  }

  /**
   * Stores a message in the batch that fills; what is returned takes it when the batch has committed. Undefined for what is
   * not stored. Throws StanzaError where there is no room, or no hope.
   */
  reserve(stanza: Stanza): ((receipt: Receipt | undefined) => void) | undefined {
    if (!isDurable(stanza)) return undefined;
    const parcel = this.#parcelOf(stanza);
    this.#hold(parcel);
    this.#reserved++;
    this.#outbox.put(parcel, {
      committed: () => undefined,
      // Its record was refused with it, and says so to the sender.
      refused: () => {
        this.#reserved--;
        this.#release(parcel);
      },
    });
    return (receipt) => {
      this.#reserved--;
      receipt?.settle();
      parcel.isReady = true;
      const failure = this.#retries.hopelessness(true);
      if (failure !== undefined) {
        this.#return([parcel], failure.toStanzaError());
        return;
      }
      this.#queue.push(parcel);
      this.#goOn();
    };
  }

  /**
   * Takes what an earlier run of the server left, oldest first: what may have been sent comes back to its sender.
   * @param refusal why the rest does so too
   */
  restore(entries: readonly OutboxEntry[], refusal?: StanzaError): void {
    const lost: Parcel[] = [];
    const refused: Parcel[] = [];
    for (const { position, at, isHandedOut, document } of entries) {
      this.#outbox.restored(position);
      let stanza: Stanza;
      try {
        stanza = readStoredStanza(document);
        if (!this.#isOwn(stanza)) throw new Error('it is of another pair of domains');
      } catch (error) {
        this.#context.log.error({ ...this.pair, error: String(error) }, 'a message for another server is damaged');
        this.#outbox.remove([position]);
        continue;
      }
      const bytes = stanza.size + STANZA_OVERHEAD_BYTES;
      const parcel: Parcel = { stanza, owner: this, position, at, bytes, isReady: true, isMarked: isHandedOut };
      this.#hold(parcel);
      if (isHandedOut) {
        this.#out++;
        lost.push(parcel);
      } else if (refusal !== undefined) refused.push(parcel);
      else this.#queue.push(parcel);
    }
    if (lost.length > 0) this.lost(lost);
    if (refusal !== undefined) this.#return(refused, refusal);
    this.#goOn();
  }

  /** Removes what the store knows of a path that is empty, and is forgotten. */
  forgetMark(): void {
    this.#outbox.forgetMark();
  }

  /** A stream takes the stanzas of the pair from now on. */
  attach(carrier: Carrier): void {
    this.#isConnecting = false;
    this.#retries.succeeded();
    this.#carrier = carrier;
    carrier.carry(this);
    this.#goOn();
  }

  /** No stream could be had. */
  failed(failure: PeerFailure): void {
    const { clock, limits, log } = this.#context;
    this.#isConnecting = false;
    if (this.#context.isStopping()) return;
    const waitMs = this.#retries.failed(failure);
    const oldest = clock.now() - limits.patienceMs;
    const hopeless = this.#queue.filter(
      (parcel) => parcel.isReady && (failure.isFinal || parcel.position === undefined || parcel.at <= oldest),
    );
    const bounced = new Set(hopeless);
    this.#queue = this.#queue.filter((parcel) => !bounced.has(parcel));
    log.info(
      {
        ...this.pair,
        reason: failure.message,
        returned: hopeless.length,
        waiting: this.#queue.length,
        retrySeconds: Math.round(waitMs / 1000),
      },
      'another server cannot be reached',
    );
    this.#return(hopeless, failure.toStanzaError());
  }

  /** Looks at the clock, about once a second. */
  check(): void {
    this.#goOn();
  }

  /** Gives up waiting: the next stanza, or what waits, knocks at once. */
  retryNow(): void {
    this.#retries.retryNow();
    this.#goOn();
  }

  // ParcelOwner

  confirmed(parcels: readonly Parcel[]): void {
    this.#out -= parcels.length;
    for (const parcel of parcels) this.#release(parcel);
    this.#outbox.remove(positionsOf(parcels));
  }

  lost(parcels: readonly Parcel[]): void {
    if (this.#context.isStopping()) return;
    this.#out -= parcels.length;
    const text = `The connection to ${this.pair.remote} broke: this may have arrived, or not`;
    this.#return(parcels, new StanzaError('remote-server-timeout', text));
  }

  givenBack(parcels: readonly Parcel[]): void {
    this.#out -= parcels.length;
    this.#queue = [...parcels, ...this.#queue];
  }

  carrierEnded(carrier: Carrier): void {
    if (this.#carrier !== carrier) return;
    this.#carrier = undefined;
    this.#carriedAt = this.#context.clock.monotonic();
    // Not in the middle of whatever ended the stream.
    setImmediate(() => this.#goOn());
  }

  carrierRelieved(carrier: Carrier): void {
    if (this.#carrier === carrier) this.#goOn();
  }

  // ReturnsOwner

  returned(parcel: Parcel): void {
    this.#returning--;
    this.#release(parcel);
  }

  leftBehind(parcel: Parcel): void {
    this.#outbox.keepMark();
    this.returned(parcel);
  }

  /** A stanza as it waits here, not held yet. Throws StanzaError where there is no room, or no hope. */
  #parcelOf(stanza: Stanza): Parcel {
    const { clock, limits, usage } = this.#context;
    const isKept = isDurable(stanza);
    const failure = this.#retries.hopelessness(isKept);
    if (failure !== undefined) throw failure.toStanzaError();
    const bytes = stanza.size + STANZA_OVERHEAD_BYTES;
    if (
      this.#queue.length + this.#out + this.#reserved + this.#returning >= limits.maxStanzas ||
      this.#bytes + bytes > limits.maxBytes ||
      usage.bytes + bytes > limits.maxTotalBytes
    ) {
      throw new StanzaError('resource-constraint', `Too much waits for ${this.pair.remote} already`);
    }
    const at = clock.now();
    const position = isKept ? this.#outbox.nextPosition(at) : undefined;
    // With nothing ahead it is sent as soon as it is stored, so the store may say so from the start.
    const isMarked = !isKept || (this.#carrier !== undefined && this.#queue.every((parcel) => parcel.isMarked));
    return { stanza, owner: this, position, at, bytes, isReady: !isKept, isMarked };
  }

  #isOwn({ from, to }: Stanza): boolean {
    return from?.domain === this.pair.local && to?.domain === this.pair.remote;
  }

  #hold(parcel: Parcel): void {
    this.#bytes += parcel.bytes;
    this.#context.usage.bytes += parcel.bytes;
  }

  #release(parcel: Parcel): void {
    this.#bytes -= parcel.bytes;
    this.#context.usage.bytes -= parcel.bytes;
  }

  /** Sends what can be sent, or sees to it that it can. */
  #goOn(): void {
    if (this.#outbox.isMarking || this.#context.isStopping()) return;
    if (this.#carrier === undefined) {
      if (this.#isConnecting || !this.#retries.isDue) return;
      if (!this.#queue.some(({ isReady }) => isReady) && !this.#mustSettle()) return;
      this.#isConnecting = true;
      this.#context.connect(this);
      return;
    }
    let sent = 0;
    const tooLarge: Parcel[] = [];
    for (;;) {
      const carrier = this.#takingCarrier();
      if (carrier === undefined) break;
      const parcel = this.#queue[sent];
      if (parcel === undefined || !parcel.isReady) break;
      if (!parcel.isMarked) {
        const next = this.#queue.slice(sent, sent + MARK_AHEAD).filter(({ isReady }) => isReady);
        this.#outbox.mark(next, () => this.#goOn());
        break;
      }
      sent++;
      if (parcel.bytes > carrier.maxBytes) tooLarge.push(parcel);
      else {
        this.#out++;
        carrier.send(parcel);
      }
    }
    if (sent > 0) this.#queue.splice(0, sent);
    if (tooLarge.length === 0) return;
    this.#context.log.debug({ ...this.pair, stanzas: tooLarge.length }, 'too large for another server');
    // XEP-0478 3
    this.#return(tooLarge, new StanzaError('policy-violation', `${this.pair.remote} takes no stanza of this size`));
  }

  /** Whether what a broken stream left needs another one, though nothing follows. */
  #mustSettle(): boolean {
    if (this.#out === 0) return false;
    const { clock } = this.#context;
    // Its server may have forgotten it in a crash: then it never comes, and a stream of ours ends the doubt.
    return this.#context.isResumable(this) || clock.monotonic() - this.#carriedAt >= RESUMPTION_PATIENCE_MS;
  }

  /** The stream, while it takes something; sending may end it. */
  #takingCarrier(): Carrier | undefined {
    return this.#carrier?.isCongested === false ? this.#carrier : undefined;
  }

  #return(parcels: readonly Parcel[], error: StanzaError): void {
    this.#returning += parcels.length;
    this.#context.returns.give(this.pair, parcels, error, this);
  }
}
