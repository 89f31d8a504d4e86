import { NS } from '../../stanzas/namespaces.ts';
import { defineModule } from '../module.ts';

/**
 * XEP-0160: Best Practices for Handling Offline Messages. The queue itself is a reading of the account's log and part of
 * accepting a message: server/routing/acceptance.ts; it is flushed by presence (server/modules/presence.ts).
 */
export const offline = defineModule({
  name: 'offline',
  implements: [
    { xep: 160, version: '1.0.1' },
    { xep: 203, version: '2.0' },
    { xep: 334, version: '1.0.0' },
  ],
  setup({ feature }) {
    feature(NS.OFFLINE, ['server']);
  },
});
