import { element } from '../../stanzas/element.ts';
import { NS } from '../../stanzas/namespaces.ts';
import { defineModule } from '../module.ts';

/** The session request of RFC 3921 3, which does nothing since RFC 6121. Interop: Converse sends it when it is offered. */
export const session = defineModule({
  name: 'session',
  implements: [{ rfc: 6121, section: '1.4' }],
  setup({ iq, streamFeature }) {
    streamFeature(element('session', NS.SESSION, {}, element('optional', NS.SESSION)));
    // Clients address it to nobody, or to the server as RFC 3921 shows it.
    for (const target of [iq.self, iq.server]) {
      target.set(NS.SESSION, 'session', function acceptSession() {
        // The empty result is the answer.
      });
    }
  },
});
