import type { DomainPair } from '../../storage/outboxes.ts';
import type { ParcelOwner } from './parcel.ts';
import type { ProvedPairs } from './proved-pairs.ts';
import { loseFlow, type StreamFlow } from './stream-flow.ts';

const MAX_KEPT = 1000;
/** Of one other server: who connects and breaks off over and over costs only itself. */
const MAX_KEPT_OF_PEER = 10;

interface Kept {
  readonly flow: StreamFlow;
  /** All domains of the peer that it served. */
  readonly domains: ReadonlySet<string>;
}

/** What broken streams left, for those that resume them (XEP-0198 5): all pairs of domains of a stream together. */
export class KeptFlows {
  /** By who opened the stream, for whom, and the id of the resumption; oldest first. */
  readonly #kept = new Map<string, Kept>();
  /** Taken out by a stream of ours that has asked for the resumption and has no answer yet. */
  readonly #resuming = new Set<StreamFlow>();

  /**
   * Returns false where the stream cannot be resumed, or there is no room.
   * @param domains of the peer that stood in its pairs
   * @param nowMs monotonic
   */
  keep(flow: StreamFlow, domains: ReadonlySet<string>, nowMs: number): boolean {
    const { resumptionId: id } = flow;
    const peer = peerOf(flow);
    if (id === undefined || peer === undefined) return false;
    flow.resumableUntilMs ??= nowMs + flow.resumptionMs;
    if (nowMs >= flow.resumableUntilMs) return false;
    const key = keyOf(flow, id);
    // Ids of streams that we opened are the other server's, which may give one twice.
    this.#lose(key);
    const ofPeer = [...this.#kept].filter(([, kept]) => peerOf(kept.flow) === peer).map(([name]) => name);
    if (ofPeer.length >= MAX_KEPT_OF_PEER) this.#lose(ofPeer[0]!);
    if (this.#kept.size >= MAX_KEPT) return false;
    this.#kept.set(key, { flow, domains });
    return true;
  }

  /** Takes out what the stream left that a peer had opened. @param pairs what the peer has proved */
  take(id: string, pairs: Pick<ProvedPairs, 'receivesFrom'>): StreamFlow | undefined {
    const key = `< ${id}`;
    const flow = this.#kept.get(key)?.flow;
    if (flow?.peer === undefined || !pairs.receivesFrom(flow.peer)) return undefined;
    this.#kept.delete(key);
    return flow;
  }

  /** Whether a stream may be resumed that the server of the domain had opened. */
  hasFrom(domain: string): boolean {
    for (const { flow, domains } of this.#kept.values())
      if (flow.pair === undefined && domains.has(domain)) return true;
    return false;
  }

  /** Whether a stream that we had opened for the pair may be resumed. */
  hasOf(pair: DomainPair): boolean {
    return this.#find(pair) !== undefined;
  }

  /** The pair for which we had opened the stream that may be resumed and concerns a path: its own, or one that it shared. */
  founderOf(path: ParcelOwner & { readonly pair: DomainPair }): DomainPair | undefined {
    if (this.hasOf(path.pair)) return path.pair;
    for (const flow of this.#flows()) if (flow.pair !== undefined && flow.holdsOf(path)) return flow.pair;
    return undefined;
  }

  /** Takes out what the stream left that we had opened for the pair; `resumptionEnded` follows. */
  takeOf(pair: DomainPair): StreamFlow | undefined {
    const key = this.#find(pair);
    if (key === undefined) return undefined;
    const kept = this.#kept.get(key);
    this.#kept.delete(key);
    if (kept !== undefined) this.#resuming.add(kept.flow);
    return kept?.flow;
  }

  /** It is known, or never will be, what had come of what the stream left. */
  resumptionEnded(flow: StreamFlow): void {
    this.#resuming.delete(flow);
  }

  /** Gives back what an owner had sent: it goes on over another stream, and must not send this behind what follows it. */
  abandon(owner: ParcelOwner): void {
    for (const flow of this.#flows()) {
      const own = flow.disown(owner);
      if (own.length > 0) owner.lost(own);
    }
  }

  /** Gives back to its senders what nobody has resumed in time. @param nowMs monotonic */
  expire(nowMs: number): void {
    for (const [key, { flow }] of this.#kept) if (nowMs >= (flow.resumableUntilMs ?? 0)) this.#lose(key);
  }

  #flows(): readonly StreamFlow[] {
    return [...[...this.#kept.values()].map(({ flow }) => flow), ...this.#resuming];
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

function keyOf({ pair }: StreamFlow, id: string): string {
  return pair === undefined ? `< ${id}` : `> ${pair.local} ${pair.remote} ${id}`;
}

/** Who had the stream with us, by the domain with which counting began. */
function peerOf({ pair, peer }: StreamFlow): string | undefined {
  return pair?.remote ?? peer;
}
