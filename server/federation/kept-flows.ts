import type { DomainPair } from '../../storage/outboxes.ts';
import { toOwners } from './parcel.ts';
import type { StreamFlow } from './stream-flow.ts';

const MAX_KEPT = 1000;

interface Kept {
  readonly flow: StreamFlow;
  /** Monotonic milliseconds. */
  readonly untilMs: number;
}

/** What broken streams left, for those that resume them (XEP-0198 5). */
export class KeptFlows {
  /** By the other server's domain and the id of the resumption. */
  readonly #kept = new Map<string, Kept>();

  /** Returns false where the stream cannot be resumed, or there is no room. @param nowMs monotonic */
  keep(flow: StreamFlow, peer: string, nowMs: number): boolean {
    const { resumptionId: id, resumptionMs } = flow;
    if (id === undefined || this.#kept.size >= MAX_KEPT) return false;
    this.#kept.set(`${peer} ${id}`, { flow, untilMs: nowMs + resumptionMs });
    return true;
  }

  /** Takes out what the stream left that the peer had opened. */
  take(id: string, peer: string): StreamFlow | undefined {
    const key = `${peer} ${id}`;
    const kept = this.#kept.get(key);
    if (kept === undefined || kept.flow.pair !== undefined) return undefined;
    this.#kept.delete(key);
    return kept.flow;
  }

  /** Takes out what the stream left that we had opened for the pair. */
  takeOf({ local, remote }: DomainPair): StreamFlow | undefined {
    for (const [key, { flow }] of this.#kept) {
      if (flow.pair?.local !== local || flow.pair.remote !== remote) continue;
      this.#kept.delete(key);
      return flow;
    }
    return undefined;
  }

  /** Gives back to its senders what nobody has resumed in time. @param nowMs monotonic */
  expire(nowMs: number): void {
    for (const [key, { flow, untilMs }] of this.#kept) {
      if (nowMs < untilMs) continue;
      this.#kept.delete(key);
      toOwners(flow.takeUnconfirmed(), (owner, own) => owner.lost(own));
    }
  }
}
