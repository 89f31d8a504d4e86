import type { DomainPair } from '../../storage/outboxes.ts';
import type { ParcelOwner } from './parcel.ts';
import { loseFlow, type StreamFlow } from './stream-flow.ts';

const MAX_KEPT = 1000;
/** Of one other server: who connects and breaks off over and over costs only itself. */
const MAX_KEPT_OF_PEER = 10;

interface Kept {
  readonly flow: StreamFlow;
  readonly peer: string;
  /** Monotonic milliseconds. */
  readonly untilMs: number;
}

/** What broken streams left, for those that resume them (XEP-0198 5). */
export class KeptFlows {
  /** By who opened the stream, for whom, and the id of the resumption; oldest first. */
  readonly #kept = new Map<string, Kept>();

  /** Returns false where the stream cannot be resumed, or there is no room. @param nowMs monotonic */
  keep(flow: StreamFlow, peer: string, nowMs: number): boolean {
    const { resumptionId: id, resumptionMs } = flow;
    if (id === undefined) return false;
    const key = keyOf(flow, peer, id);
    // Ids of streams that we opened are the other server's, which may give one twice.
    this.#lose(key);
    const ofPeer = [...this.#kept].filter(([, kept]) => kept.peer === peer).map(([name]) => name);
    if (ofPeer.length >= MAX_KEPT_OF_PEER) this.#lose(ofPeer[0]!);
    if (this.#kept.size >= MAX_KEPT) return false;
    this.#kept.set(key, { flow, peer, untilMs: nowMs + resumptionMs });
    return true;
  }

  /** Takes out what the stream left that the peer had opened. */
  take(id: string, peer: string): StreamFlow | undefined {
    const key = `< ${peer} ${id}`;
    const kept = this.#kept.get(key);
    this.#kept.delete(key);
    return kept?.flow;
  }

  /** Whether a stream that the peer had opened may be resumed by it. */
  hasFrom(peer: string): boolean {
    for (const kept of this.#kept.values()) if (kept.peer === peer && kept.flow.pair === undefined) return true;
    return false;
  }

  /** Whether a stream that we had opened for the pair may be resumed. */
  hasOf(pair: DomainPair): boolean {
    return this.#find(pair) !== undefined;
  }

  /** Takes out what the stream left that we had opened for the pair. */
  takeOf(pair: DomainPair): StreamFlow | undefined {
    const key = this.#find(pair);
    if (key === undefined) return undefined;
    const kept = this.#kept.get(key);
    this.#kept.delete(key);
    return kept?.flow;
  }

  /** Gives back what an owner had sent: it goes on over another stream, and must not send this behind what follows it. */
  abandon(owner: ParcelOwner): void {
    for (const { flow } of this.#kept.values()) {
      const own = flow.disown(owner);
      if (own.length > 0) owner.lost(own);
    }
  }

  /** Gives back to its senders what nobody has resumed in time. @param nowMs monotonic */
  expire(nowMs: number): void {
    for (const [key, { untilMs }] of this.#kept) if (nowMs >= untilMs) this.#lose(key);
  }

  #find({ local, remote }: DomainPair): string | undefined {
    for (const [key, { flow }] of this.#kept) {
      if (flow.pair?.local === local && flow.pair.remote === remote) return key;
    }
    return undefined;
  }

  #lose(key: string): void {
    const kept = this.#kept.get(key);
    if (kept === undefined) return;
    this.#kept.delete(key);
    loseFlow(kept.flow);
  }
}

function keyOf({ pair }: StreamFlow, peer: string, id: string): string {
  return pair === undefined ? `< ${peer} ${id}` : `> ${pair.local} ${pair.remote} ${id}`;
}
