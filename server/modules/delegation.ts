import { element, type Element } from '../../stanzas/element.ts';
import { forwardedBytes } from '../../stanzas/forwarding.ts';
import type { Child } from '../../stanzas/frame.ts';
import { tryParseJid, type Jid } from '../../stanzas/jid.ts';
import { NS } from '../../stanzas/namespaces.ts';
import { Stanza } from '../../stanzas/stanza.ts';
import { StanzaError } from '../../stanzas/stanza-error.ts';
import { defineModule } from '../module.ts';
import type { Component } from '../routing/component.ts';
import { Components } from '../routing/components.ts';
import { OnBehalf } from '../routing/on-behalf.ts';
import { PendingRequests } from '../routing/pending-requests.ts';
import { Features } from '../services/features.ts';

/** Names that stand for service discovery of bare JIDs ("Remaining Discovery Infos", "Bare JID Disco Items"). */
const INFO_OF_NODES = `${NS.DELEGATION}:bare:disco#info:*`;
const ITEMS = `${NS.DELEGATION}:bare:disco#items:*`;
const MAX_NESTED = 100;
/** Requests that one account, or all of another domain, may have waiting for answers. */
const MAX_WAITING_OF_SENDER = 100;
/** The same of everybody: far fewer than the requests that the server may have waiting at all. */
const MAX_WAITING = 2000;

/** XEP-0355: Namespace Delegation. Components answer in place of the server what the configuration gives them. */
export const delegation = defineModule({
  name: 'delegation',
  implements: [{ xep: 355, version: '0.5', note: 'the admin mode' }],
  needs: { components: Components, pending: PendingRequests, features: Features, onBehalf: OnBehalf },
  setup({ iq, feature, route, isLocalDomain, log }, { components, pending, features, onBehalf }) {
    const delegating = [...components.all()].filter(({ settings }) => settings.delegated.length > 0);
    if (delegating.length === 0) return;
    feature(NS.DELEGATION, ['server']);
    const waiting = new SenderQuota(MAX_WAITING_OF_SENDER, MAX_WAITING);
    iq.delegate(function delegateRequest(stanza, payload) {
      for (const component of delegating) {
        if (!isFor(component, stanza, payload)) continue;
        // "Stanzas from managing entity": nor what it asks in the name of somebody (XEP-0356), or it would ask itself for ever
        if (onBehalf.askerOf(stanza)?.domain === component.settings.domain) continue;
        return () => forwardInTurn(component, stanza);
      }
      return undefined;
    });

    // While it is away, nobody does what it is there for.
    for (const component of delegating) forgetFeatures(component);
    components.onDetached(forgetFeatures);

    // "Delegation Request Use Case"
    components.onAttached(function advertiseDelegations(component) {
      const { delegated } = component.settings;
      if (delegated.length === 0) return;
      const namespaces = delegated.map(({ namespace, attributes }) => {
        const names = attributes.map((name) => element('attribute', NS.DELEGATION, { name }));
        return element('delegated', NS.DELEGATION, { namespace }, ...names);
      });
      const header = { from: component.host, to: component.jid };
      route(Stanza.create('message', header, [element('delegation', NS.DELEGATION, {}, ...namespaces)]));
      for (const { namespace } of delegated) {
        if (namespace !== INFO_OF_NODES && namespace !== ITEMS) learnFeatures(component, namespace);
      }
    });

    /** Whoever asks is not slowed down by what it has asked already; so there is a bound to that. */
    async function forwardInTurn(component: Component, stanza: Stanza): Promise<Element | undefined> {
      const { bare, domain } = stanza.from!;
      const sender = isLocalDomain(domain) ? bare : domain;
      if (!waiting.take(sender))
        throw new StanzaError('resource-constraint', 'Too many requests wait for an answer', 'wait');
      try {
        return await forward(component, stanza);
      } finally {
        waiting.release(sender);
      }
    }

    /** "Server Forwards Delegated <iq/> Stanza" */
    async function forward(component: Component, stanza: Stanza): Promise<Element | undefined> {
      const bytes = `<delegation xmlns='${NS.DELEGATION}'>${forwardedBytes(stanza.toDocument())}</delegation>`;
      const header = { from: component.host, to: component.jid, type: 'set' };
      const request = Stanza.create('iq', header).withChild('delegation', NS.DELEGATION, bytes);
      const answer = await pending.ask(request, route).catch((error: unknown) => {
        if (!(error instanceof StanzaError)) throw error;
        return undefined;
      });
      if (answer?.type !== 'result') throw new StanzaError('service-unavailable');
      const inside = answer.child('delegation', NS.DELEGATION)?.child('forwarded', NS.FORWARD);
      const result = inside?.child('iq', NS.CLIENT);
      if (result === undefined || !answers(result, stanza)) {
        log.warn(
          { component: component.settings.domain },
          'a component answers a delegated request with something else',
        );
        throw new StanzaError('service-unavailable');
      }
      return result.children[0];
    }

    /** "Nesting": asked once and kept, as the implementation notes have it. */
    function learnFeatures(component: Component, namespace: string): void {
      for (const [target, separator] of [
        ['server', '::'],
        ['account', ':bare:'],
      ] as const) {
        const query = element('query', NS.DISCO_INFO, { node: `${NS.DELEGATION}${separator}${namespace}` });
        const header = { from: component.host, to: component.jid, type: 'get' };
        pending.ask(Stanza.create('iq', header, [query]), route).then(
          (answer) => {
            if (answer.type !== 'result' || component.link === undefined) return;
            const nodes = answer.child('query', NS.DISCO_INFO)?.children ?? [];
            features.nest(target, namespace, nodes.slice(0, MAX_NESTED));
          },
          (error: unknown) => {
            log.debug({ component: component.settings.domain, error: String(error) }, 'a component tells no features');
          },
        );
      }
    }

    function forgetFeatures({ settings }: Component): void {
      for (const { namespace } of settings.delegated) {
        features.nest('server', namespace, []);
        features.nest('account', namespace, []);
      }
    }
  },
});

