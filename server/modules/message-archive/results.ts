import { attributeBytes } from '../../../stanzas/byte-string.ts';
import { dateTime } from '../../../stanzas/delay.ts';
import { element, type Element } from '../../../stanzas/element.ts';
import { documentWith, forwardedBytes } from '../../../stanzas/forwarding.ts';
import { NS } from '../../../stanzas/namespaces.ts';
import { resultSet } from '../../../stanzas/result-set.ts';
import { sequenceBytes } from '../../../stanzas/sequence.ts';
import { stanzaIdBytes } from '../../../stanzas/stable-id.ts';
import { Stanza } from '../../../stanzas/stanza.ts';
import type { LogEntry } from '../../../storage/message-log.ts';
import type { ArchiveIds } from '../../routing/archive-ids.ts';
import type { Session } from '../../routing/session.ts';

/** One message of the archive on its way to a client (4.2): the stored bytes in their wrapping, nothing parsed. */
export function resultMessage(session: Session, entry: LogEntry, ids: ArchiveIds, queryId: string | undefined): Stanza {
  const { jid } = session.account;
  const id = ids.idOf(jid.bare, entry.position);
  const number = entry.sequence === undefined ? '' : sequenceBytes(jid.domain, entry.peer, entry.sequence);
  const copy = documentWith(entry.stanza, number + stanzaIdBytes(jid.bare, id));
  const query = queryId === undefined ? '' : ` queryid='${attributeBytes(queryId)}'`;
  const result = `<result xmlns='${NS.MAM}'${query} id='${id}'>${forwardedBytes(copy, entry.position)}</result>`;
  return Stanza.create('message', { from: jid, to: session.jid }).withChild('result', NS.MAM, result);
}

/** The end of a page (4.3): what it was, whether it was the last, and how much there is altogether where that is known. */
export function pageEnd(
  owner: string,
  entries: readonly LogEntry[],
  isComplete: boolean,
  ids: ArchiveIds,
  count: number | undefined,
): Element {
  const idOf = (entry: LogEntry | undefined): string | undefined =>
    entry === undefined ? undefined : ids.idOf(owner, entry.position);
  const set = resultSet(idOf(entries[0]), idOf(entries.at(-1)), count);
  return element('fin', NS.MAM, { complete: isComplete ? 'true' : undefined }, set);
}

/** The first and the last message (5): nothing of an archive that is empty. */
export function metadata(
  owner: string,
  bounds: { readonly first: LogEntry; readonly last: LogEntry } | undefined,
  ids: ArchiveIds,
): Element {
  if (bounds === undefined) return element('metadata', NS.MAM);
  const bound = (name: string, { position }: LogEntry): Element =>
    element(name, NS.MAM, { id: ids.idOf(owner, position), timestamp: dateTime(position) });
  return element('metadata', NS.MAM, {}, bound('start', bounds.first), bound('end', bounds.last));
}
