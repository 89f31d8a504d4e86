import { escapeAttribute, toByteString } from '../../stanzas/byte-string.ts';
import { otherAttribute, type Frame, type StreamHeader } from '../../stanzas/frame.ts';
import { NS } from '../../stanzas/namespaces.ts';
import { StreamError } from '../../stanzas/stream-error.ts';
import type { DomainPair } from '../../storage/outboxes.ts';
import { namesDomain } from '../sasl/peer-certificate.ts';
import type { Connection } from '../streams/connection.ts';
import { conditionOf, dialbackBytes, dialbackDomains, dialbackError, verificationOf } from './dialback.ts';
import type { FederationContext, Verification } from './federation-context.ts';
import { toOwners } from './parcel.ts';
import { PeerFailure } from './peer-failure.ts';
import { featuresOf, type PeerFeatures } from './peer-features.ts';
import { ServerStream } from './server-stream.ts';
import { countOf, giveUpFlow, type StreamFlow } from './stream-flow.ts';

/** Something the peer has to say first. */
interface Awaited<T> {
  readonly resolve: (value: T) => void;
  readonly reject: (failure: PeerFailure) => void;
}

/** Requests of one stream that wait for an answer. */
const MAX_AWAITED = 100;
/** How long a stream that only verified something stays for the next question. */
const LINGER_MS = 10_000;

/** A stream to another server: the initiating entity of RFC 6120, the initiating and receiving server of XEP-0220. */
export class OutgoingStream extends ServerStream {
  readonly direction = 'outgoing';
  readonly pair: DomainPair;
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
  #managementAwaited: Awaited<Frame> | undefined;
  readonly #results = new Map<string, Awaited<void>>();
  readonly #verifications = new Map<string, (verification: Verification) => void>();
  /** Steps that may not run side by side. */
  #negotiation: Promise<unknown> = Promise.resolve();

  constructor(connection: Connection, context: FederationContext, pair: DomainPair) {
    super(connection, context);
    this.pair = pair;
    this.ready = new Promise((resolve, reject) => {
      this.#resolveReady = resolve;
      this.#rejectReady = reject;
    });
    this.ready.catch(() => undefined); // whoever is interested hears it
    this.writeHeader();
  }

  /** Whether further pairs may be asked for on this stream (XEP-0220 2.6.2). */
  get takesMorePairs(): boolean {
    return this.isOpen && this.#isReady && this.#features?.hasDialbackErrors === true;
  }

  get isReady(): boolean {
    return this.#isReady && this.isOpen;
  }

