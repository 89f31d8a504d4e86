import { BoundedCache } from '../../stanzas/bounded-cache.ts';
import type { Stanza } from '../../stanzas/stanza.ts';
import { StanzaError } from '../../stanzas/stanza-error.ts';
import type { DomainPair, OutboxEntry } from '../../storage/outboxes.ts';
import type { Storage } from '../../storage/storage.ts';
import { networkOf } from '../sasl/network.ts';
import type { Inbound } from '../routing/account.ts';
import type { Receipt } from '../routing/receipt.ts';
import type { Destination, Router } from '../routing/router.ts';
import type { Connection } from '../streams/connection.ts';
import { DomainPath, type PathContext, type PathLimits } from './domain-path.ts';
import { isServedHere, type FederationContext, type StreamEvents, type Verification } from './federation-context.ts';
import { summaryOf, type ServerStreamSummary, type WaitingSummary } from './federation-summary.ts';
import { IncomingStream } from './incoming-stream.ts';
import { KeptFlows } from './kept-flows.ts';
import { ResolutionError } from './name-resolution.ts';
import { OutgoingStream } from './outgoing-stream.ts';
import { PeerFailure } from './peer-failure.ts';
import { KEPT_FOR_NOBODY_MS, Returns } from './returns.ts';
import type { ServerStream } from './server-stream.ts';
import { Shares } from './shares.ts';
import type { StreamFlow } from './stream-flow.ts';
import { openStream, type StreamOpening } from './stream-opening.ts';
import { Turns } from './turns.ts';

export interface FederationOptions extends Omit<FederationContext, 'events'> {
  readonly router: FederationContext['router'] & Pick<Router, 'presentAddress'>;
  readonly storage: Pick<Storage, 'outboxes' | 'commit'>;
  readonly dialing: StreamOpening['dialing'];
  readonly connect: StreamOpening['connect'];
  /** From 0 (inclusive) to 1 (exclusive). */
  readonly random: () => number;
}

const MAX_PATHS = 20_000;
/** Domains that one account has us look for, or speak to. */
const MAX_PATHS_OF_SENDER = 1000;
const MAX_DIALING = 64;
/** Connections that strangers have us make, to verify what they claim: they keep no others waiting. */
const MAX_DIALING_TO_VERIFY = 32;
const MAX_VERIFYING = 500;
const MAX_VERIFYING_OF_NETWORK = 100;
const PINGING_SERVERS = 4096;
const ANSWERING = Object.freeze({});

/** The way to other servers and from them: streams, and a path for each pair of domains. */
export class Federation implements Destination, StreamEvents {
  readonly #options: FederationOptions;
  readonly #context: FederationContext;
  readonly #pathContext: PathContext;
  readonly #paths = new Map<string, DomainPath>();
  readonly #streams = new Set<ServerStream>();
  readonly #kept = new KeptFlows();
  readonly #returns: Returns;
  readonly #opening: StreamOpening;
  /** Whose stanzas have made a path, by its key. */
  readonly #founders = new Map<string, string>();
  readonly #pathsOfSender = new Shares(MAX_PATHS_OF_SENDER);
  readonly #verifyingOfNetwork = new Shares(MAX_VERIFYING_OF_NETWORK);
  /** Streams that are being opened, by pair. */
  readonly #openings = new Map<string, Promise<OutgoingStream>>();
  readonly #answering = new BoundedCache<string, object>(PINGING_SERVERS);
  readonly #turns = new Turns(MAX_DIALING, MAX_PATHS);
  readonly #turnsToVerify = new Turns(MAX_DIALING_TO_VERIFY, MAX_VERIFYING);
  #verifying = 0;
  #isStopping = false;

