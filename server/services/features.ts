import { element, type Element } from '../../stanzas/element.ts';
import { NS } from '../../stanzas/namespaces.ts';

/** What is asked about: one of our domains, or an account. */
export type DiscoTarget = 'server' | 'account';

export interface Identity {
  readonly category: string;
  readonly type: string;
  readonly name?: string;
}

/** What service discovery says of the server and its accounts, gathered from the modules' own declarations (XEP-0030). */
export class Features {
  readonly #features: Record<DiscoTarget, Set<string>> = { server: new Set(), account: new Set() };
  readonly #identities: Record<DiscoTarget, Identity[]> = { server: [], account: [] };
  readonly #nested: Record<DiscoTarget, Map<string, readonly Element[]>> = { server: new Map(), account: new Map() };
  readonly #extensions: (() => Element | undefined)[] = [];
  /** The last description of the server, and the forms in it. */
  #serverInfo: { readonly info: Element; readonly forms: readonly (Element | undefined)[] } | undefined;
  readonly #items: { readonly jid: string; readonly name: () => string | undefined }[] = [];

  addFeature(feature: string, targets: readonly DiscoTarget[]): void {
    this.#serverInfo = undefined;
    for (const target of targets) this.#features[target].add(feature);
  }

  addIdentity(identity: Identity, targets: readonly DiscoTarget[]): void {
    this.#serverInfo = undefined;
    for (const target of targets) this.#identities[target].push(identity);
  }

  /**
   * A data form in the server's answer (XEP-0128); undefined when it has nothing to say. The same element each time means
   * that nothing has changed.
   */
  addExtension(form: () => Element | undefined): void {
    this.#serverInfo = undefined;
    this.#extensions.push(form);
  }

  /** A service of this server, listed among its items. */
  addItem(jid: string, name: () => string | undefined): void {
    this.#items.push({ jid, name });
  }

  /** What is said of a namespace in place of what the modules declare, identities, features and forms (XEP-0355). */
  nest(target: DiscoTarget, namespace: string, nodes: readonly Element[]): void {
    this.#serverInfo = undefined;
    this.#nested[target].set(namespace, nodes);
  }

  /** The answer to disco#info (XEP-0030 3). */
  info(target: DiscoTarget, node?: string): Element {
    return this.#describe(target, node, target === 'server' ? this.#forms() : []);
  }

  /** The server's answer without a node: the same element as long as it says the same. */
  serverInfo(): Element {
    const forms = this.#forms();
    const last = this.#serverInfo;
    if (last?.forms.every((form, index) => form === forms[index]) === true) return last.info;
    const info = this.#describe('server', undefined, forms);
    this.#serverInfo = { info, forms };
    return info;
  }

  #forms(): readonly (Element | undefined)[] {
    return this.#extensions.map((extension) => extension());
  }

  #describe(target: DiscoTarget, node: string | undefined, forms: readonly (Element | undefined)[]): Element {
    const nodes: Element[] = this.#identities[target].map(({ category, type, name }) =>
      element('identity', NS.DISCO_INFO, { category, type, name }),
    );
    const nested = [...this.#nested[target]];
    const told = new Set([...this.#features[target]].filter((feature) => !nested.some(([ns]) => isOf(ns, feature))));
    for (const [, others] of nested) {
      for (const node of others) {
        if (node.name === 'feature') told.add(node.attribute('var') ?? '');
        else nodes.push(node);
      }
    }
    for (const feature of [...told].sort()) nodes.push(element('feature', NS.DISCO_INFO, { var: feature }));
    for (const form of forms) if (form !== undefined) nodes.push(form);
    return element('query', NS.DISCO_INFO, { node }, ...nodes);
  }

  /** The answer to disco#items of the server (XEP-0030 4). */
  items(): Element {
    return element(
      'query',
      NS.DISCO_ITEMS,
      {},
      ...this.#items.map((item) => element('item', NS.DISCO_ITEMS, { jid: item.jid, name: item.name() })),
    );
  }
}

/** Whether a feature is one of a namespace: its name, or a part of it such as `#publish`. */
function isOf(namespace: string, feature: string): boolean {
  return feature === namespace || feature.startsWith(`${namespace}#`);
}
