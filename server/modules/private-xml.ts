import { element, parseElement } from '../../stanzas/element.ts';
import { NS } from '../../stanzas/namespaces.ts';
import { StanzaError } from '../../stanzas/stanza-error.ts';
import { DocumentLimitError } from '../../storage/documents.ts';
import { defineModule } from '../module.ts';

/** XEP-0049: Private XML Storage, for its owner alone. Clients keep roster delimiters, notes and bookmarks in it. */
export const privateXml = defineModule({
  name: 'private-xml',
  implements: [{ xep: 49, version: '1.2' }],
  setup({ iq, feature, storage, config }) {
    feature(NS.PRIVATE, ['server']);

    iq.self.get(NS.PRIVATE, 'query', async function readPrivate({ payload, account }) {
      const [asked, ...more] = payload.children;
      if (asked === undefined || more.length > 0) throw new StanzaError('bad-request', 'One element is asked for');
      const stored = await storage.documents.get(account.jid.bare, nameOf(asked));
      const found = stored === undefined ? element(asked.name, asked.namespace) : parseElement(stored, {});
      return element('query', NS.PRIVATE, {}, found);
    });

    iq.self.set(NS.PRIVATE, 'query', async function writePrivate({ payload, account }) {
      const documents = payload.children;
      if (documents.length === 0) throw new StanzaError('bad-request', 'There is nothing to store');
      try {
        for (const document of documents) {
          const limit = config.limits.maxPrivateXmlBytes;
          await storage.documents.put(account.jid.bare, nameOf(document), document.toBytes(), limit);
        }
      } catch (error) {
        if (error instanceof DocumentLimitError)
          throw new StanzaError('resource-constraint', 'There is no more room', 'wait');
        throw error;
      }
    });
  },
});

function nameOf({ name, namespace }: { name: string; namespace: string }): string {
  // XEP-0049 2.1: what is stored has a namespace of its own
  if (namespace === '' || namespace === NS.PRIVATE) throw new StanzaError('bad-request', 'A namespace is missing');
  return `private {${namespace}}${name}`;
}
