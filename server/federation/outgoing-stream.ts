import { toByteString } from '../../stanzas/byte-string.ts';
import type { Frame, StreamHeader } from '../../stanzas/frame.ts';
import { NS } from '../../stanzas/namespaces.ts';
import { StreamError } from '../../stanzas/stream-error.ts';
import type { DomainPair } from '../../storage/outboxes.ts';
import { namesDomain } from '../sasl/peer-certificate.ts';
import type { Connection } from '../streams/connection.ts';
import type { Place } from './dialing.ts';
import { dialbackBytes, dialbackDomains, dialbackError } from './dialback.ts';
import { DialbackRequests, type Awaited } from './dialback-requests.ts';
import { certificateProblem, connectionProblem } from './failure-words.ts';
import type { FederationContext, Verification } from './federation-context.ts';
import { ManagementRequests } from './management-requests.ts';
import { PeerFailure } from './peer-failure.ts';
import { featuresOf, type PeerFeatures } from './peer-features.ts';
import { ServerStream } from './server-stream.ts';
import { limitsElement } from './stream-limits.ts';
import { tellUp, type Proof } from './stream-lines.ts';

/** Pairs of domains of one stream. */
const MAX_PAIRS = 1000;
/** How long a stream that only verified something stays for the next question. */
const LINGER_MS = 10_000;

/** A stream to another server: the initiating entity of RFC 6120, the initiating and receiving server of XEP-0220. */
export class OutgoingStream extends ServerStream {
  readonly direction = 'outgoing';
  /** What the header names. */
  readonly pair: DomainPair;
  readonly place: Place | undefined;
  /** Resolves when TLS stands as policy wants it and the peer has said what it can; rejects with PeerFailure. */
  readonly ready: Promise<void>;
  #isReady = false;
  #streamId = '';
  #features: PeerFeatures | undefined;
  #hasTriedExternal = false;
  #isBidirectional = false;
  #resolveReady: () => void = () => undefined;
  #rejectReady: (failure: PeerFailure) => void = () => undefined;
  #featuresAwaited: Awaited<PeerFeatures> | undefined;
  #saslAwaited: Awaited<boolean> | undefined;
  readonly #dialback: DialbackRequests;
  readonly #management = new ManagementRequests(this);
  /** What nothing else may run beside: the proof of the first pair. */
  #beginning: Promise<unknown> = Promise.resolve();
  #hasAskedForManagement = false;
  readonly #authorizing = new Map<string, Promise<void>>();

  /** @param place where the connection goes, as DNS has said of the remote domain */
  constructor(connection: Connection, context: FederationContext, pair: DomainPair, place?: Place) {
    super(connection, context);
    this.pair = pair;
    this.place = place;
    this.#dialback = new DialbackRequests(context, (bytes) => connection.write(bytes));
    this.ready = new Promise((resolve, reject) => {
      this.#resolveReady = resolve;
      this.#rejectReady = reject;
    });
    this.ready.catch(() => undefined); // whoever is interested hears it
    this.writeHeader();
  }

  get isReady(): boolean {
    return this.#isReady && this.isOpen;
  }

  /** Whether a pair may be asked for here whose remote domain is one of this stream (XEP-0220 2.6.1). */
  takes(pair: DomainPair): boolean {
    if (!this.isReady) return false;
    if (pair.local === this.pair.local && pair.remote === this.pair.remote) return true;
    const isOfPeer = pair.remote === this.pair.remote || this.pairs.sendsTo(pair.remote);
    return isOfPeer && this.#features?.hasDialback === true && this.pairs.sentCount < MAX_PAIRS;
  }

