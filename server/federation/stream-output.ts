import type { Connection } from '../streams/connection.ts';
import type { Counters } from '../metrics/counters.ts';
import type { Carrier, Parcel, ParcelOwner } from './parcel.ts';
import { serverBytes } from './server-stanza.ts';

/** Output that waits for a slow peer; more stays with the paths. */
const MAX_BUFFERED_BYTES = 1024 * 1024;

/** What goes out over a stream, and those whose it is: they hear when there is room again, and when it is over. */
export class StreamOutput {
  readonly #carrier: Carrier;
  readonly #connection: Connection;
  readonly #counters: Counters;
  readonly #owners = new Set<ParcelOwner>();
  #wasCongested = false;

  /** @param carrier the stream, as the owners know it */
  constructor(carrier: Carrier, connection: Connection, counters: Counters) {
    this.#carrier = carrier;
    this.#connection = connection;
    this.#counters = counters;
  }

  get isCongested(): boolean {
    const isCongested = this.#connection.bufferedBytes > MAX_BUFFERED_BYTES;
    if (isCongested) this.#wasCongested = true;
    return isCongested;
  }

  /** Whether owners wait for room. */
  get isAwaited(): boolean {
    return this.#wasCongested;
  }

  /** Tells the owner from now on. */
  tell(owner: ParcelOwner): void {
    this.#owners.add(owner);
  }

  write({ stanza }: Parcel): void {
    this.#connection.write(serverBytes(stanza));
    this.#counters.serverStanzasSent[stanza.kind]++;
  }

  /** The connection has written something. */
  flushed(): void {
    if (!this.#wasCongested || this.isCongested) return;
    this.#wasCongested = false;
    for (const owner of [...this.#owners]) owner.carrierRelieved(this.#carrier);
  }

  /** Nothing more is sent. */
  end(): void {
    for (const owner of this.#owners) owner.carrierEnded(this.#carrier);
    this.#owners.clear();
  }
}
