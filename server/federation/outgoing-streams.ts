import type { DomainPair } from '../../storage/outboxes.ts';
import { networkOf } from '../sasl/network.ts';
import type { Verification } from './federation-context.ts';
import { OutgoingStream } from './outgoing-stream.ts';
import { PeerFailure } from './peer-failure.ts';
import type { ServerStream } from './server-stream.ts';
import { Shares } from './shares.ts';
import { failureOf, openStream, type StreamOpening } from './stream-opening.ts';
import { StreamSharing } from './stream-sharing.ts';
import { Turns } from './turns.ts';

const MAX_DIALING = 64;
/** Those who wait for their turn to be dialled. */
const MAX_WAITING = 20_000;
/** Connections that strangers have us make, to verify what they claim: they keep no others waiting. */
const MAX_DIALING_TO_VERIFY = 32;
const MAX_VERIFYING = 500;
const MAX_VERIFYING_OF_NETWORK = 100;

/** The streams that we open: to send stanzas, and to verify what others claim (XEP-0220). */
export class OutgoingStreams {
  readonly #opening: StreamOpening;
  /** All that are open or closing, in both directions. */
  readonly #streams: Iterable<ServerStream>;
  /** Streams that are being opened, by pair and purpose. */
  readonly #openings = new Map<string, Promise<OutgoingStream>>();
  readonly #sharing: StreamSharing;
  readonly #turns = new Turns(MAX_DIALING, MAX_WAITING);
  readonly #turnsToVerify = new Turns(MAX_DIALING_TO_VERIFY, MAX_VERIFYING);
  readonly #verifyingOfNetwork = new Shares(MAX_VERIFYING_OF_NETWORK);
  #verifying = 0;

  constructor(opening: StreamOpening, streams: Iterable<ServerStream>) {
    this.#opening = opening;
    this.#streams = streams;
    this.#sharing = new StreamSharing(opening, streams);
  }

  /** A stream on which the pair is proved; it is opened where none will do. @throws PeerFailure, or what dialling throws */
  async authorized(pair: DomainPair): Promise<OutgoingStream> {
    const shared = await this.#sharing.share(pair);
    if (shared !== undefined) return shared;
    const stream = await this.#open(pair, this.#turns);
    await stream.authorize(pair);
    return stream;
  }

  /** Asks the server of `pair.remote` whether a key is its own. Never rejects. @param address of who claims it */
  async verify(pair: DomainPair, streamId: string, key: string, address: string): Promise<Verification> {
    const network = networkOf(address);
    if (this.#verifying >= MAX_VERIFYING || !this.#verifyingOfNetwork.take(network)) {
      return new PeerFailure('resource-constraint', 'too much is being verified');
    }
    this.#verifying++;
    try {
      const open = this.#find((stream) => stream.pair.remote === pair.remote && stream.isReady);
      const stream = open ?? (await this.#open(pair, this.#turnsToVerify));
      return await stream.verify(pair, streamId, key);
    } catch (error) {
      return failureOf(error, this.#opening.context.log);
    } finally {
      this.#verifying--;
      this.#verifyingOfNetwork.giveBack(network);
    }
  }

  #find(isWanted: (stream: OutgoingStream) => boolean): OutgoingStream | undefined {
    for (const stream of this.#streams) if (stream instanceof OutgoingStream && isWanted(stream)) return stream;
    return undefined;
  }

  /** A stream that is ready; one for all who ask at the same time. */
  #open({ local, remote }: DomainPair, turns: Turns): Promise<OutgoingStream> {
    const toSend = `${local}>${remote}`;
    const key = turns === this.#turns ? toSend : `${toSend} to verify`;
    const known = this.#openings.get(toSend) ?? this.#openings.get(key);
    if (known !== undefined) return known;
    const stream = this.#dial({ local, remote }, turns).finally(() => this.#openings.delete(key));
    this.#openings.set(key, stream);
    return stream;
  }

  async #dial(pair: DomainPair, turns: Turns): Promise<OutgoingStream> {
    const { settings, policies } = this.#opening.context;
    if (policies.of(pair.remote) === 'deny') {
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
}
