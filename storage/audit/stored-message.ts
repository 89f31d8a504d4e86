import { NS } from '../../stanzas/namespaces.ts';
import { scanDocument } from '../../stanzas/scanner.ts';
import type { Frame } from '../../stanzas/frame.ts';
import type { LogEntry } from '../log-entry.ts';
import { chatKey, occupantChatKey } from '../sequences.ts';

/** What is stored passed the limits of its day. */
const LIMITS = { maxBytes: 64 * 1024 * 1024, maxDepth: 2000, maxAttributes: 2000 };

/** The message of an entry. Throws where it is none. */
export function readMessage({ stanza }: LogEntry): Frame {
  const frame = scanDocument(Buffer.from(stanza, 'latin1'), LIMITS);
  if (frame.name !== 'message') throw new Error(`a ${frame.name}, not a message`);
  return frame;
}

/** XEP-0424 5: what was retracted is replaced, on each side for itself. */
export function isTombstone({ stanza }: LogEntry): boolean {
  return stanza.includes('<retracted ') && stanza.includes(NS.RETRACT);
}

/** The key of the chat that counts an entry of this owner. */
export function chatOfEntry(owner: string, peer: string): string {
  return peer.includes('/') ? occupantChatKey(owner, peer) : chatKey(owner, peer);
}

export function bareOf(jid: string): string {
  const slash = jid.indexOf('/');
  return slash < 0 ? jid : jid.slice(0, slash);
}
