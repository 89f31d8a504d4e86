import { escapeAttribute, toByteString } from '../../../stanzas/byte-string.ts';
import { dateTime } from '../../../stanzas/delay.ts';
import { NS } from '../../../stanzas/namespaces.ts';
import { Stanza } from '../../../stanzas/stanza.ts';
import type { ArchiveRetention } from '../../../storage/archive-retention.ts';
import type { MessageArchive } from '../../../storage/message-archive.ts';
import type { LogPlace } from '../../../storage/message-log.ts';
import { readStoredStanza } from '../../routing/stored-stanza.ts';

export interface RetractionsOptions {
  readonly archive: MessageArchive;
  readonly retention: ArchiveRetention;
}

/** How far back a retracted message is searched for in its chat. */
const MAX_SEARCHED_PAGES = 10;
const PAGE = { limit: 200, maxBytes: 1024 * 1024, reverse: true } as const;

/** XEP-0424 5: in place of a message that its author has retracted, the archive keeps a tombstone. */
export class Retractions {
  readonly #options: RetractionsOptions;

  constructor(options: RetractionsOptions) {
    this.#options = options;
  }

  /** Takes a message that was archived; does nothing where it retracts nothing. Rejects with StoreError. */
  async bury(owner: string, retraction: Stanza, entry: LogPlace): Promise<void> {
    const retracted = retraction.child('retract', NS.RETRACT)?.attribute('id');
    // 5: the tombstone names the retraction
    if (retracted === undefined || retraction.id === undefined) return;
    const position = await this.#find(owner, retracted, entry);
    if (position === undefined) return;
    const { id } = retraction;
    await this.#options.retention.replace(owner, position, ({ stanza }) => tombstone(stanza, id, entry.position));
  }

  /** The position of the latest message of that id in the same chat, from the same side (6: the same bare JID). */
  async #find(owner: string, id: string, { peer, flags, position }: LogPlace): Promise<number | undefined> {
    const slash = peer.indexOf('/');
    const contact = { bare: slash < 0 ? peer : peer.slice(0, slash), resource: '' };
    const attribute = ` id='${toByteString(escapeAttribute(id))}'`;
    let before = position;
    for (let page = 0; page < MAX_SEARCHED_PAGES; page++) {
      const { entries, hasMore } = await this.#options.archive.page(owner, { ...PAGE, contact, before });
      for (const entry of entries) {
        if (entry.peer !== peer || entry.flags.sent !== flags.sent || !entry.stanza.includes(attribute)) continue;
        if (readStoredStanza(entry.stanza).id === id) return entry.position;
      }
      if (!hasMore) return undefined;
      before = entries.at(-1)?.position ?? 0;
    }
    return undefined;
  }
}

/** The message without its content; undefined for one that says itself that another is gone. */
function tombstone(document: string, retraction: string, atUs: number): string | undefined {
  const { to, from, id, type, lang, children } = readStoredStanza(document);
  if (children.some(({ namespace }) => namespace === NS.RETRACT)) return undefined;
  const by = `id='${toByteString(escapeAttribute(retraction))}' stamp='${dateTime(atUs)}'`;
  return Stanza.create('message', { to, from, id, type, lang })
    .withChild('retracted', NS.RETRACT, `<retracted xmlns='${NS.RETRACT}' ${by}/>`)
    .toDocument();
}
