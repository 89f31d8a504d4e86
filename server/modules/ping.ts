import { NS } from '../../stanzas/namespaces.ts';
import { StanzaError } from '../../stanzas/stanza-error.ts';
import { defineModule } from '../module.ts';
import { Rosters } from '../services/rosters.ts';

/** XEP-0199: XMPP Ping. Answers for the server (4.2) and, on behalf of an account, for its bare JID. */
export const ping = defineModule({
  name: 'ping',
  implements: [{ xep: 199, version: '2.0.1' }],
  needs: { rosters: Rosters },
  setup({ iq, feature }, { rosters }) {
    feature(NS.PING, ['server', 'account']);
    iq.server.get(NS.PING, 'ping', function answerPing() {
      // The empty result is the answer.
    });
    iq.account.get(NS.PING, 'ping', function answerPingForAccount({ account, from }) {
      // RFC 6120 13.11: an account that answers is an account that exists
      if (rosters.sharesPresenceWith(account, from.bare)) return;
      throw new StanzaError('service-unavailable');
    });
  },
});