  /** Whether a further domain of the peer may be asked for here, where DNS leads to the same place (XEP-0220 2.6.2). */
  admits(remote: string): boolean {
    if (!this.isReady || this.#features?.hasDialbackErrors !== true || this.pairs.sentCount >= MAX_PAIRS) return false;
    const policy = this.context.policies.of(remote);
    if (policy === 'deny') return false;
    if (this.#certificateProblem(remote) === undefined) return true;
    // One place may lead to servers of several owners, by SNI (XEP-0368) or by the `to` of the stream: that dialback is answered
    // here proves nothing then, but that who has the domain above, and so its DNS, answers for the one below.
    return policy === 'dialback' && this.place?.target.directTls === false && remote.endsWith(`.${this.pair.remote}`);
  }

  /**
   * Proves a domain of ours, resumes what a broken stream of the pair left, and begins to carry its stanzas.
   * @throws PeerFailure
   */
  authorize(pair: DomainPair): Promise<void> {
    const name = `${pair.local}>${pair.remote}`;
    const known = this.#authorizing.get(name);
    if (known !== undefined) return known;
    const begun = this.#beginning.then(() => (this.isAuthenticated ? undefined : this.#begin(pair)));
    this.#beginning = begun.catch(() => undefined);
    const authorized = begun.then(() => this.#add(pair)).finally(() => this.#authorizing.delete(name));
    this.#authorizing.set(name, authorized);
    return authorized;
  }

  /** Proves the first pair; what is negotiated once, for the whole stream, comes with it. */
  async #begin(pair: DomainPair): Promise<void> {
    await this.ready;
    if (this.isOver) throw this.#failure();
    const proof = await this.#proveFirst(pair);
    // XEP-0198 3: there is one attempt
    if (!this.#hasAskedForManagement) {
      this.#hasAskedForManagement = true;
      await this.#management.start(pair, this.#features?.hasManagement === true);
    }
    this.#proved(pair, proof);
  }

  /** Proves a further pair (XEP-0220 2.6), side by side with others: none holds up another. */
  async #add(pair: DomainPair): Promise<void> {
    if (this.pairs.sends(pair)) return;
    if (this.isOver) throw this.#failure();
    await this.#dialback.prove(pair, this.#streamId);
    this.#proved(pair, 'dialback');
  }

  #proved(pair: DomainPair, proof: Proof): void {
    if (this.isOver) throw this.#failure();
    this.pairs.allowSending(pair);
    // XEP-0288 2.2
    if (this.#isBidirectional) this.allowReceiving(pair);
    tellUp(this, pair, proof);
  }

  /** Asks whether a key that the peer's domain is said to have made is its own (XEP-0220 2.1.2). Never rejects. */
  async verify(pair: DomainPair, streamId: string, key: string): Promise<Verification> {
    try {
      await this.ready;
    } catch (error) {
      return error instanceof PeerFailure ? error : new PeerFailure('internal-server-error', String(error));
    }
    if (this.isOver) return this.#failure();
    const outcome = await this.#dialback.verify(pair, streamId, key);
    this.deadline = this.context.clock.monotonic() + LINGER_MS;
    return outcome;
  }

  protected writeHeader(): void {
    this.hasSentHeader = true;
    const { local, remote } = this.pair;
    this.connection.write(
      `<?xml version='1.0'?><stream:stream xmlns='${NS.SERVER}' xmlns:stream='${NS.STREAMS}' xmlns:db='${NS.DIALBACK}'` +
        ` from='${toByteString(local)}' to='${toByteString(remote)}' version='1.0' xml:lang='en'>`,
    );
  }

  protected headerCame(header: StreamHeader): void {
    if (header.contentNamespace !== NS.SERVER) {
      throw new StreamError('invalid-namespace', 'Servers speak jabber:server');
    }
    if (!/^[1-9]\d*\.\d+$/.test(header.version ?? '')) {
      throw new StreamError('unsupported-version', 'XMPP 1.0 is spoken here');
    }
    this.#streamId = header.id ?? '';
  }

  protected handle(frame: Frame): void {
    switch (frame.namespace) {
      case NS.STREAMS:
        if (frame.name !== 'features') break;
        this.#featuresCame(frame);
        return;
      case NS.TLS:
        this.#tlsAnswered(frame);
        return;
      case NS.SASL:
        this.#saslAnswered(frame);
        return;
      case NS.DIALBACK:
        this.#dialbackCame(frame);
        return;
      case NS.STREAM_MANAGEMENT:
        if (this.acknowledgements.take(frame) || this.#management.answered(frame)) return;
        break;
    }
    throw new StreamError('unsupported-stanza-type', 'This element has no place here');
  }

  protected isInUse(): boolean {
    return this.#dialback.areWaiting;
  }

  protected overdue(): void {
    const isWaiting = this.isInUse() || this.#saslAwaited !== undefined || this.#management.areWaiting;
    if (this.#isReady && !isWaiting) this.close('it was needed no longer');
    else this.closeWithError(new StreamError('connection-timeout', 'The negotiation took too long'));
  }

  protected ended(): void {
    const failure = this.#failure();
    this.#rejectReady(failure);
    for (const awaited of [this.#featuresAwaited, this.#saslAwaited]) awaited?.reject(failure);
    this.#management.fail(failure);
    this.#dialback.fail(failure);
  }

  /** Why the stream is over, as whoever waited for it should know. */
  #failure(): PeerFailure {
    const { remote } = this.pair;
    const condition = this.peerCondition ?? '';
    const isUnknown = condition === 'host-unknown' || condition === 'host-gone';
    if (this.#ownFailure !== undefined) return this.#ownFailure;
    return new PeerFailure(
      isUnknown ? 'remote-server-not-found' : 'remote-server-timeout',
      `${remote}: ${this.endReason === '' ? 'the stream ended' : this.endReason}`,
      { isFinal: REFUSALS.has(condition), mayTryNext: !this.#isReady && !REFUSALS.has(condition) },
    );
  }

  #ownFailure: PeerFailure | undefined;

  /** Ends the stream for a reason of ours. */
  #refuse(failure: PeerFailure): void {
    this.#ownFailure = failure;
    this.close(failure.message);
  }

  #featuresCame(frame: Frame): void {
    const features = featuresOf(frame);
    this.takeLimits(frame);
    const { remote } = this.pair;
    if (this.#featuresAwaited !== undefined) {
      this.#features = features;
      this.#featuresAwaited.resolve(features);
      this.#featuresAwaited = undefined;
      return;
    }
    if (this.#isReady) throw new StreamError('bad-format', 'These features were not expected');
    if (!this.isEncrypted) {
      if (features.canStartTls && this.connection.canStartTls) {
        this.connection.write(`<starttls xmlns='${NS.TLS}'/>`);
        return;
      }
      if (this.context.settings.requireTls || this.context.policies.of(remote) === 'certificate') {
        this.#refuse(new PeerFailure('remote-server-not-found', `${remote} offers no TLS`, { isFinal: true }));
        return;
      }
    }
    const problem = this.#certificateProblem(remote);
    if (problem !== undefined && this.context.policies.of(remote) === 'certificate') {
      const text = `the certificate of ${remote} is not valid (${problem}), and s2s.policy asks for a valid one`;
      this.context.log.warn({ domain: remote, address: this.connection.remoteAddress, problem }, text);
      this.#refuse(new PeerFailure('remote-server-not-found', text, { isFinal: true }));
      return;
    }
    this.#features = features;
    this.#isReady = true;
    this.deadline = this.context.clock.monotonic() + this.context.settings.negotiationTimeoutSeconds * 1000;
    this.#resolveReady();
  }

  /** Why the certificate of the connection does not prove a domain, in words; undefined where it does. */
  #certificateProblem(domain: string): string | undefined {
    const { peer } = this.connection.security;
    if (peer === undefined) return 'it shows none';
    if (peer.problem !== undefined) return certificateProblem(peer.problem);
    return namesDomain(peer.names, domain) ? undefined : 'it is for another domain';
  }

  #tlsAnswered(frame: Frame): void {
    const { remote } = this.pair;
    if (frame.name !== 'proceed' || !this.connection.canStartTls || this.#isReady) {
      this.close('the other server refuses TLS');
      return;
    }
    this.restart();
    this.waitFor(
      this.connection.startTls(remote).then(
        () => {
          this.forgetHeld();
          this.writeHeader();
        },
        (error: unknown) =>
          this.abort(`TLS was not established: ${error instanceof Error ? connectionProblem(error) : String(error)}`),
      ),
    );
  }

  async #proveFirst(pair: DomainPair): Promise<Proof> {
    const features = this.#features!;
    // Interop: Prosody moves what it has to say to the stream that may carry it, past what waits for the one it opens.
    const mayShare = this.context.settings.bidirectional && !this.context.events.isCalledBy(pair.remote);
    if (!this.#isBidirectional && features.isBidirectional && mayShare) {
      this.#isBidirectional = true;
      this.connection.write(`<bidi xmlns='${NS.BIDI}'>${limitsElement(this.context.settings)}</bidi>`);
    }
    const mayUseExternal =
      !this.#hasTriedExternal && this.isEncrypted && pair.local === this.pair.local && pair.remote === this.pair.remote;
    if (mayUseExternal && features.mechanisms.includes('EXTERNAL')) {
      this.#hasTriedExternal = true;
      const isAccepted = await this.#external(pair.local);
      if (isAccepted) return 'certificate';
    }
    await this.#dialback.prove(pair, this.#streamId);
    return 'dialback';
  }

  /** SASL EXTERNAL (XEP-0178 3); false where the peer refuses. */
  async #external(local: string): Promise<boolean> {
    const answer = new Promise<boolean>((resolve, reject) => (this.#saslAwaited = { resolve, reject }));
    // RFC 6120 6.3.8: Interop: servers want the authorization identity
    const authzid = Buffer.from(local, 'utf8').toString('base64');
    this.connection.write(`<auth xmlns='${NS.SASL}' mechanism='EXTERNAL'>${authzid}</auth>`);
    if (!(await answer)) return false;
    const features = new Promise<PeerFeatures>((resolve, reject) => (this.#featuresAwaited = { resolve, reject }));
    await features;
    return true;
  }

  #saslAnswered(frame: Frame): void {
    const awaited = this.#saslAwaited;
    if (awaited === undefined) throw new StreamError('unsupported-stanza-type', 'This element has no place here');
    if (frame.name === 'challenge') {
      this.connection.write(`<response xmlns='${NS.SASL}'>=</response>`);
      return;
    }
    this.#saslAwaited = undefined;
    if (frame.name === 'success') {
      this.restart();
      this.writeHeader();
    } else {
      const [condition] = frame.children;
      this.context.log.info(
        { domain: this.pair.remote, condition: condition?.name },
        'another server does not accept our certificate',
      );
    }
    awaited.resolve(frame.name === 'success');
  }

  #dialbackCame(frame: Frame): void {
    const { from, to } = dialbackDomains(frame, this.context);
    if (frame.type === undefined) {
      // XEP-0288 lets the peer ask for further pairs; its other streams serve for those.
      if (frame.name !== 'result') throw new StreamError('unsupported-stanza-type', 'This stream verifies nothing');
      const header = { from: to, to: from, type: 'error' } as const;
      this.connection.write(dialbackBytes('result', header, dialbackError('not-acceptable')));
      return;
    }
    if (this.#dialback.answered(frame, from, to)) return;
    this.context.log.warn(
      { address: this.connection.remoteAddress, from, to },
      'an answer to dialback came that nobody asked for',
    );
  }
}

/** Stream errors that mean: not with you. Trying again is in vain. */
const REFUSALS = new Set(['host-unknown', 'host-gone', 'policy-violation', 'not-authorized', 'unsupported-version']);
