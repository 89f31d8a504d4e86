import { resultForm } from '../../stanzas/data-form.ts';
import { NS } from '../../stanzas/namespaces.ts';
import { defineModule } from '../module.ts';

/** XEP-0157: Contact Addresses for XMPP Services, as the operator configured them. */
export const contactAddresses = defineModule({
  name: 'contact-addresses',
  implements: [{ xep: 157, version: '1.1.1' }],
  setup({ discoExtension, config }) {
    const fields = Object.entries(config.contacts)
      .filter(([, addresses]) => addresses.length > 0)
      .map(([kind, addresses]) => ({ name: `${kind}-addresses`, type: 'list-multi', values: addresses }));
    const form = fields.length === 0 ? undefined : resultForm(NS.CONTACT, fields);
    discoExtension(function listContacts() {
      return form;
    });
  },
});
