import { element, parseElement, type Element } from '../../stanzas/element.ts';
import { NS } from '../../stanzas/namespaces.ts';
import { StanzaError } from '../../stanzas/stanza-error.ts';
import { DocumentLimitError } from '../../storage/documents.ts';
import { defineModule } from '../module.ts';

/** XEP-0049: Private XML Storage, for its owner alone. Clients keep roster delimiters, notes and bookmarks in it. */
export const privateXml = defineModule({
  name: 'private-xml',
  implements: [{ xep: 49, version: '1.2' }],
  setup({ iq, feature, storage, config, accountSlot }) {
    /** The account's last write: who asks after it sees it (RFC 6120 10.1). */
    const writing = accountSlot(() => ({ last: Promise.resolve() }));
    feature(NS.PRIVATE, ['server']);

    iq.self.get(NS.PRIVATE, 'query', async function readPrivate({ payload, account }) {
      const [asked, ...more] = payload.children;
      if (asked === undefined || more.length > 0) throw new StanzaError('bad-request', 'One element is asked for');
      const name = nameOf(asked);
      await writing.peek(account)?.last;
      const stored = await storage.documents.get(account.jid.bare, name);
      const found = stored === undefined ? element(asked.name, asked.namespace) : parseElement(stored);
      return element('query', NS.PRIVATE, {}, found);
    });

    iq.self.set(NS.PRIVATE, 'query', async function writePrivate({ payload, account }) {
      const documents = new Map<string, string>();
      for (const document of payload.children) {
        const name = nameOf(document);
        // One would silently replace the other.
        if (documents.has(name)) throw new StanzaError('bad-request', 'Two elements have the same name');
        documents.set(name, document.toBytes());
      }
      if (documents.size === 0) throw new StanzaError('not-acceptable', 'There is nothing to store');
      const slot = writing.of(account);
      const stored = slot.last.then(() => store(account.jid.bare, documents));
      slot.last = stored.catch(() => undefined);
      await stored;
    });

    /** Stores all elements or none, as the one answer says. */
    async function store(owner: string, documents: ReadonlyMap<string, string>): Promise<void> {
      try {
        await storage.documents.putAll(owner, documents, config.limits.maxPrivateXmlBytes);
      } catch (error) {
        if (!(error instanceof DocumentLimitError)) throw error;
        throw new StanzaError('resource-constraint', 'There is no more room', 'wait');
      }
    }
  },
});

/** XEP-0049 2.3: what is stored has a namespace of its own. */
function nameOf({ name, namespace }: Element): string {
  if (namespace === '' || namespace === NS.PRIVATE) throw new StanzaError('not-acceptable', 'A namespace is missing');
  return `private {${namespace}}${name}`;
}
