import { escapeAttribute, toByteString } from '../../stanzas/byte-string.ts';
import { otherAttribute, type Frame } from '../../stanzas/frame.ts';
import { NS } from '../../stanzas/namespaces.ts';
import { StreamError } from '../../stanzas/stream-error.ts';
import type { DomainPair } from '../../storage/outboxes.ts';
import type { Awaited } from './dialback-requests.ts';
import type { FederationContext } from './federation-context.ts';
import { PeerFailure } from './peer-failure.ts';
import { countOf, giveUpFlow, loseFlow, type StreamFlow } from './stream-flow.ts';

const DEFAULT_RESUMPTION_SECONDS = 300;
const MAX_RESUMPTION_SECONDS = 600;

/** The stream that asks for its management. */
export interface ManagedStream {
  readonly context: FederationContext;
  readonly flow: StreamFlow;
  write(bytes: string): void;
  /** @throws StreamError */
  resume(flow: StreamFlow, handled: number): void;
  /** What the peer sent cannot be taken. */
  fail(error: unknown): void;
}

/** Asks the peer for stream management, as the initiating entity (XEP-0198 3, 5). */
export class ManagementRequests {
  readonly #stream: ManagedStream;
  #awaited: Awaited<Frame> | undefined;

  constructor(stream: ManagedStream) {
    this.#stream = stream;
  }

  get areWaiting(): boolean {
    return this.#awaited !== undefined;
  }

  /**
   * Resumes what a broken stream of the pair left, or begins to count.
   * @param isOffered whether the peer announces stream management
   * @throws PeerFailure
   */
  async start(pair: DomainPair, isOffered: boolean): Promise<void> {
    const { context, flow } = this.#stream;
    const kept = context.events.takeKeptOf(pair);
    if (kept !== undefined) {
      try {
        if (!isOffered) loseFlow(kept);
        else if (await this.#resumed(kept, pair.remote)) return;
      } finally {
        context.events.resumptionEnded(kept);
      }
    }
    if (!isOffered) return;
    const answer = await this.#ask(`<enable xmlns='${NS.STREAM_MANAGEMENT}' resume='true'/>`);
    if (answer.name !== 'enabled') return;
    flow.startCounting();
    const wish = otherAttribute(answer, 'resume');
    if (wish !== 'true' && wish !== '1') return;
    flow.resumptionId = answer.id;
    flow.pair = pair;
    const seconds = Number(otherAttribute(answer, 'max') ?? DEFAULT_RESUMPTION_SECONDS);
    flow.resumptionMs = Math.min(seconds > 0 ? seconds : 0, MAX_RESUMPTION_SECONDS) * 1000;
  }

  /** Takes an answer of the peer; false where nothing was asked. */
  answered(frame: Frame): boolean {
    if (this.#awaited === undefined) return false;
    this.#awaited.resolve(frame);
    this.#awaited = undefined;
    return true;
  }

  /** The stream is over: nothing will be answered. */
  fail(failure: PeerFailure): void {
    this.#awaited?.reject(failure);
  }

  async #resumed(kept: StreamFlow, remote: string): Promise<boolean> {
    const id = toByteString(escapeAttribute(kept.resumptionId ?? ''));
    let answer: Frame;
    try {
      answer = await this.#ask(`<resume xmlns='${NS.STREAM_MANAGEMENT}' previd='${id}' h='${kept.inbound.handled}'/>`);
    } catch (error) {
      // Cut again: it may still be resumed by the next one
      if (!this.#stream.context.events.keep(kept, new Set([remote]))) loseFlow(kept);
      throw error;
    }
    if (answer.name !== 'resumed') {
      giveUpFlow(kept, answer);
      return false;
    }
    try {
      this.#stream.resume(kept, countOf(answer));
      return true;
    } catch (error) {
      loseFlow(kept);
      this.#stream.fail(error);
      throw new PeerFailure('remote-server-timeout', `${remote} resumes a stream with a count that cannot be`);
    }
  }

  #ask(bytes: string): Promise<Frame> {
    const { clock, settings } = this.#stream.context;
    const answer = new Promise<Frame>((resolve, reject) => (this.#awaited = { resolve, reject }));
    // A stream that carries other pairs already has no other end to its patience.
    const cancel = clock.schedule(settings.negotiationTimeoutSeconds * 1000, () =>
      this.#stream.fail(new StreamError('connection-timeout', 'Stream management is not answered')),
    );
    this.#stream.write(bytes);
    return answer.finally(cancel);
  }
}