  constructor(options: FederationOptions) {
    this.#options = options;
    this.#context = { ...options, events: this };
    const { dialing, connect } = options;
    this.#opening = { dialing, connect, context: this.#context, failureOf: (error) => this.#failureOf(error) };
    const { settings, storage, clock, log, random, router } = options;
    this.#returns = new Returns({ ...options, outboxes: storage.outboxes, commit: storage.commit });
    const limits: PathLimits = {
      maxStanzas: settings.maxQueueStanzas,
      maxBytes: settings.maxQueueBytes,
      maxTotalBytes: settings.maxTotalQueueBytes,
      patienceMs: settings.patienceSeconds * 1000,
    };
    this.#pathContext = {
      outboxes: storage.outboxes,
      commit: storage.commit,
      clock,
      log,
      random,
      limits,
      usage: { bytes: 0 },
      isStopping: () => this.#isStopping,
      isResumable: (pair) => this.#kept.hasOf(pair),
      connect: (path) => void this.#connect(path),
      returns: this.#returns,
      answer: (stanza, error) => router.answer(stanza, error),
    };
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
      this.#path({ local: from.domain, remote: to.domain }, founderOf(stanza)).accept(item);
    } catch (error) {
      this.#context.router.answer(stanza, error, receipt);
    }
  }

  reserve(stanza: Stanza): ((receipt: Receipt | undefined) => void) | undefined {
    const { from, to } = stanza;
    if (from === undefined || to === undefined || this.#context.policies.of(to.domain) === 'deny') return undefined;
    try {
      return this.#path({ local: from.domain, remote: to.domain }, founderOf(stanza)).reserve(stanza);
    } catch (error) {
      if (!(error instanceof StanzaError)) throw error;
      return undefined; // `receive` will say so
    }
  }

  /** Takes up what an earlier run left in the outbox. Rejects with StoreError. */
  async restore(): Promise<number> {
    const { storage, log } = this.#options;
    let restored = 0;
    let pair: DomainPair | undefined;
    let entries: OutboxEntry[] = [];
    const finish = (): void => {
      if (pair !== undefined) this.#restore(pair, entries);
      entries = [];
    };
    const skipped = (error: unknown): void =>
      log.error({ error: String(error) }, 'a message for another server cannot be read');
    for await (const [of, entry] of storage.outboxes.everything(skipped)) {
      if (pair === undefined || keyOf(pair) !== keyOf(of)) finish();
      pair = of;
      entries.push(entry);
      restored++;
    }
    finish();
    return restored;
  }

  /** The configuration may have changed meanwhile. */
  #restore(pair: DomainPair, entries: readonly OutboxEntry[]): void {
    const { storage, log, clock } = this.#options;
    if (isServedHere(this.#context, pair.local)) {
      const refusal = isServedHere(this.#context, pair.remote)
        ? new StanzaError('remote-server-timeout', `${pair.remote} has moved to this server: send it again`)
        : undefined;
      this.#path(pair).restore(entries, refusal);
      return;
    }
    // Nobody is left whom an error would reach: it waits, for the domain may come back.
    const old = entries.filter(({ at }) => at <= clock.now() - KEPT_FOR_NOBODY_MS).map(({ position }) => position);
    log.warn(
      { ...pair, stanzas: entries.length - old.length, removed: old.length },
      'stanzas of a domain that is no longer in the configuration stay in the outbox, for 30 days',
    );
    storage.commit.add(storage.outboxes.removeWrites(pair, old), {
      committed: () => undefined,
      refused: (error) => log.error({ ...pair, error: error.message }, 'old messages stay in the outbox'),
    });
  }

  /** Looks at the clock, about once a second. */
  check(now: number): void {
    for (const stream of this.#streams) stream.check(now);
    for (const [key, path] of this.#paths) {
      path.check();
      if (!path.isForgettable) continue;
      path.forgetMark();
      this.#paths.delete(key);
      const founder = this.#founders.get(key);
      if (founder === undefined) continue;
      this.#founders.delete(key);
      this.#pathsOfSender.giveBack(founder);
    }
    this.#kept.expire(now);
    this.#returns.check();
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
    let stanzas = 0;
    for (const path of this.#paths.values()) stanzas += path.waiting;
    return stanzas;
  }

  /** Bytes that all paths hold, sent and not confirmed among them. */
  get heldBytes(): number {
    return this.#pathContext.usage.bytes;
  }

  summaries(): ServerStreamSummary[] {
    return [...this.#streams].map(summaryOf);
  }

  waiting(): WaitingSummary[] {
    return [...this.#paths.values()]
      .filter((path) => path.waiting > 0 || path.lastFailure !== undefined)
      .map((path) => ({
        ...path.pair,
        stanzas: path.waiting,
        connecting: path.isConnecting,
        reason: path.lastFailure,
      }));
  }

  /** Opens a stream for the pair, unless there is one. Rejects with PeerFailure. */
  async open(pair: DomainPair): Promise<void> {
    if (this.#path(pair).isOpen) return;
    const carrier = await this.#carrierFor(pair);
    // Meanwhile it may have found a stream itself, or have been forgotten.
    const path = this.#path(pair);
    if (!path.isOpen) this.#attach(path, carrier);
  }

  /** Closes the streams of another domain; returns how many. */
  closeStreams(domain: string): number {
    const streams = [...this.#streams].filter(
      (stream) =>
        stream.sentPairs.some(({ remote }) => remote === domain) ||
        stream.receivedPairs.some((pair) => pair.startsWith(`${domain}>`)) ||
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
    for (const path of this.#paths.values()) if (path.pair.remote === remote && !path.isOpen) path.retryNow();
  }

  maySend(stream: IncomingStream, pair: DomainPair): void {
    const path = this.#paths.get(keyOf(pair));
    if (path === undefined || path.isOpen || path.isConnecting) return;
    if (this.#kept.hasOf(pair)) path.retryNow();
    else this.#attach(path, stream);
  }

  async verify(pair: DomainPair, streamId: string, key: string, address: string): Promise<Verification> {
    const network = networkOf(address);
    if (this.#verifying >= MAX_VERIFYING || !this.#verifyingOfNetwork.take(network)) {
      return new PeerFailure('resource-constraint', 'too much is being verified');
    }
    this.#verifying++;
    try {
      const existing = this.#outgoing((stream) => stream.pair.remote === pair.remote && stream.isReady);
      const stream = existing ?? (await this.#newStream(pair, this.#turnsToVerify));
      return await stream.verify(pair, streamId, key);
    } catch (error) {
      return this.#failureOf(error);
    } finally {
      this.#verifying--;
      this.#verifyingOfNetwork.giveBack(network);
    }
  }

  pingAnswered(id: string, { remote }: DomainPair): boolean {
    for (const stream of this.#streams) {
      if (!stream.sentPairs.some((pair) => pair.remote === remote) || !stream.pingAnswered(id)) continue;
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

  keep(flow: StreamFlow, peer: string): boolean {
    return !this.#isStopping && this.#kept.keep(flow, peer, this.#context.clock.monotonic());
  }

  hasKeptFrom(peer: string): boolean {
    return this.#kept.hasFrom(peer);
  }

  takeKept(id: string, peer: string): StreamFlow | undefined {
    for (const stream of this.#streams) {
      if (stream.direction !== 'incoming' || stream.flow.resumptionId !== id) continue;
      if (stream.receivedPairs.some((pair) => pair.startsWith(`${peer}>`))) stream.giveUp('it is resumed by another');
    }
    return this.#kept.take(id, peer);
  }

  takeKeptOf(pair: DomainPair): StreamFlow | undefined {
    return this.#kept.takeOf(pair);
  }

  /** @throws StanzaError where there are too many. @param founder whose share a new path counts against */
  #path(pair: DomainPair, founder?: string): DomainPath {
    const key = keyOf(pair);
    let path = this.#paths.get(key);
    if (path === undefined) {
      if (this.#paths.size >= MAX_PATHS) {
        throw new StanzaError('resource-constraint', 'This server talks to too many others already');
      }
      if (founder !== undefined) {
        if (!this.#pathsOfSender.take(founder)) {
          throw new StanzaError('resource-constraint', 'You talk to too many other servers already');
        }
        this.#founders.set(key, founder);
      }
      path = new DomainPath(pair, this.#pathContext);
      this.#paths.set(key, path);
    }
    return path;
  }

  async #connect(path: DomainPath): Promise<void> {
    try {
      const carrier = await this.#carrierFor(path.pair);
      if (!path.isOpen) this.#attach(path, carrier);
    } catch (error) {
      if (path.isOpen) return;
      const failure = this.#failureOf(error);
      this.#context.counters.serverConnectFailures.add(failure.condition);
      path.failed(failure);
    }
  }

  /** What an owner had sent over a stream that broke is resumed by now, or will not be. */
  #attach(path: DomainPath, stream: ServerStream): void {
    this.#kept.abandon(path);
    path.attach(stream);
  }

  async #carrierFor(pair: DomainPair): Promise<ServerStream> {
    const open = this.#sending(pair);
    if (open !== undefined && !this.#kept.hasOf(pair)) return open;
    try {
      return await this.#ownStream(pair);
    } catch (error) {
      const meanwhile = this.#sending(pair);
      if (meanwhile === undefined) throw error;
      return meanwhile;
    }
  }

  #sending(pair: DomainPair): ServerStream | undefined {
    for (const stream of this.#streams) if (stream.isOpen && stream.sends(pair)) return stream;
    return undefined;
  }

  /** A stream that we open, or have opened. */
  async #ownStream(pair: DomainPair): Promise<ServerStream> {
    // XEP-0220 2.6.1: a further domain of ours over the same stream; and a stream that only verified something
    const shared = this.#outgoing(
      (stream) =>
        stream.pair.remote === pair.remote &&
        stream.isReady &&
        (stream.takesMorePairs || stream.pair.local === pair.local),
    );
    if (shared !== undefined) {
      try {
        await shared.authorize(pair);
        return shared;
      } catch (error) {
        if (!(error instanceof PeerFailure)) throw error;
        this.#context.log.debug({ ...pair, reason: error.message }, 'an open stream could not be shared');
      }
    }
    const stream = await this.#newStream(pair, this.#turns);
    await stream.authorize(pair);
    return stream;
  }

  #outgoing(isWanted: (stream: OutgoingStream) => boolean): OutgoingStream | undefined {
    for (const stream of this.#streams) if (stream instanceof OutgoingStream && isWanted(stream)) return stream;
    return undefined;
  }

  /** A stream that is ready; one for all who ask at the same time. */
  #newStream(pair: DomainPair, turns: Turns): Promise<OutgoingStream> {
    const sending = this.#openings.get(keyOf(pair));
    if (sending !== undefined) return sending;
    const key = turns === this.#turns ? keyOf(pair) : `${keyOf(pair)} to verify`;
    const opening = this.#openings.get(key);
    if (opening !== undefined) return opening;
    const stream = this.#dial(pair, turns).finally(() => this.#openings.delete(key));
    this.#openings.set(key, stream);
    return stream;
  }

  async #dial(pair: DomainPair, turns: Turns): Promise<OutgoingStream> {
    const { settings } = this.#options;
    if (this.#context.policies.of(pair.remote) === 'deny') {
      throw new PeerFailure('not-allowed', `s2s.policies forbids ${pair.remote}`, { isFinal: true });
    }
    // Those that others open have their own limit, so that nobody keeps us from connecting by connecting.
    let outgoing = 0;
    for (const stream of this.#streams) if (stream instanceof OutgoingStream) outgoing++;
    if (outgoing >= settings.maxConnections) {
      throw new PeerFailure('resource-constraint', 's2s.max_connections streams are open already');
    }
    const turn = turns.begin();
    if (turn === undefined) throw new PeerFailure('resource-constraint', 'too many connections are being made');
    await turn;
    try {
      return await openStream(this.#opening, pair);
    } finally {
      turns.end();
    }
  }

  #failureOf(error: unknown): PeerFailure {
    if (error instanceof PeerFailure) return error;
    if (error instanceof ResolutionError && error.isCertain) {
      return new PeerFailure('remote-server-not-found', error.message, { isFinal: true });
    }
    if (error instanceof Error && (error.name === 'DialingError' || error.name === 'ResolutionError')) {
      return new PeerFailure('remote-server-timeout', error.message);
    }
    this.#context.log.error(
      { error: error instanceof Error ? error.stack : String(error) },
      'connecting to another server failed',
    );
    return new PeerFailure('internal-server-error', 'Connecting failed');
  }
}

function keyOf({ local, remote }: DomainPair): string {
  return `${local}>${remote}`;
}

/** Whose share a path counts against that the stanza makes; nobody's for an answer, which a stranger may have asked for. */
function founderOf({ kind, type, from }: Stanza): string | undefined {
  const isAnswer = type === 'error' || (kind === 'iq' && type === 'result');
  return isAnswer || from === undefined || from.local === '' ? undefined : from.bare;
}
