import { element } from '../../stanzas/element.ts';
import { NS } from '../../stanzas/namespaces.ts';
import { defineModule } from '../module.ts';

/** XEP-0157: Contact Addresses for XMPP Services, as the operator configured them. */
export const contactAddresses = defineModule({
  name: 'contact-addresses',
  implements: [{ xep: 157, version: '1.1.1' }],
  setup({ discoExtension, config }) {
    const field = (name: string, values: readonly string[], type?: string) =>
      element(
        'field',
        NS.DATA_FORM,
        { var: name, type },
        ...values.map((value) => element('value', NS.DATA_FORM, {}, value)),
      );
    discoExtension(function listContacts() {
      const fields = Object.entries(config.contacts)
        .filter(([, addresses]) => addresses.length > 0)
        .map(([kind, addresses]) => field(`${kind}-addresses`, addresses, 'list-multi'));
      if (fields.length === 0) return undefined;
      return element('x', NS.DATA_FORM, { type: 'result' }, field('FORM_TYPE', [NS.CONTACT], 'hidden'), ...fields);
    });
  },
});
