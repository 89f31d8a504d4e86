import type { DomainPair } from '../../storage/outboxes.ts';
import type { Log } from '../log.ts';
import type { Connection } from '../streams/connection.ts';
import { DialingError, targetName, type Dialed, type Dialing } from './dialing.ts';
import type { FederationContext } from './federation-context.ts';
import { ResolutionError } from './name-resolution.ts';
import { OutgoingStream } from './outgoing-stream.ts';
import { PeerFailure } from './peer-failure.ts';

export interface StreamOpening {
  readonly dialing: Pick<Dialing, 'dial' | 'firstPlaces'>;
  /** Makes a connection of what was dialled, under TLS where the target wants that from the first byte. */
  readonly connect: (dialed: Dialed, pair: DomainPair) => Promise<Connection>;
  readonly context: FederationContext;
}

/** For all servers of a domain together: none of many that are slow in turn keeps a place among those being opened. */
const MAX_OPENING_MS = 60_000;

/**
 * Opens a stream to the first server of the domain that does.
 * @throws PeerFailure, or what dialling throws
 */
export async function openStream(opening: StreamOpening, pair: DomainPair): Promise<OutgoingStream> {
  const { clock } = opening.context;
  const attempts = new Attempts(opening, pair);
  let cancel = (): void => undefined;
  const late = new Promise<never>((_resolve, reject) => {
    cancel = clock.schedule(MAX_OPENING_MS, () => {
      const reason = `no server of ${pair.remote} had a stream ready within ${MAX_OPENING_MS / 1000} s`;
      reject(new PeerFailure('remote-server-timeout', reason));
      attempts.giveUp(reason);
    });
  });
  try {
    return await Promise.race([attempts.run(), late]);
  } finally {
    cancel();
  }
}

/** Why a stream could not be had, for whoever wanted it; what is no fault of the other server is written to the log. */
export function failureOf(error: unknown, log: Log): PeerFailure {
  if (error instanceof PeerFailure) return error;
  if (error instanceof ResolutionError && error.isCertain) {
    return new PeerFailure('remote-server-not-found', error.message, { isFinal: true });
  }
  if (error instanceof DialingError || error instanceof ResolutionError) {
    return new PeerFailure('remote-server-timeout', error.message);
  }
  log.error({ error: error instanceof Error ? error.stack : String(error) }, 'connecting to another server failed');
  return new PeerFailure('internal-server-error', 'Connecting failed');
}

class Attempts {
  readonly #opening: StreamOpening;
  readonly #pair: DomainPair;
  #stream: OutgoingStream | undefined;
  #lateReason: string | undefined;

  constructor(opening: StreamOpening, pair: DomainPair) {
    this.#opening = opening;
    this.#pair = pair;
  }

  async run(): Promise<OutgoingStream> {
    const { dialing, context } = this.#opening;
    const tried = new Set<string>();
    let last: PeerFailure | undefined;
    for (;;) {
      let dialed: Dialed;
      try {
        dialed = await dialing.dial(this.#pair.remote, tried);
      } catch (error) {
        throw last ?? error;
      }
      tried.add(targetName(dialed.target));
      try {
        return await this.#open(dialed);
      } catch (error) {
        last = failureOf(error, context.log);
        if (!last.mayTryNext || this.#lateReason !== undefined) throw last;
        context.log.info(
          { ...this.#pair, host: dialed.target.host, address: dialed.address, reason: last.message },
          'a server of another domain does not do; the next one is tried',
        );
      }
    }
  }

  /** The time is over: whatever is under way ends. */
  giveUp(reason: string): void {
    this.#lateReason = reason;
    this.#stream?.abort(reason);
  }

  async #open(dialed: Dialed): Promise<OutgoingStream> {
    const { connect, context } = this.#opening;
    const connection = await connect(dialed, this.#pair);
    this.#stream = new OutgoingStream(connection, context, this.#pair, dialed);
    if (this.#lateReason !== undefined) this.#stream.abort(this.#lateReason);
    await this.#stream.ready;
    return this.#stream;
  }
}
