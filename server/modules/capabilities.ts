import { element, type Element } from '../../stanzas/element.ts';
import { NS } from '../../stanzas/namespaces.ts';
import { defineModule } from '../module.ts';
import { CAPABILITIES_NODE, verificationString } from '../services/capability-hash.ts';
import { Features } from '../services/features.ts';

/**
 * XEP-0115: Entity Capabilities of the server, told to clients before they ask (6.3). The node they then ask for is
 * answered by server/modules/disco.ts.
 */
export const capabilities = defineModule({
  name: 'capabilities',
  implements: [{ xep: 115, version: '1.6.0', note: "the server's own, as a stream feature" }],
  needs: { features: Features },
  setup({ feature, streamFeature }, { features }) {
    feature(NS.CAPS, ['server']);
    // Looked at for each stream, since later modules add features and a form may change; hashed anew only then.
    let described: Element | undefined;
    let told: Element | undefined;
    streamFeature(function tellCapabilities() {
      const info = features.serverInfo();
      if (told === undefined || info !== described) {
        described = info;
        told = element('c', NS.CAPS, { hash: 'sha-1', node: CAPABILITIES_NODE, ver: verificationString(info) });
      }
      return told;
    });
  },
});
