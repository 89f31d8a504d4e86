import type { ExternalComponent } from '../../config/external-components.ts';
import { Jid } from '../../stanzas/jid.ts';
import type { Stanza } from '../../stanzas/stanza.ts';
import { StanzaError } from '../../stanzas/stanza-error.ts';
import type { StreamError } from '../../stanzas/stream-error.ts';
import type { Inbound } from './account.ts';
import type { Receipt } from './receipt.ts';
import type { Destination } from './router.ts';

/** Stanzas of one stream of a component. */
export interface ComponentCounts {
  /** Not known to have reached it. */
  readonly queued: number;
  /** Sent by it, and given to it, since it connected. */
  readonly received: number;
  readonly delivered: number;
}

/** The authenticated stream of a component, as routing sees it. */
export interface ComponentLink {
  readonly remoteAddress: string;
  readonly counts: ComponentCounts;
  /**
   * Takes a stanza on its way; what does not arrive is answered with an error. Throws StanzaError where there is no room.
   */
  deliver(stanza: Stanza, receipt: Receipt | undefined): void;
  /** Takes a stanza of which nobody is told where it does not arrive. */
  show(stanza: Stanza): void;
  closeWithError(error: StreamError): void;
}

/** An external component that is configured (XEP-0114): a domain that outlives the streams that serve it. */
export class Component implements Destination {
  readonly settings: ExternalComponent;
  readonly jid: Jid;
  /** The domain whose accounts it may have privileges over: the one it is below, else the first. */
  readonly host: Jid;
  /** Undefined while it is away. */
  link: ComponentLink | undefined;
  /** Since when it is connected or away, milliseconds since the epoch. */
  since: number;

  constructor(settings: ExternalComponent, domains: readonly string[], now: number) {
    this.settings = settings;
    this.jid = Jid.of('', settings.domain);
    this.host = Jid.of('', hostOf(settings.domain, domains));
    this.since = now;
  }

  /** Shows it something that is not addressed to it, if it is there and has room. */
  show(stanza: Stanza): void {
    try {
      this.link?.show(stanza.withHeader({ to: this.jid }));
    } catch (error) {
      if (!(error instanceof StanzaError)) throw error;
    }
  }

  /** Throws StanzaError while it is away: at once, for nobody knows when it comes back. */
  receive({ stanza, receipt }: Inbound): void {
    if (this.link === undefined) {
      throw new StanzaError('service-unavailable', `${this.settings.domain} is not connected at the moment`, 'wait');
    }
    this.link.deliver(stanza, receipt);
  }
}

/** The longest of the domains that this one is below. */
function hostOf(domain: string, domains: readonly string[]): string {
  const above = domains.filter((one) => domain.endsWith(`.${one}`));
  return above.sort((one, other) => other.length - one.length)[0] ?? domains[0] ?? domain;
}
