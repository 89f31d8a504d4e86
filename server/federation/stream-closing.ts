import type { Frame } from '../../stanzas/frame.ts';
import { NS } from '../../stanzas/namespaces.ts';
import { stanzaKind } from '../../stanzas/stanza.ts';
import type { FederationContext } from './federation-context.ts';
import { toOwners } from './parcel.ts';
import { acceptStanza } from './server-stanza.ts';
import type { StreamFlow } from './stream-flow.ts';

/** What a stream still hears and learns after we have closed our side (RFC 6120 4.4). */
export class StreamClosing {
  #asksForArrival = false;
  /** The pairs whose stanzas are taken yet. */
  #heardOut: ReadonlySet<string> = new Set();

  /** Whether the peer's end of the stream will say that everything has arrived. */
  get asksForArrival(): boolean {
    return this.#asksForArrival;
  }

  /** Everybody answers to the end of a stream, and has then read what came before it. */
  askForArrival(): void {
    this.#asksForArrival = true;
  }

  /** Takes the stanzas of these pairs, `remote>local`, that are on their way. */
  hearOut(received: ReadonlySet<string>): void {
    this.#heardOut = new Set(received);
  }

  /** Takes what comes. @throws StreamError */
  take(frame: Frame, context: FederationContext, { inbound }: StreamFlow): void {
    if (frame.namespace === NS.STREAMS && frame.name === 'error') this.#asksForArrival = false;
    if (frame.namespace !== NS.SERVER || stanzaKind(frame) === undefined || this.#heardOut.size === 0) return;
    acceptStanza(frame, context, inbound, this.#heardOut);
  }

  /** The peer has closed its side too. */
  ended(flow: StreamFlow): void {
    if (this.#asksForArrival) toOwners(flow.takeUnconfirmed(), (owner, own) => owner.confirmed(own));
  }
}
