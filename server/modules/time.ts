import { element } from '../../stanzas/element.ts';
import { NS } from '../../stanzas/namespaces.ts';
import { defineModule } from '../module.ts';

/** XEP-0202: Entity Time, in UTC. */
export const time = defineModule({
  name: 'time',
  implements: [{ xep: 202, version: '2.0' }],
  setup({ iq, feature, clock }) {
    feature(NS.TIME, ['server']);
    iq.server.get(NS.TIME, 'time', function tellTime() {
      const utc = new Date(clock.now()).toISOString();
      return element('time', NS.TIME, {}, element('tzo', NS.TIME, {}, '+00:00'), element('utc', NS.TIME, {}, utc));
    });
  },
});
