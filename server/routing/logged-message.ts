import { sequenceBytes } from '../../stanzas/sequence.ts';
import { stanzaIdBytes } from '../../stanzas/stable-id.ts';
import type { Stanza } from '../../stanzas/stanza.ts';
import type { LogPlace } from '../../storage/message-log.ts';
import type { Account } from './account.ts';
import type { ArchiveIds, ExpectedId } from './archive-ids.ts';

/** A message that an account receives or sends, with its place in the account's log where it has one. */
export class LoggedMessage {
  readonly account: Account;
  /** As it was received or sent, without number and archive id. */
  readonly stanza: Stanza;
  readonly entry: LogPlace | undefined;
  readonly #ids: ArchiveIds;
  readonly #expectedId: ExpectedId | undefined;
  #stamped: Stanza | undefined;

  /** @param expectedId its id in the archive, where one was expected */
  constructor(account: Account, stanza: Stanza, entry: LogPlace | undefined, ids: ArchiveIds, expectedId?: ExpectedId) {
    this.account = account;
    this.stanza = stanza;
    this.entry = entry;
    this.#ids = ids;
    this.#expectedId = expectedId;
  }

  /**
   * As the account's own clients see it: with its number and, where it is archived, its id (XEP-0313 3.4). Made once, and
   * only to be written: its table of children is empty.
   */
  get stamped(): Stanza {
    return (this.#stamped ??= this.#stamp());
  }

  #stamp(): Stanza {
    const { account, entry, stanza } = this;
    if (entry === undefined) return stanza;
    const { sequence, peer, position, flags } = entry;
    const { jid } = account;
    const number = sequence === undefined ? '' : sequenceBytes(jid.domain, peer, sequence);
    const id = flags.archived ? stanzaIdBytes(jid.bare, this.#idOf(position)) : '';
    return stanza.withContent(`${stanza.content}${number}${id}`);
  }

  #idOf(position: number): string {
    const expected = this.#expectedId;
    return expected === undefined ? this.#ids.idOf(this.account.jid.bare, position) : this.#ids.expected(expected);
  }
}
