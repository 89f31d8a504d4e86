import { element } from '../../stanzas/element.ts';
import { NS } from '../../stanzas/namespaces.ts';
import { StanzaError } from '../../stanzas/stanza-error.ts';
import { defineModule } from '../module.ts';
import type { AccountIqRequest } from '../routing/iq-table.ts';
import { capabilitiesNode, verificationString } from '../services/capability-hash.ts';
import { Features } from '../services/features.ts';
import { Rosters } from '../services/rosters.ts';

/** XEP-0030: Service Discovery of the server and of accounts. */
export const disco = defineModule({
  name: 'disco',
  implements: [
    { xep: 30, version: '2.5.0' },
    { xep: 128, version: '1.0.1' },
  ],
  needs: { features: Features, rosters: Rosters },
  setup({ iq, feature, identity }, { features, rosters }) {
    feature(NS.DISCO_INFO, ['server', 'account']);
    feature(NS.DISCO_ITEMS, ['server', 'account']);
    identity({ category: 'server', type: 'im', name: 'Posthorn' }, ['server']);
    identity({ category: 'account', type: 'registered' }, ['account']);

    iq.server.get(NS.DISCO_INFO, 'query', function describeServer({ payload }) {
      const node = payload.attribute('node');
      const info = features.info('server');
      if (node === undefined || node === '') return info;
      // XEP-0115 6.2: the node that the stream feature names; the answer repeats it
      if (node === capabilitiesNode(verificationString(info))) return features.info('server', node);
      throw new StanzaError('item-not-found');
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

    /**
     * RFC 6120 13.11: an account that answers is an account that exists. Deviation: XEP-0030 8 wants disco#items answered
     * empty, RFC 6121 8.5.1 wants this error where there is no account, and the two must look alike.
     */
    function hideFromStrangers({ account, from }: AccountIqRequest): void {
      if (rosters.sharesPresenceWith(account, from.bare)) return;
      throw new StanzaError('service-unavailable');
    }
  },
});

/** XEP-0030 3.2: there are no other nodes here. */
function refuseNode(node: string | undefined): void {
  if (node !== undefined && node !== '') throw new StanzaError('item-not-found');
}
