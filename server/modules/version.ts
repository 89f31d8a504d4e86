import { element } from '../../stanzas/element.ts';
import { NS } from '../../stanzas/namespaces.ts';
import { defineModule } from '../module.ts';
import { posthornVersion } from '../version.ts';

/** XEP-0092: Software Version. The operating system is nobody's business. */
export const version = defineModule({
  name: 'version',
  implements: [{ xep: 92, version: '1.1' }],
  setup({ iq, feature }) {
    const number = posthornVersion();
    feature(NS.VERSION, ['server']);
    iq.server.get(NS.VERSION, 'query', function tellVersion() {
      const name = element('name', NS.VERSION, {}, 'Posthorn');
      return element('query', NS.VERSION, {}, name, element('version', NS.VERSION, {}, number));
    });
  },
});
