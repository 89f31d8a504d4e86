import { createHash } from 'node:crypto';

import { includesRequest } from '../../config/external-components.ts';
import { BoundedCache } from '../../stanzas/bounded-cache.ts';
import { element, parseElement, type Element } from '../../stanzas/element.ts';
import { Jid, JidError } from '../../stanzas/jid.ts';
import { NS } from '../../stanzas/namespaces.ts';
import { Stanza } from '../../stanzas/stanza.ts';
import { StanzaError } from '../../stanzas/stanza-error.ts';
import { defineModule } from '../module.ts';
import type { Component } from '../routing/component.ts';
import { Components } from '../routing/components.ts';
import type { AccountIqRequest } from '../routing/iq-table.ts';
import { OnBehalf } from '../routing/on-behalf.ts';
import type { Receipt } from '../routing/receipt.ts';
import { readStoredStanza } from '../routing/stored-stanza.ts';
import { PresenceWatch } from '../services/presence-watch.ts';
import { Privileges } from '../services/privileges.ts';
import { RosterPushes } from '../services/roster-pushes.ts';
import { Rosters } from '../services/rosters.ts';

/** Whose presence each component is known to have seen last. */
const MAX_SEEN = 10_000;

/** XEP-0356: Privileged Entity. What a component may do in the name of accounts; its access to rosters is in roster.ts. */
export const privilegedEntity = defineModule({
  name: 'privileged-entity',
  implements: [{ xep: 356, version: '0.4.1' }],
  needs: {
    components: Components,
    privileges: Privileges,
    onBehalf: OnBehalf,
    watch: PresenceWatch,
    pushes: RosterPushes,
    rosters: Rosters,
  },
  setup({ iq, amend, route, isLocalDomain, log }, { components, privileges, onBehalf, watch, pushes, rosters }) {
    const seen = new Map<Component, BoundedCache<string, { readonly state: string }>>();

    components.onAttached(function advertisePrivileges(component) {
      const permissions = permissionsOf(component);
      if (permissions.length === 0) return;
      const header = { from: component.host, to: component.jid };
      route(Stanza.create('message', header, [element('privilege', NS.PRIVILEGE, {}, ...permissions)]));
      seen.set(component, new BoundedCache(MAX_SEEN));
      if (component.settings.presence !== 'none') showEverybody(component);
    });

    components.onSent(function takePrivileged(stanza, component, receipt) {
      // Interop: slixmpp addresses it to the host it connects to, so that `to` says nothing.
      if (stanza.kind === 'message' && stanza.type !== 'error' && stanza.hasChild('privilege', NS.PRIVILEGE)) {
        sendMessage(stanza, component, receipt);
        return true;
      }
      // "Sending IQ Stanzas": to nobody but the managed entity itself
      if (isRequest(stanza) && stanza.hasChild('privileged_iq', NS.PRIVILEGE) && !isAccount(stanza.to!, component)) {
        throw new StanzaError('forbidden', `Not to an account of ${component.host.domain}`);
      }
      return false;
    });

    iq.account.get(NS.PRIVILEGE, 'privileged_iq', askOnBehalf);
    iq.account.set(NS.PRIVILEGE, 'privileged_iq', askOnBehalf);

    // "Server Sends Roster Pushes"
    pushes.onChange(function pushToPrivileged(account, query) {
      for (const component of privileges.over(account.jid.domain)) {
        if (!hearsPushes(component)) continue;
        const header = {
          from: account.jid,
          to: component.jid,
          type: 'set',
          id: `push-${query.attribute('ver') ?? ''}`,
        };
        component.show(Stanza.create('iq', header, [query]));
      }
    });

    // "Managed Entity Presence"
    watch.onChange(function showComing(account, presence) {
      for (const component of privileges.over(account.jid.domain)) {
        if (component.settings.presence !== 'none') {
          // As a contact it is sent it anyway.
          if (!rosters.hasSubscriptionFrom(account, component.jid.bare)) show(component, presence);
        }
      }
    });

    // "Roster Presence"; an amendment that changes nothing sees only what passed the screens
    const isWanted = [...components.all()].some(({ settings }) => settings.presence === 'roster');
    if (isWanted)
      amend.received(function showContacts(stanza, account) {
        if (stanza.kind !== 'presence' || (stanza.type !== undefined && stanza.type !== 'unavailable'))
          return undefined;
        for (const component of privileges.over(account.jid.domain)) {
          if (component.settings.presence !== 'roster') continue;
          const subscription = rosters.of(account).item(stanza.from!.bare)?.subscription;
          if (subscription === 'to' || subscription === 'both') show(component, stanza);
        }
        return undefined;
      });

    /** "Sending Messages" */
    function sendMessage(stanza: Stanza, component: Component, receipt: Receipt): void {
      if (component.settings.message !== 'outgoing')
        throw new StanzaError('forbidden', 'The message privilege is missing');
      const message = forwarded(stanza.child('privilege', NS.PRIVILEGE)?.child('forwarded', NS.FORWARD), 'message');
      const { from } = message;
      if (from?.equals(component.host) === true && message.to !== undefined) {
        route(message);
        receipt.settle();
        return;
      }
      if (from === undefined || !isAccount(from, component)) {
        throw new StanzaError('forbidden', `Not from an account of ${component.host.domain}`);
      }
      onBehalf.send(from, message, receipt).catch((error: unknown) => {
        if (!(error instanceof StanzaError)) log.error({ err: error }, 'a privileged message could not be sent');
        const condition = error instanceof StanzaError ? error : new StanzaError('internal-server-error');
        route(stanza.errorReply(condition));
        receipt.settle();
      });
    }

    /** "Sending IQ Stanzas" */
    async function askOnBehalf({ stanza, payload, account, from }: AccountIqRequest): Promise<Element> {
      const component = privileges.componentOver(account, from);
      if (component === undefined) throw new StanzaError('service-unavailable');
      const request = forwarded(payload, 'iq');
      const [child, ...more] = request.children;
      if (child === undefined || more.length > 0)
        throw new StanzaError('bad-request', 'A request has exactly one child');
      if (request.type !== stanza.type) throw new StanzaError('forbidden', 'Both requests are of the same type');
      if (request.from !== undefined && !request.from.equals(account.jid)) {
        throw new StanzaError('forbidden', 'The request is from somebody else');
      }
      const granted = component.settings.iq.find(({ namespace }) => namespace === child.namespace)?.type ?? 'none';
      if (!includesRequest(granted, stanza.type === 'get' ? 'get' : 'set')) {
        throw new StanzaError('forbidden', `The privilege for ${child.namespace} is missing`);
      }
      const answer = (await onBehalf.ask(account.jid, request, component.jid)).withHeader({ id: request.id });
      const copy = element('forwarded', NS.FORWARD, {}, parseElement(answer.toDocument()));
      return element('privilege', NS.PRIVILEGE, {}, copy);
    }

    /** Business rule 1: everything it would have been sent, had it been there. */
    function showEverybody(component: Component): void {
      const managed = watch.available().filter(({ account }) => account.jid.domain === component.host.domain);
      for (const { presence } of managed) if (presence !== undefined) show(component, presence);
      if (component.settings.presence !== 'roster') return;
      for (const account of new Set(managed.map(({ account: owner }) => owner))) {
        for (const { jid, subscription } of rosters.of(account).items()) {
          const to = Jid.parse(jid);
          if ((subscription !== 'to' && subscription !== 'both') || isLocalDomain(to.domain)) continue;
          route(Stanza.create('presence', { from: account.jid, to, type: 'probe' }));
        }
      }
    }

    /** Business rule 2: once, where it would be shown the same more than once. */
    function show(component: Component, presence: Stanza): void {
      const from = presence.from!;
      if (from.domain === component.settings.domain) return; // its own
      const known = seen.get(component);
      // A digest, for strangers decide how long a presence is.
      const state = createHash('sha256')
        .update(`${presence.type ?? ''} ${presence.content}`, 'latin1')
        .digest('base64');
      if (known?.get(from.full)?.state === state) return;
      known?.set(from.full, { state });
      component.show(presence);
    }
  },
});

