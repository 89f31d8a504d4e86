import type { MeasuredMessage } from '../metrics/message-stages.ts';

/**
 * What a session has sent us and how far it has been dealt with: the `h` of XEP-0198 on the receiving side. A stanza is
 * *handled* when it is stored, delivered, answered or refused, and `handled` counts only an unbroken run of those, so
 * that acknowledging it never acknowledges something that may still be lost.
 */
export class InboundLedger {
  #oldest: Receipt | undefined;
  #newest: Receipt | undefined;
  #handled = 0;
  #outstanding = 0;
  /** Called when the work in progress falls back below the mark after `isAboveMark` was seen. */
  onRelief: (() => void) | undefined;
  /** Told that a stanza has joined a batch of the store; set where `handledOnceCommitted` is wanted. */
  onBatched: (() => void) | undefined;
  readonly #mark: number;

  /** @param mark how many stanzas may be in progress before reading should pause */
  constructor(mark: number) {
    this.#mark = mark;
  }

  /** Stanzas handled so far, modulo 2^32 (XEP-0198 4). */
  get handled(): number {
    return this.#handled;
  }

  get outstanding(): number {
    return this.#outstanding;
  }

  get isAboveMark(): boolean {
    return this.#outstanding >= this.#mark;
  }

  /** Counting starts when stream management is enabled (XEP-0198 3). */
  restartCount(): void {
    this.#handled = 0;
    for (let receipt = this.#oldest; receipt !== undefined; receipt = receipt.next) receipt.isCounted = false;
  }

  /** Goes on counting where an earlier run of the server has stopped. */
  restore(handled: number): void {
    this.#handled = handled;
  }

  /** What `handled` will at least be when the batch that closes now has been committed, modulo 2^32. */
  get handledOnceCommitted(): number {
    let handled = this.#handled;
    for (let next = this.#oldest; next?.isSettled === true || next?.isBatched === true; next = next.next) {
      if (next.isCounted && next.reached === undefined) handled++;
    }
    return handled >>> 0;
  }

  /** Enters a stanza. Its receipt must be settled exactly once, whatever happens to it. */
  begin(): Receipt {
    this.#outstanding++;
    return this.#append(new Receipt(this, undefined));
  }

  /** Calls back once everything entered before is handled: at once if it already is. */
  whenReached(reached: () => void): void {
    if (this.#oldest === undefined) reached();
    else {
      this.#outstanding++; // whoever asks over and over is slowed down like whoever sends
      this.#append(new Receipt(this, reached)).isSettled = true;
    }
  }

  /** For Receipt. */
  advance(): void {
    let receipt = this.#oldest;
    while (receipt?.isSettled === true) {
      this.#outstanding--;
      if (receipt.reached === undefined) {
        if (receipt.isCounted) this.#handled = (this.#handled + 1) >>> 0;
      } else receipt.reached();
      const { next }: Receipt = receipt;
      // Else one that the collector has moved to its old generation would keep all that follow it alive, and so move them too.
      receipt.next = undefined;
      receipt = next;
    }
    this.#oldest = receipt;
    if (receipt === undefined) this.#newest = undefined;
    if (this.onRelief !== undefined && this.#outstanding <= this.#mark >> 1) {
      const relieved = this.onRelief;
      this.onRelief = undefined;
      relieved();
    }
  }

  #append(receipt: Receipt): Receipt {
    if (this.#newest === undefined) this.#oldest = receipt;
    else this.#newest.next = receipt;
    this.#newest = receipt;
    return receipt;
  }
}

/** One stanza's entry in the ledger of the session that sent it. */
export class Receipt {
  isSettled = false;
  isCounted = true;
  isBatched = false;
  next: Receipt | undefined;
  /** The message on its way, where that is measured. */
  measured: MeasuredMessage | undefined;
  /** Called when the stanza is settled, with why it was refused, where it was. */
  onSettled: ((refusal: Error | undefined) => void) | undefined;
  readonly reached: (() => void) | undefined;
  readonly #ledger: InboundLedger;

  constructor(ledger: InboundLedger, reached: (() => void) | undefined) {
    this.#ledger = ledger;
    this.reached = reached;
  }

  /** The stanza is in the batch that fills: it is settled when that has been committed or refused. */
  batched(): void {
    this.isBatched = true;
    this.#ledger.onBatched?.();
  }

  /** The stanza's fate is certain: stored, delivered, answered or refused. Repeating it changes nothing. */
  settle(): void {
    this.#settle(undefined);
  }

  /** The stanza's fate is certain: it was refused. */
  refuse(refusal: Error): void {
    this.#settle(refusal);
  }

  #settle(refusal: Error | undefined): void {
    if (this.isSettled) return;
    this.isSettled = true;
    this.measured?.reached('handled');
    this.onSettled?.(refusal);
    this.#ledger.advance();
  }
}
