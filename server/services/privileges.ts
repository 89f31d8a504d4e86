import type { Jid } from '../../stanzas/jid.ts';
import type { Account } from '../routing/account.ts';
import type { Component } from '../routing/component.ts';
import type { Components } from '../routing/components.ts';

/** Which components are over which accounts (XEP-0356): those of the domain that the component is below. */
export class Privileges {
  readonly #components: Components;

  constructor(components: Components) {
    this.#components = components;
  }

  /** The component that asks in its own name and may have privileges over the account; what it may do, its settings say. */
  componentOver({ jid }: Pick<Account, 'jid'>, from: Jid): Component | undefined {
    if (from.local !== '') return undefined;
    const component = this.#components.find(from.domain);
    return component?.host.domain === jid.domain ? component : undefined;
  }

  /** The connected components that may have privileges over the accounts of a domain. */
  over(domain: string): Component[] {
    return [...this.#components.all()].filter(({ host, link }) => link !== undefined && host.domain === domain);
  }
}
