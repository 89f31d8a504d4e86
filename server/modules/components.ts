import { element } from '../../stanzas/element.ts';
import { NS } from '../../stanzas/namespaces.ts';
import { Stanza } from '../../stanzas/stanza.ts';
import { defineModule } from '../module.ts';
import type { Component } from '../routing/component.ts';
import { Components } from '../routing/components.ts';
import { PendingRequests } from '../routing/pending-requests.ts';
import { Features } from '../services/features.ts';

const MAX_NAME_LENGTH = 200;

/** XEP-0114: lists external components among the services of the server, under the names they give themselves. */
export const components = defineModule({
  name: 'components',
  implements: [{ xep: 114, version: '1.6', note: 'the method "accept"' }],
  needs: { components: Components, pending: PendingRequests, features: Features },
  setup({ route, log }, { components: external, pending, features }) {
    const names = new Map<Component, string>();
    for (const component of external.all()) {
      const { domain, name } = component.settings;
      features.addItem(domain, () => (name === '' ? names.get(component) : name));
    }

    external.onAttached(function askName(component) {
      if (component.settings.name !== '') return;
      const header = { from: component.host, to: component.jid, type: 'get' };
      const question = Stanza.create('iq', header, [element('query', NS.DISCO_INFO)]);
      pending.ask(question, route).then(
        (answer) => {
          if (answer.type !== 'result') return;
          const identities = answer.child('query', NS.DISCO_INFO)?.childrenNamed('identity') ?? [];
          const name = identities.map((identity) => identity.attribute('name') ?? '').find((one) => one !== '');
          if (name !== undefined) names.set(component, name.slice(0, MAX_NAME_LENGTH));
        },
        (error: unknown) => {
          log.debug({ component: component.settings.domain, error: String(error) }, 'a component gives no name');
        },
      );
    });
  },
});
