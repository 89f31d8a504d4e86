import { escapeAttribute, toByteString } from '../../stanzas/byte-string.ts';
import type { Frame } from '../../stanzas/frame.ts';
import type { DomainPair } from '../../storage/outboxes.ts';
import { conditionOf, dialbackBytes, verificationOf } from './dialback.ts';
import type { FederationContext, Verification } from './federation-context.ts';
import { PeerFailure } from './peer-failure.ts';

/** Something the peer has to say first. */
export interface Awaited<T> {
  readonly resolve: (value: T) => void;
  readonly reject: (failure: PeerFailure) => void;
}

/** Requests of one stream that wait for an answer. */
const MAX_AWAITED = 100;

/** What we ask over a stream that we opened: as the initiating server of XEP-0220, and as the receiving one. */
export class DialbackRequests {
  readonly #context: FederationContext;
  readonly #write: (bytes: string) => void;
  readonly #results = new Map<string, Awaited<void>>();
  readonly #verifications = new Map<string, (verification: Verification) => void>();

  constructor(context: FederationContext, write: (bytes: string) => void) {
    this.#context = context;
    this.#write = write;
  }

  /** Whether an answer is waited for. */
  get areWaiting(): boolean {
    return this.#verifications.size > 0 || this.#results.size > 0;
  }

  /**
   * Proves a domain of ours with a key (XEP-0220 2.1.1).
   * @param streamId the id that the peer gave the stream
   * @throws PeerFailure
   */
  prove({ local, remote }: DomainPair, streamId: string): Promise<void> {
    const name = `${local}>${remote}`;
    if (this.#results.size >= MAX_AWAITED) {
      return Promise.reject(new PeerFailure('resource-constraint', `${remote}: too much is being negotiated`));
    }
    const { clock, settings, keys } = this.#context;
    const answer = new Promise<void>((resolve, reject) => this.#results.set(name, { resolve, reject }));
    this.#write(dialbackBytes('result', { from: local, to: remote }, keys.key(remote, local, streamId)));
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

  /** Asks whether a key that the peer's domain is said to have made is its own (XEP-0220 2.1.2). Never rejects. */
  async verify(pair: DomainPair, streamId: string, key: string): Promise<Verification> {
    const name = `${pair.local} ${pair.remote} ${streamId}`;
    if (this.#verifications.has(name) || this.#verifications.size >= MAX_AWAITED) {
      return new PeerFailure('resource-constraint', 'too much is being verified');
    }
    const verification = new Promise<Verification>((resolve) => this.#verifications.set(name, resolve));
    const header = { from: pair.local, to: pair.remote, id: streamId };
    this.#write(dialbackBytes('verify', header, toByteString(escapeAttribute(key))));
    const { clock, settings } = this.#context;
    const cancel = clock.schedule(settings.negotiationTimeoutSeconds * 1000, () => {
      this.#verifications.get(name)?.(
        new PeerFailure('remote-server-timeout', `${pair.remote} does not verify in time`),
      );
    });
    const outcome = await verification;
    cancel();
    this.#verifications.delete(name);
    return outcome;
  }

  /** An answer came. Returns false where nobody asked for it: only what was asked on this very stream counts (XEP-0220 3.1). */
  answered(frame: Frame, from: string, to: string): boolean {
    if (frame.name === 'verify') {
      const resolve = this.#verifications.get(`${to} ${from} ${frame.id ?? ''}`);
      resolve?.(verificationOf(frame, from));
      return resolve !== undefined;
    }
    const awaited = this.#results.get(`${to}>${from}`);
    if (awaited === undefined) return false;
    if (frame.type === 'valid') awaited.resolve();
    else {
      // XEP-0220 2.1.1. Deviation: what was proved on this stream goes on; if the other server closes it now, as 2.1.1 fears, what
      // it has not confirmed is treated as after any other end.
      const condition = frame.type === 'invalid' ? 'internal-server-error' : 'remote-server-timeout';
      const reason = conditionOf(frame) ?? String(frame.type);
      awaited.reject(new PeerFailure(condition, `${from} does not accept ${to}: ${reason}`, { isFinal: true }));
    }
    return true;
  }

  /** The stream is over: nothing will be answered. */
  fail(failure: PeerFailure): void {
    for (const { reject } of [...this.#results.values()]) reject(failure);
    for (const resolve of [...this.#verifications.values()]) resolve(failure);
  }
}
