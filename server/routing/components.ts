import type { ExternalComponent } from '../../config/external-components.ts';
import { StreamError } from '../../stanzas/stream-error.ts';
import type { Stanza } from '../../stanzas/stanza.ts';
import type { Clock } from '../clock.ts';
import { Component, type ComponentLink } from './component.ts';
import type { Receipt } from './receipt.ts';
import type { Router } from './router.ts';

export interface ComponentsOptions {
  readonly external: readonly ExternalComponent[];
  readonly domains: readonly string[];
  readonly router: Router;
  readonly clock: Pick<Clock, 'now'>;
}

/**
 * Takes a stanza that a component sends, before it is routed; returns false to leave it to others. Throws StanzaError to
 * refuse it. Who takes it settles the receipt.
 */
export type ComponentStanzaHandler = (stanza: Stanza, component: Component, receipt: Receipt) => boolean;

/** The external components that are configured, connected or not (XEP-0114). */
export class Components {
  readonly #byDomain = new Map<string, Component>();
  readonly #router: Router;
  readonly #clock: Pick<Clock, 'now'>;
  readonly #attached: ((component: Component) => void)[] = [];
  readonly #detached: ((component: Component) => void)[] = [];
  readonly #sent: ComponentStanzaHandler[] = [];

  constructor({ external, domains, router, clock }: ComponentsOptions) {
    this.#router = router;
    this.#clock = clock;
    for (const settings of external) {
      const component = new Component(settings, domains, clock.now());
      this.#byDomain.set(settings.domain, component);
      router.addService(settings.domain, component);
    }
  }

  all(): IterableIterator<Component> {
    return this.#byDomain.values();
  }

  find(domain: string): Component | undefined {
    return this.#byDomain.get(domain);
  }

  /** Hears of a component whose stream can take stanzas. */
  onAttached(handler: (component: Component) => void): void {
    this.#attached.push(handler);
  }

  /** Hears of a component that is away from now on. */
  onDetached(handler: (component: Component) => void): void {
    this.#detached.push(handler);
  }

  /** Asks this handler about everything components send. */
  onSent(handler: ComponentStanzaHandler): void {
    this.#sent.push(handler);
  }

  /**
   * A stream serves the component from now on; one that served it before ends.
   * @throws StreamError where the component is to have one stream only and has it
   */
  attach(component: Component, link: ComponentLink): void {
    this.checkConflict(component);
    const earlier = component.link;
    component.link = link;
    component.since = this.#clock.now();
    earlier?.closeWithError(new StreamError('conflict', 'A newer stream serves this component'));
  }

  /** The component has been told that it is accepted: what modules have to say to it comes first. */
  welcome(component: Component): void {
    for (const handler of this.#attached) handler(component);
  }

  /** @throws StreamError where a newer stream is refused */
  checkConflict({ link, settings }: Component): void {
    if (link !== undefined && settings.conflict === 'refuse') {
      throw new StreamError('conflict', 'This component is connected already');
    }
  }

  /** The stream serves the component no more; nothing happens if another one does by now. */
  detach(component: Component, link: ComponentLink): void {
    if (component.link !== link) return;
    component.link = undefined;
    component.since = this.#clock.now();
    for (const handler of this.#detached) handler(component);
  }

  /** A stanza from a component, both addresses set, its sender checked. Never throws. */
  send(component: Component, stanza: Stanza, receipt: Receipt): void {
    try {
      for (const handler of this.#sent) if (handler(stanza, component, receipt)) return;
      this.#router.route(stanza, receipt);
    } catch (error) {
      this.#router.answer(stanza, error, receipt);
    }
  }
}
