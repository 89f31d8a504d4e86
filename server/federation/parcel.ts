import type { Stanza } from '../../stanzas/stanza.ts';

/** One stanza on its way to another server. */
export interface Parcel {
  readonly stanza: Stanza;
  /** The path that it belongs to. */
  readonly owner: ParcelOwner;
  /** Its place in the outbox; undefined where it is in memory alone. */
  readonly position: number | undefined;
  /** When it was accepted, milliseconds since the epoch. */
  readonly at: number;
  /** What it counts against the limits. */
  readonly bytes: number;
  /** Whether it is stored, or needs not be. */
  isReady: boolean;
  /** Whether the store knows that it may have been sent. */
  isMarked: boolean;
}

/** Who answers for parcels. */
export interface ParcelOwner {
  /** The other server has these. */
  confirmed(parcels: readonly Parcel[]): void;
  /** These may have arrived or not, and nobody will ever tell. */
  lost(parcels: readonly Parcel[]): void;
  /** These have surely not arrived: they come before everything else that waits. */
  givenBack(parcels: readonly Parcel[]): void;
  /** The stream takes nothing more. */
  carrierEnded(carrier: Carrier): void;
  /** The stream has room again. */
  carrierRelieved(carrier: Carrier): void;
}

/** The owner of parcels that have been answered for already and only keep their place in a count. */
export const NOBODY: ParcelOwner = Object.freeze({
  confirmed: ignore,
  lost: ignore,
  givenBack: ignore,
  carrierEnded: ignore,
  carrierRelieved: ignore,
});

function ignore(): void {
  // nothing
}

/** A stream that takes the stanzas of a pair of domains. */
export interface Carrier {
  readonly isCongested: boolean;
  /** The largest stanza it takes (XEP-0478). */
  readonly maxBytes: number;
  /** Takes on an owner, who hears from now on when there is room again, and when it is over. */
  carry(owner: ParcelOwner): void;
  send(parcel: Parcel): void;
}

/** Hands parcels to their owners, in order. */
export function toOwners(parcels: readonly Parcel[], tell: (owner: ParcelOwner, own: readonly Parcel[]) => void): void {
  const byOwner = new Map<ParcelOwner, Parcel[]>();
  for (const parcel of parcels) {
    const own = byOwner.get(parcel.owner);
    if (own === undefined) byOwner.set(parcel.owner, [parcel]);
    else own.push(parcel);
  }
  for (const [owner, own] of byOwner) tell(owner, own);
}

/** The places in the outbox of those that have one. */
export function positionsOf(parcels: readonly Parcel[]): number[] {
  return parcels.flatMap(({ position }) => (position === undefined ? [] : [position]));
}
