import { BoundedCache } from '../../stanzas/bounded-cache.ts';
import type { Stanza } from '../../stanzas/stanza.ts';
import { StanzaError } from '../../stanzas/stanza-error.ts';
import type { DomainPair } from '../../storage/outboxes.ts';
import type { Storage } from '../../storage/storage.ts';
import type { Inbound } from '../routing/account.ts';
import type { Receipt } from '../routing/receipt.ts';
import type { Destination, Router } from '../routing/router.ts';
import type { Connection } from '../streams/connection.ts';
import { VISITOR } from './dialback-key.ts';
import type { DomainPath, PathLimits } from './domain-path.ts';
import { DomainPaths } from './domain-paths.ts';
import type { FederationContext, StreamEvents, Verification } from './federation-context.ts';
import { summaryOf, type ServerStreamSummary, type WaitingSummary } from './federation-summary.ts';
import { IncomingStream } from './incoming-stream.ts';
import { KeptFlows } from './kept-flows.ts';
import { OutgoingStream } from './outgoing-stream.ts';
import { OutgoingStreams } from './outgoing-streams.ts';
import type { ProvedPairs } from './proved-pairs.ts';
import { restoreOutbox } from './restoring.ts';
import { Returns } from './returns.ts';
import type { ServerStream } from './server-stream.ts';
import type { StreamFlow } from './stream-flow.ts';
import { failureOf, type StreamOpening } from './stream-opening.ts';

export interface FederationOptions extends Omit<FederationContext, 'events'> {
  readonly router: FederationContext['router'] & Pick<Router, 'giveBack'>;
  readonly storage: Pick<Storage, 'outboxes' | 'commit'>;
  readonly dialing: StreamOpening['dialing'];
  readonly connect: StreamOpening['connect'];
  /** From 0 (inclusive) to 1 (exclusive). */
  readonly random: () => number;
}

const PINGING_SERVERS = 4096;
const ANSWERING = Object.freeze({});

/** The way to other servers and from them: streams, and a path for each pair of domains. */
export class Federation implements Destination, StreamEvents {
  readonly #options: FederationOptions;
  readonly #context: FederationContext;
  readonly #paths: DomainPaths;
  /** What all paths hold together. */
  readonly #usage = { bytes: 0 };
  readonly #streams = new Set<ServerStream>();
  readonly #outgoing: OutgoingStreams;
  readonly #kept = new KeptFlows();
  readonly #answering = new BoundedCache<string, object>(PINGING_SERVERS);
  #isStopping = false;

