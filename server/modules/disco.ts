import { element } from '../../stanzas/element.ts';
import { NS } from '../../stanzas/namespaces.ts';
import { StanzaError } from '../../stanzas/stanza-error.ts';
import { defineModule } from '../module.ts';
import type { AccountIqRequest } from '../routing/iq-table.ts';
import { Features } from '../services/features.ts';
import { Rosters } from '../services/rosters.ts';

/** XEP-0030: Service Discovery of the server and of accounts. */
export const disco = defineModule({
  name: 'disco',
  implements: [{ xep: 30, version: '2.5.0' }],
  needs: { features: Features, rosters: Rosters },
  setup({ iq, feature, identity }, { features, rosters }) {
    feature(NS.DISCO_INFO, ['server', 'account']);
    feature(NS.DISCO_ITEMS, ['server', 'account']);
    identity({ category: 'server', type: 'im', name: 'Posthorn' }, ['server']);
    identity({ category: 'account', type: 'registered' }, ['account']);

    iq.server.get(NS.DISCO_INFO, 'query', function describeServer({ payload }) {
      refuseNode(payload.attribute('node'));
      return features.info('server');
    });
    iq.server.get(NS.DISCO_ITEMS, 'query', function listServices({ payload }) {
      refuseNode(payload.attribute('node'));
      return features.items();
    });
    iq.account.get(NS.DISCO_INFO, 'query', function describeAccount(request) {
      hideFromStrangers(request);
      refuseNode(request.payload.attribute('node'));
      return features.info('account');
    });
    iq.account.get(NS.DISCO_ITEMS, 'query', function listItems(request) {
      hideFromStrangers(request);
      refuseNode(request.payload.attribute('node'));
      return element('query', NS.DISCO_ITEMS);
    });

    /** RFC 6120 13.11: an account that answers is an account that exists. */
    function hideFromStrangers({ account, from }: AccountIqRequest): void {
      if (from.bare === account.jid.bare || rosters.hasSubscriptionFrom(account, from.bare)) return;
      throw new StanzaError('service-unavailable');
    }
  },
});

/** XEP-0030 3.2: there are no nodes here. */
function refuseNode(node: string | undefined): void {
  if (node !== undefined && node !== '') throw new StanzaError('item-not-found');
}