/** How many of something each sender has, and all together. */
class SenderQuota {
  readonly #maxOfSender: number;
  readonly #max: number;
  readonly #counts = new Map<string, number>();
  #all = 0;

  constructor(maxOfSender: number, max: number) {
    this.#maxOfSender = maxOfSender;
    this.#max = max;
  }

  /** Counts one more; false where that is too many. */
  take(sender: string): boolean {
    const count = this.#counts.get(sender) ?? 0;
    if (count >= this.#maxOfSender || this.#all >= this.#max) return false;
    this.#counts.set(sender, count + 1);
    this.#all++;
    return true;
  }

  /** One that was taken is there no more. */
  release(sender: string): void {
    const count = this.#counts.get(sender) ?? 0;
    if (count > 1) this.#counts.set(sender, count - 1);
    else this.#counts.delete(sender);
    this.#all--;
  }
}

/** Whether a request to the server or a bare JID is one that the component answers. */
function isFor({ settings, host }: Component, stanza: Stanza, payload: Child): boolean {
  const to = stanza.to!;
  // "Stanzas from managing entity" are not forwarded
  if (to.domain !== host.domain || stanza.from!.domain === settings.domain) return false;
  const isOfAccount = to.local !== '';
  return settings.delegated.some(({ namespace, attributes }) => {
    if (namespace === ITEMS) return isOfAccount && payload.namespace === NS.DISCO_ITEMS;
    if (namespace === INFO_OF_NODES) {
      return isOfAccount && payload.namespace === NS.DISCO_INFO && hasText(stanza, payload, 'node');
    }
    if (namespace !== payload.namespace) return false;
    return attributes.every((name) => stanza.parse(payload).attribute(name) !== undefined);
  });
}

function hasText(stanza: Stanza, payload: Child, attribute: string): boolean {
  return (stanza.parse(payload).attribute(attribute) ?? '') !== '';
}

/** Whether a result is that of the request, from one end to the other. */
function answers(result: Element, { id, from, to }: Stanza): boolean {
  const isThat = (text: string | undefined, jid: Jid | undefined): boolean =>
    text !== undefined && jid !== undefined && tryParseJid(text)?.equals(jid) === true;
  const sender = result.attribute('from');
  return (
    result.attribute('type') === 'result' &&
    result.attribute('id') === id &&
    isThat(result.attribute('to'), from) &&
    // Where the request had no `to`, neither has the result ("Example: pubsub.capulet.lit Replies To Juliet")
    (sender === undefined || isThat(sender, to))
  );
}