  constructor(options: FederationOptions) {
    this.#options = options;
    this.#context = { ...options, events: this };
    const { dialing, connect, settings, storage, clock, log, random, router } = options;
    this.#outgoing = new OutgoingStreams({ dialing, connect, context: this.#context }, this.#streams);
    const limits: PathLimits = {
      maxStanzas: settings.maxQueueStanzas,
      maxBytes: settings.maxQueueBytes,
      maxTotalBytes: settings.maxTotalQueueBytes,
      patienceMs: settings.patienceSeconds * 1000,
    };
    this.#paths = new DomainPaths({
      outboxes: storage.outboxes,
      commit: storage.commit,
      clock,
      log,
      random,
      limits,
      usage: this.#usage,
      isStopping: () => this.#isStopping,
      isResumable: (path) => this.#kept.founderOf(path) !== undefined,
      connect: (path) => void this.#connect(path),
      returns: new Returns({ ...options, outboxes: storage.outboxes }),
      answer: (stanza, error) => router.answer(stanza, error),
    });
  }

  /** Streams that are open or closing. */
  get streamCount(): number {
    return this.#streams.size;
  }

  /** Another server has connected. */
  accept(connection: Connection): void {
    new IncomingStream(connection, this.#context);
  }

  // Destination

  receive(item: Inbound): void {
    const { stanza, receipt } = item;
    try {
      const { from, to } = stanza;
      if (from === undefined || to === undefined)
        throw new Error('a stanza without addresses is sent to another server');
      if (this.#context.policies.of(to.domain) === 'deny') {
        throw new StanzaError('not-allowed', `This server does not talk to ${to.domain}`);
      }
      this.#paths.of({ local: from.domain, remote: to.domain }, stanza).accept(item);
    } catch (error) {
      this.#context.router.answer(stanza, error, receipt);
    }
  }

  reserve(stanza: Stanza): ((receipt: Receipt | undefined) => void) | undefined {
    const { from, to } = stanza;
    if (from === undefined || to === undefined || this.#context.policies.of(to.domain) === 'deny') return undefined;
    try {
      return this.#paths.of({ local: from.domain, remote: to.domain }, stanza).reserve(stanza);
    } catch (error) {
      if (!(error instanceof StanzaError)) throw error;
      return undefined; // `receive` will say so
    }
  }

  /** Takes up what an earlier run left in the outbox. Rejects with StoreError. */
  restore(): Promise<number> {
    return restoreOutbox({ ...this.#options, paths: this.#paths });
  }

  /** Looks at the clock, about once a second. */
  check(now: number): void {
    for (const stream of this.#streams) stream.check(now);
    this.#paths.check();
    this.#kept.expire(now);
  }

  /** Asks every other server how far it has come; returns whether something is not known to have arrived. */
  askForArrival(): boolean {
    const now = this.#context.clock.monotonic();
    let isUnknown = false;
    for (const stream of [...this.#streams]) if (stream.askForArrival(now)) isUnknown = true;
    return isUnknown;
  }

  /** Ends every stream. What is not known to have arrived stays in the outbox. */
  shutDown(): void {
    this.#isStopping = true;
    for (const stream of [...this.#streams]) stream.shutDown();
    for (const { connection } of this.#streams) connection.flush();
  }

  /** Gives up the connections that `shutDown` left. */
  abandon(): void {
    for (const stream of [...this.#streams]) stream.abort('the server stopped');
  }

  // For the operator

  /** Streams, without order. */
  get streams(): Iterable<ServerStream> {
    return this.#streams;
  }

  /** Stanzas that have not been sent. */
  get waitingStanzas(): number {
    return this.#paths.waitingStanzas;
  }

  /** Bytes that all paths hold, sent and not confirmed among them. */
  get heldBytes(): number {
    return this.#usage.bytes;
  }

  summaries(): ServerStreamSummary[] {
    return [...this.#streams].map(summaryOf);
  }

  waiting(): WaitingSummary[] {
    return this.#paths.summaries();
  }

  /** Opens a stream for the pair, unless there is one. Rejects with PeerFailure. */
  async open(pair: DomainPair): Promise<void> {
    if (this.#paths.of(pair).isOpen) return;
    const carrier = await this.#carrierFor(this.#paths.of(pair));
    // Meanwhile it may have found a stream itself, or have been forgotten.
    const path = this.#paths.of(pair);
    if (!path.isOpen) this.#attach(path, carrier);
  }

  /** A key by which a visitor knows that it has come to this server: it is of use with nobody else. */
  keyForVisitor(domain: string, streamId: string): string {
    return this.#context.keys.key(VISITOR, domain, streamId);
  }

  /** Closes the streams of another domain; returns how many. */
  closeStreams(domain: string): number {
    const streams = [...this.#streams].filter(
      (stream) =>
        stream.pairs.sendsTo(domain) ||
        stream.pairs.receivesFrom(domain) ||
        (stream instanceof OutgoingStream && stream.pair.remote === domain),
    );
    for (const stream of streams) stream.close('closed by an administrator');
    return streams.length;
  }

  // StreamEvents

  opened(stream: ServerStream): void {
    this.#streams.add(stream);
  }

  ended(stream: ServerStream): void {
    this.#streams.delete(stream);
  }

  proved(remote: string): void {
    this.#paths.retryNow(remote);
  }

  maySend(stream: IncomingStream, pair: DomainPair): void {
    const path = this.#paths.get(pair);
    if (path === undefined || path.isOpen || path.isConnecting) return;
    if (this.#kept.founderOf(path) !== undefined) path.retryNow();
    else this.#attach(path, stream);
  }

  verify(pair: DomainPair, streamId: string, key: string, address: string): Promise<Verification> {
    return this.#outgoing.verify(pair, streamId, key, address);
  }

  pingAnswered(id: string, { remote }: DomainPair): boolean {
    for (const stream of this.#streams) {
      if (!stream.pairs.sendsTo(remote) || !stream.pingAnswered(id)) continue;
      this.#answering.set(remote, ANSWERING);
      return true;
    }
    return false;
  }

  isCalledBy(remote: string): boolean {
    for (const stream of this.#streams) if (stream instanceof IncomingStream && stream.claims(remote)) return true;
    return false;
  }

  answersPings(remote: string): boolean {
    return this.#answering.get(remote) !== undefined;
  }

  keep(flow: StreamFlow, domains: ReadonlySet<string>): boolean {
    return !this.#isStopping && this.#kept.keep(flow, domains, this.#context.clock.monotonic());
  }

  hasKeptFrom(domain: string): boolean {
    return this.#kept.hasFrom(domain);
  }

  takeKept(id: string, pairs: Pick<ProvedPairs, 'receivesFrom'>): StreamFlow | undefined {
    for (const stream of this.#streams) {
      const { peer, resumptionId } = stream.flow;
      if (peer === undefined || resumptionId !== id || !pairs.receivesFrom(peer)) continue;
      stream.giveUp('it is resumed by another');
    }
    return this.#kept.take(id, pairs);
  }

  hasKeptOf(pair: DomainPair): boolean {
    return this.#kept.hasOf(pair);
  }

  takeKeptOf(pair: DomainPair): StreamFlow | undefined {
    return this.#kept.takeOf(pair);
  }

  resumptionEnded(flow: StreamFlow): void {
    this.#kept.resumptionEnded(flow);
  }

  async #connect(path: DomainPath): Promise<void> {
    try {
      const carrier = await this.#carrierFor(path);
      if (!path.isOpen) this.#attach(path, carrier);
    } catch (error) {
      if (path.isOpen) return;
      const failure = failureOf(error, this.#context.log);
      this.#context.counters.serverConnectFailures.add(failure.condition);
      path.failed(failure);
    }
  }

  /** What an owner had sent over a stream that broke is resumed by now, or will not be. */
  #attach(path: DomainPath, stream: ServerStream): void {
    this.#kept.abandon(path);
    path.attach(stream);
  }

  async #carrierFor(path: DomainPath): Promise<ServerStream> {
    const { pair } = path;
    const founder = this.#kept.founderOf(path);
    if (founder !== undefined && !isSamePair(founder, pair)) await this.#resume(founder);
    const open = this.#sending(pair);
    if (open !== undefined && !this.#kept.hasOf(pair)) return open;
    try {
      return await this.#outgoing.authorized(pair);
    } catch (error) {
      const meanwhile = this.#sending(pair);
      if (meanwhile === undefined) throw error;
      return meanwhile;
    }
  }

  /** Resumes a stream that broke, for another pair that it carried: what that had sent over it is had back by nothing else. */
  async #resume(founder: DomainPair): Promise<void> {
    try {
      await this.#outgoing.authorized(founder);
    } catch (error) {
      failureOf(error, this.#context.log); // The other pair may have better luck with a stream of its own.
    }
  }

  #sending(pair: DomainPair): ServerStream | undefined {
    for (const stream of this.#streams) if (stream.isOpen && stream.pairs.sends(pair)) return stream;
    return undefined;
  }
}

function isSamePair(one: DomainPair, other: DomainPair): boolean {
  return one.local === other.local && one.remote === other.remote;
}
