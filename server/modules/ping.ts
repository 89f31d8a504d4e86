import { NS } from '../../stanzas/namespaces.ts';
import { defineModule } from '../module.ts';

/** XEP-0199: XMPP Ping. Answers for the server (4.2) and, on behalf of an account, for its bare JID. */
export const ping = defineModule({
  name: 'ping',
  implements: [{ xep: 199, version: '2.0.1' }],
  setup({ iq, feature }) {
    feature(NS.PING, ['server', 'account']);
    iq.server.get(NS.PING, 'ping', function answerPing() {
      // The empty result is the answer.
    });
    iq.account.get(NS.PING, 'ping', function answerPing() {
      // The empty result is the answer.
    });
  },
});
