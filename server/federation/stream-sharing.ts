import { BoundedCache } from '../../stanzas/bounded-cache.ts';
import type { DomainPair } from '../../storage/outboxes.ts';
import { isSamePlace, targetName } from './dialing.ts';
import { OutgoingStream } from './outgoing-stream.ts';
import { PeerFailure } from './peer-failure.ts';
import type { ServerStream } from './server-stream.ts';
import type { StreamOpening } from './stream-opening.ts';
import { Turns } from './turns.ts';

const MAX_LOOKUPS = 16;
const MAX_WAITING = 20_000;
const MAX_APART = 4096;
/** How long a pair that was refused on the stream of others has a stream of its own. */
const APART_MS = 600_000;

/** Has a further pair of domains share a stream that is there (XEP-0220 2.6). */
export class StreamSharing {
  readonly #opening: StreamOpening;
  /** All that are open or closing, in both directions. */
  readonly #streams: Iterable<ServerStream>;
  readonly #lookups = new Turns(MAX_LOOKUPS, MAX_WAITING);
  /** Pairs that were refused, and places where that ended the whole stream; monotonic milliseconds. */
  readonly #apart = new BoundedCache<string, { readonly untilMs: number }>(MAX_APART);

  constructor(opening: StreamOpening, streams: Iterable<ServerStream>) {
    this.#opening = opening;
    this.#streams = streams;
  }

  /** A stream on which the pair is proved now; undefined where it needs one of its own. */
  async share(pair: DomainPair): Promise<OutgoingStream | undefined> {
    // A broken stream is resumed by one that begins for its pair (XEP-0198 5).
    if (!this.#opening.context.events.hasKeptOf(pair)) {
      const shared = this.#find((stream) => stream.isAuthenticated && this.#mayTake(stream, pair));
      const stream = shared ?? (await this.#neighbour(pair));
      if (stream !== undefined && (await this.#proves(stream, pair))) return stream;
    }
    // One that only verified something until now.
    const idle = this.#find((stream) => !stream.isAuthenticated && this.#mayTake(stream, pair));
    return idle !== undefined && (await this.#proves(idle, pair)) ? idle : undefined;
  }

  #mayTake(stream: OutgoingStream, pair: DomainPair): boolean {
    return stream.takes(pair) && this.#isFree(pair, stream);
  }

  async #proves(stream: OutgoingStream, pair: DomainPair): Promise<boolean> {
    try {
      await stream.authorize(pair);
      return true;
    } catch (error) {
      if (!(error instanceof PeerFailure)) throw error;
      this.#refused(pair, stream, error);
      return false;
    }
  }

  /** The stream of another domain that is served in the same place (XEP-0220 2.6.2). */
  async #neighbour(pair: DomainPair): Promise<OutgoingStream | undefined> {
    const mayDo = (stream: OutgoingStream): boolean =>
      stream.isAuthenticated && stream.admits(pair.remote) && this.#isFree(pair, stream);
    if (this.#find(mayDo) === undefined) return undefined;
    const turn = this.#lookups.begin();
    if (turn === undefined) return undefined;
    await turn;
    try {
      const places = await this.#opening.dialing.firstPlaces(pair.remote);
      return this.#find(
        (stream) =>
          mayDo(stream) && places.some((place) => stream.place !== undefined && isSamePlace(place, stream.place)),
      );
    } finally {
      this.#lookups.end();
    }
  }

  #refused(pair: DomainPair, stream: OutgoingStream, { message }: PeerFailure): void {
    const { log, clock } = this.#opening.context;
    log.info({ ...pair, stream: stream.pair.remote, reason: message }, 'a stream of others could not be shared');
    const untilMs = clock.monotonic() + APART_MS;
    this.#apart.set(nameOf(pair), { untilMs });
    if (stream.isOver && stream.place !== undefined) this.#apart.set(targetName(stream.place.target), { untilMs });
  }

  #isFree(pair: DomainPair, { pair: own, place }: OutgoingStream): boolean {
    if (own.local === pair.local && own.remote === pair.remote) return true;
    return !this.#isApart(nameOf(pair)) && (place === undefined || !this.#isApart(targetName(place.target)));
  }

  #isApart(name: string): boolean {
    const apart = this.#apart.get(name);
    return apart !== undefined && this.#opening.context.clock.monotonic() < apart.untilMs;
  }

  #find(isWanted: (stream: OutgoingStream) => boolean): OutgoingStream | undefined {
    for (const stream of this.#streams) if (stream instanceof OutgoingStream && isWanted(stream)) return stream;
    return undefined;
  }
}

function nameOf({ local, remote }: DomainPair): string {
  return `${local}>${remote}`;
}
