import { Jid } from '../../stanzas/jid.ts';
import { scanDocument } from '../../stanzas/scanner.ts';
import { Stanza, stanzaKind } from '../../stanzas/stanza.ts';

/** What was stored is scanned again when it is read: generous, because it passed the limits of its day. */
const STORED_LIMITS = { maxBytes: 64 * 1024 * 1024, maxDepth: 2000, maxAttributes: 2000 };

/** A stanza that was stored as a document of its own (a byte string). Throws for what is none. */
export function readStoredStanza(document: string): Stanza {
  const frame = scanDocument(Buffer.from(document, 'latin1'), STORED_LIMITS);
  const kind = stanzaKind(frame);
  if (kind === undefined) throw new Error('what is stored is no stanza');
  const { id, type, lang } = frame;
  const address = (text: string | undefined): Jid | undefined => (text === undefined ? undefined : Jid.parse(text));
  return Stanza.fromFrame(kind, frame, { to: address(frame.to), from: address(frame.from), id, type, lang });
}
