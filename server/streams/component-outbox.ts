import type { Stanza } from '../../stanzas/stanza.ts';
import { StanzaError } from '../../stanzas/stanza-error.ts';
import type { Clock } from '../clock.ts';
import type { Component } from '../routing/component.ts';
import type { Receipt } from '../routing/receipt.ts';
import type { Router } from '../routing/router.ts';
import { ComponentArrivals } from './component-arrivals.ts';
import { pingBytes } from './component-handshake.ts';
import { ComponentQueue, type ComponentQueueLimits } from './component-queue.ts';
import { componentBytes } from './component-stanza.ts';
import type { Connection } from './connection.ts';

export interface ComponentOutboxOptions {
  readonly connection: Pick<Connection, 'write'>;
  readonly limits: ComponentQueueLimits & { readonly pingTimeoutSeconds: number };
  readonly clock: Pick<Clock, 'monotonic'>;
  readonly router: Pick<Router, 'answer' | 'giveBack'>;
  readonly randomId: () => string;
}

/** What one stream of a component brings it: bounded, watched until it has arrived, and given back where it has not. */
export class ComponentOutbox {
  readonly #options: ComponentOutboxOptions;
  readonly #queue: ComponentQueue;
  #arrivals: ComponentArrivals | undefined;
  #delivered = 0;

  constructor(options: ComponentOutboxOptions) {
    this.#options = options;
    this.#queue = new ComponentQueue(options.limits);
  }

  /** Stanzas that are not known to have arrived. */
  get waiting(): number {
    return this.#queue.stanzas;
  }

  /** How many were written. */
  get delivered(): number {
    return this.#delivered;
  }

  /** The component is there; it is asked at once, to learn whether it is one that answers. */
  open(component: Component): void {
    const { connection, limits, clock, randomId } = this.#options;
    this.#arrivals = new ComponentArrivals({
      queue: this.#queue,
      timeoutMs: limits.pingTimeoutSeconds * 1000,
      randomId,
      ping: (id) => connection.write(pingBytes(component, id)),
    });
    this.#arrivals.ask(clock.monotonic());
  }

  /** Writes a stanza; `isShown`: nobody is told where it does not arrive. Throws StanzaError where too much is on its way already. */
  deliver(stanza: Stanza, receipt: Receipt | undefined, isShown = false): void {
    const { connection, clock } = this.#options;
    const bytes = componentBytes(stanza);
    if (!this.#queue.hasRoomFor(bytes.length)) {
      throw new StanzaError('resource-constraint', 'Too much waits for this service', 'wait');
    }
    const now = clock.monotonic();
    this.#queue.put({ stanza, receipt, isShown, byteLength: bytes.length }, now);
    this.#delivered++;
    connection.write(bytes);
    this.#arrivals?.wrote(now);
  }

  /** As ConnectionListener.flushMark. */
  get flushMark(): number {
    return this.#queue.flushMark;
  }

  /** As ConnectionListener.flushed. */
  flushed(mark: number): void {
    const now = this.#options.clock.monotonic();
    this.#queue.flushed(mark, now);
    this.#arrivals?.progressed(now);
  }

  /** An answer came; returns whether it is one to a question of ours. */
  answered(id: string | undefined): boolean {
    return this.#arrivals?.answered(id) === true;
  }

  /**
   * Looks at the clock; returns false when the component is to be given up.
   * @param isSilent whether nothing was heard for long
   */
  check(nowMs: number, isSilent: boolean): boolean {
    this.#queue.check(nowMs);
    if (isSilent) this.#arrivals?.ask(nowMs);
    return this.#arrivals?.check(nowMs) !== false;
  }

  /** The stream has ended: what is not known to have arrived goes back to its senders. */
  giveBack(): void {
    for (const { stanza, receipt, isShown } of this.#queue.takeBack()) {
      if (isShown) continue;
      const error = new StanzaError('remote-server-timeout', 'The service was disconnected before it confirmed this');
      this.#options.router.giveBack(stanza, error, {
        writes: [],
        listener: {
          committed: () => receipt?.refuse(error),
          // Who is there hears of it all the same.
          refused: () => this.#options.router.answer(stanza, error, receipt),
        },
      });
    }
  }
}