/** "Server Advertises Entity Of Allowed Permission" */
function permissionsOf({ settings }: Component): Element[] {
  const { roster, message, presence, iq } = settings;
  const permissions: Element[] = [];
  const permit = (access: string, type: string | undefined, push?: string, ...namespaces: Element[]): void => {
    permissions.push(element('perm', NS.PRIVILEGE, { access, type, push }, ...namespaces));
  };
  if (roster !== 'none') permit('roster', roster, String(hearsPushes({ settings })));
  if (message !== 'none') permit('message', message);
  if (iq.length > 0) {
    const namespaces = iq.map(({ namespace: ns, type }) => element('namespace', NS.PRIVILEGE, { ns, type }));
    permit('iq', undefined, undefined, ...namespaces);
  }
  if (presence !== 'none') permit('presence', presence);
  return permissions;
}

function hearsPushes({ settings: { roster, roster_push: push } }: Pick<Component, 'settings'>): boolean {
  return includesRequest(roster, 'get') && push !== false;
}

function isRequest({ kind, type }: Stanza): boolean {
  return kind === 'iq' && (type === 'get' || type === 'set');
}

/** Whether it is the bare JID of an account that the component may have privileges over. */
function isAccount(jid: Jid, { host }: Component): boolean {
  return jid.isBare && jid.local !== '' && jid.domain === host.domain;
}

/** The one stanza inside. @throws StanzaError */
function forwarded(around: Element | undefined, kind: 'message' | 'iq'): Stanza {
  const inside = around?.children.filter(({ namespace }) => namespace !== NS.DELAY) ?? [];
  const [child, ...more] = inside;
  if (child === undefined || more.length > 0) throw new StanzaError('bad-request', 'One stanza is forwarded at a time');
  if (child.name !== kind || child.namespace !== NS.CLIENT) {
    throw new StanzaError('forbidden', `What is forwarded is a ${kind} of jabber:client`);
  }
  try {
    return readStoredStanza(child.toBytes());
  } catch (error) {
    if (error instanceof JidError) throw new StanzaError('jid-malformed', error.message);
    throw error;
  }
}