  /**
   * Proves a domain of ours, resumes what a broken stream of the pair left, and begins to carry its stanzas.
   * @throws PeerFailure
   */
  authorize(pair: DomainPair): Promise<void> {
    const turn = this.#negotiation.then(async () => {
      await this.ready;
      if (this.sends(pair)) return;
      await this.#prove(pair);
      if (!this.flow.isCounting) await this.#startManagement(pair);
      if (this.isOver) throw this.#failure();
      this.allowSending(pair);
      // XEP-0288 2.2
      if (this.#isBidirectional) this.allowReceiving(pair);
    });
    this.#negotiation = turn.catch(() => undefined);
    return turn;
  }

  /** Asks whether a key that the peer's domain is said to have made is its own (XEP-0220 2.1.2). Never rejects. */
  async verify(pair: DomainPair, streamId: string, key: string): Promise<Verification> {
    try {
      await this.ready;
    } catch (error) {
      return error instanceof PeerFailure ? error : new PeerFailure('internal-server-error', String(error));
    }
    const name = `${pair.local} ${pair.remote} ${streamId}`;
    if (this.isOver) return this.#failure();
    if (this.#verifications.has(name) || this.#verifications.size >= MAX_AWAITED) {
      return new PeerFailure('resource-constraint', 'too much is being verified');
    }
    const verification = new Promise<Verification>((resolve) => this.#verifications.set(name, resolve));
    const header = { from: pair.local, to: pair.remote, id: streamId };
    this.connection.write(dialbackBytes('verify', header, toByteString(escapeAttribute(key))));
    const { clock, settings } = this.context;
    const cancel = clock.schedule(settings.negotiationTimeoutSeconds * 1000, () => {
      this.#verifications.get(name)?.(
        new PeerFailure('remote-server-timeout', `${pair.remote} does not verify in time`),
      );
    });
    const outcome = await verification;
    cancel();
    this.#verifications.delete(name);
    this.deadline = clock.monotonic() + LINGER_MS;
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
        if (this.manage(frame)) return;
        if (this.#managementAwaited === undefined) break;
        this.#managementAwaited.resolve(frame);
        this.#managementAwaited = undefined;
        return;
    }
    throw new StreamError('unsupported-stanza-type', 'This element has no place here');
  }

  protected isInUse(): boolean {
    return this.#verifications.size > 0 || this.#results.size > 0;
  }

  protected overdue(): void {
    const isWaiting = this.isInUse() || this.#saslAwaited !== undefined || this.#managementAwaited !== undefined;
    if (this.#isReady && !isWaiting) this.close('it was needed no longer');
    else this.closeWithError(new StreamError('connection-timeout', 'The negotiation took too long'));
  }

  protected ended(): void {
    const failure = this.#failure();
    this.#rejectReady(failure);
    for (const awaited of [this.#featuresAwaited, this.#saslAwaited, this.#managementAwaited]) awaited?.reject(failure);
    for (const { reject } of [...this.#results.values()]) reject(failure);
    for (const resolve of [...this.#verifications.values()]) resolve(failure);
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
    const { peer } = this.connection.security;
    const problem =
      peer === undefined
        ? 'it shows none'
        : (peer.problem ?? (namesDomain(peer.names, remote) ? undefined : 'it is for another domain'));
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
          this.abort(`TLS was not established: ${error instanceof Error ? error.message : String(error)}`),
      ),
    );
  }

  async #prove(pair: DomainPair): Promise<void> {
    const features = this.#features!;
    const isFirst = !this.isAuthenticated;
    // Interop: Prosody moves what it has to say to the stream that may carry it, past what waits for the one it opens.
    const mayShare = this.context.settings.bidirectional && !this.context.events.isCalledBy(pair.remote);
    if (isFirst && features.isBidirectional && mayShare) {
      this.#isBidirectional = true;
      this.connection.write(`<bidi xmlns='${NS.BIDI}'>${this.limitsElement()}</bidi>`);
    }
    const mayUseExternal =
      isFirst &&
      !this.#hasTriedExternal &&
      this.isEncrypted &&
      pair.local === this.pair.local &&
      pair.remote === this.pair.remote;
    if (mayUseExternal && features.mechanisms.includes('EXTERNAL')) {
      this.#hasTriedExternal = true;
      const isAccepted = await this.#external(pair.local);
      if (isAccepted) return;
    }
    await this.#dialback(pair);
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

  #dialback(pair: DomainPair): Promise<void> {
    const { local, remote } = pair;
    const name = `${local}>${remote}`;
    if (this.#results.size >= MAX_AWAITED) {
      return Promise.reject(new PeerFailure('resource-constraint', `${remote}: too much is being negotiated`));
    }
    const { clock, settings, keys } = this.context;
    const answer = new Promise<void>((resolve, reject) => this.#results.set(name, { resolve, reject }));
    this.connection.write(
      dialbackBytes('result', { from: local, to: remote }, keys.key(remote, local, this.#streamId)),
    );
    const cancel = clock.schedule(settings.negotiationTimeoutSeconds * 1000, () =>
      this.#results
        .get(name)
        ?.reject(new PeerFailure('remote-server-timeout', `${remote} does not answer to dialback`)),
    );
    return answer.finally(() => {
      cancel();
      this.#results.delete(name);
    });
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
    // XEP-0220 3.1: only what was asked for on this very stream counts
    if (frame.name === 'verify') {
      const resolve = this.#verifications.get(`${to} ${from} ${frame.id ?? ''}`);
      if (resolve === undefined) this.#warnUnasked(from, to);
      else resolve(verificationOf(frame, from));
      return;
    }
    const awaited = this.#results.get(`${to}>${from}`);
    if (awaited === undefined) this.#warnUnasked(from, to);
    else if (frame.type === 'valid') awaited.resolve();
    else {
      // XEP-0220 2.1.1
      const condition = frame.type === 'invalid' ? 'internal-server-error' : 'remote-server-timeout';
      const reason = conditionOf(frame) ?? frame.type;
      awaited.reject(new PeerFailure(condition, `${from} does not accept ${to}: ${reason}`, { isFinal: true }));
    }
  }

  #warnUnasked(from: string, to: string): void {
    this.context.log.warn(
      { address: this.connection.remoteAddress, from, to },
      'an answer to dialback came that nobody asked for',
    );
  }

  /** XEP-0198 3, 5 */
  async #startManagement(pair: DomainPair): Promise<void> {
    const kept = this.context.events.takeKeptOf(pair);
    if (this.#features?.hasManagement !== true) {
      if (kept !== undefined) toOwners(kept.takeUnconfirmed(), (owner, own) => owner.lost(own));
      return;
    }
    if (kept !== undefined && (await this.#resumed(kept))) return;
    const answer = await this.#ask(`<enable xmlns='${NS.STREAM_MANAGEMENT}' resume='true'/>`);
    if (answer.name !== 'enabled') return;
    this.flow.startCounting();
    const wish = otherAttribute(answer, 'resume');
    if (wish !== 'true' && wish !== '1') return;
    this.flow.resumptionId = answer.id;
    this.flow.pair = pair;
    const seconds = Number(otherAttribute(answer, 'max') ?? DEFAULT_RESUMPTION_SECONDS);
    this.flow.resumptionMs = Math.min(seconds > 0 ? seconds : 0, MAX_RESUMPTION_SECONDS) * 1000;
  }

  async #resumed(kept: StreamFlow): Promise<boolean> {
    const id = toByteString(escapeAttribute(kept.resumptionId ?? ''));
    let answer: Frame;
    try {
      answer = await this.#ask(`<resume xmlns='${NS.STREAM_MANAGEMENT}' previd='${id}' h='${kept.inbound.handled}'/>`);
    } catch (error) {
      // Cut again: it may still be resumed by the next one
      if (!this.context.events.keep(kept, this.pair.remote)) {
        toOwners(kept.takeUnconfirmed(), (owner, own) => owner.lost(own));
      }
      throw error;
    }
    if (answer.name !== 'resumed') {
      giveUpFlow(kept, answer);
      return false;
    }
    this.resume(kept, countOf(answer));
    return true;
  }

  #ask(bytes: string): Promise<Frame> {
    const answer = new Promise<Frame>((resolve, reject) => (this.#managementAwaited = { resolve, reject }));
    this.connection.write(bytes);
    return answer;
  }
}

/** Stream errors that mean: not with you. Trying again is in vain. */
const REFUSALS = new Set(['host-unknown', 'host-gone', 'policy-violation', 'not-authorized', 'unsupported-version']);
const DEFAULT_RESUMPTION_SECONDS = 300;
const MAX_RESUMPTION_SECONDS = 600;
