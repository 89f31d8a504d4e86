import { NS } from '../../stanzas/namespaces.ts';
import type { Jid } from '../../stanzas/jid.ts';
import type { Stanza } from '../../stanzas/stanza.ts';
import type { CommitListener, GroupCommit } from '../../storage/group-commit.ts';
import type { OmissionReason } from '../../storage/omissions.ts';
import type { LogPlace, MessageLog, WrittenStanza } from '../../storage/message-log.ts';
import type { Write } from '../../storage/ordered-store.ts';
import { chatKey, occupantChatKey } from '../../storage/sequences.ts';
import type { Clock } from '../clock.ts';
import type { Counters } from '../metrics/counters.ts';
import type { Account } from './account.ts';
import type { ArchiveIds, ExpectedId } from './archive-ids.ts';
import type { Pipeline } from './pipeline.ts';
import type { Sequencer } from './sequencer.ts';

export interface RecorderOptions {
  readonly commit: GroupCommit;
  readonly messageLog: MessageLog;
  readonly sequencer: Sequencer;
  readonly pipeline: Pick<Pipeline, 'archiving'>;
  readonly archiveIds: ArchiveIds;
  readonly clock: Clock;
  readonly counters: Counters;
  /** Whether anything is archived. */
  readonly history: boolean;
  isLocalDomain(domain: string): boolean;
}

/** What of one message goes into one batch. */
export interface Recording {
  /** Microseconds since the epoch. */
  readonly at: number;
  /** What counts it, and its number; undefined for what is not counted. */
  readonly chat: string | undefined;
  readonly sequence: number | undefined;
  /** The writes of the one side and of the other. */
  one: Write | undefined;
  other: Write | undefined;
  /** The stanza that was written last, so that it is written once for both sides. */
  stanza: Stanza | undefined;
  document: WrittenStanza;
}

/**
 * The place of a message that was recorded, as long as it is on its way. The stanza as it is written is not kept with it: on the
 * way to the disk it would be in memory twice, and with all that wait for a commit in every collection.
 */
export interface RecordedPlace extends LogPlace {
  /** Bytes of the stanza in the log. */
  readonly stanzaBytes: number;
  /** Its id in the archive, of one that is received and archived. */
  readonly archiveId: ExpectedId | undefined;
}

/** Stamps messages and writes them into the logs of their accounts, both sides in one batch. */
export class Recorder {
  readonly #options: RecorderOptions;

  constructor(options: RecorderOptions) {
    this.#options = options;
  }

  /**
   * Makes `begin` possible for this chat, and `sent` for this sender, until the next turn of the loop. Undefined when they
   * already are.
   */
  prepare(chat: string | undefined, sender: Account | undefined): Promise<void> | undefined {
    if (sender?.state === 'loading') return sender.loaded;
    return chat === undefined ? undefined : this.#options.sequencer.prepare(chat);
  }

  /** @param chat whose next number the message gets; undefined for one that is not counted */
  begin(chat: string | undefined): Recording {
    const sequence = chat === undefined ? undefined : this.#options.sequencer.next(chat);
    const at = Math.floor(this.#options.clock.now() * 1000);
    return { at, chat, sequence, one: undefined, other: undefined, stanza: undefined, document: NOT_WRITTEN };
  }

  /** The message in the log of who receives it; `isOwn` where the account sent it to itself. */
  received(recording: Recording, account: Account, stanza: Stanza, isOwn: boolean): RecordedPlace {
    const contact = stanza.from!;
    const position = account.pending.nextPosition(recording.at);
    const archived = this.#archives(recording, account, contact, position);
    const flags = archived && !isOwn ? RECEIVED : { archived, pending: true, sent: isOwn };
    return this.#append(recording, account, stanza, contact, position, flags);
  }

  /** The message in the log of who sent it, written where it is archived; undefined where the account is gone. */
  sent(recording: Recording, account: Account, stanza: Stanza): RecordedPlace | undefined {
    const contact = stanza.to!;
    // Disabled or removed meanwhile: what is written now would outlive the account.
    if (account.state !== 'present') {
      this.unsent(recording, account.jid, 'account');
      return undefined;
    }
    const position = account.pending.nextPosition(recording.at);
    const isArchived = this.#archives(recording, account, contact, position);
    return this.#append(recording, account, stanza, contact, position, isArchived ? SENT : SENT_UNARCHIVED);
  }

  /** The message is not in the log of who it comes from, an account of ours or what could be one. */
  unsent({ chat, at }: Recording, { bare }: Jid, reason: OmissionReason): void {
    if (chat !== undefined) this.#options.sequencer.omitted(chat, bare, at, reason);
  }

  commit({ one, other, chat }: Recording, listener: CommitListener): void {
    const { commit, sequencer } = this.#options;
    // A number is final with its counter also where no log keeps the message.
    if (one === undefined) commit.add(chat === undefined ? NOTHING : sequencer.counterWrites(chat), listener);
    else commit.add(other === undefined ? [one] : [one, other], listener);
  }

  /** The message in the place of something else, as an error in the place of what it answers. */
  commitInstead({ one }: Recording, writes: readonly Write[], listener: CommitListener): void {
    this.#options.commit.add(one === undefined ? writes : [...writes, one], listener);
  }

  #append(
    recording: Recording,
    account: Account,
    stanza: Stanza,
    contact: Jid,
    position: number,
    flags: LogPlace['flags'],
  ): RecordedPlace {
    if (recording.stanza !== stanza) {
      recording.stanza = stanza;
      recording.document = { bytes: stanza.toDocument() };
    }
    const place: RecordedPlace = {
      position,
      flags,
      peer: this.#isOccupant(stanza, contact) ? contact.full : contact.bare,
      sequence: recording.sequence,
      stanzaBytes: recording.document.bytes.length,
      // Who sent it has no use for it, unless other sessions get copies.
      archiveId: flags === RECEIVED ? this.#options.archiveIds.expect(account.jid.bare, position) : undefined,
    };
    if (flags.archived) this.#options.counters.archived++;
    if (flags.archived || flags.pending) {
      const write = this.#options.messageLog.appendWrite(account.jid.bare, place, recording.document, contact.full);
      if (recording.one === undefined) recording.one = write;
      else recording.other = write;
    }
    return place;
  }

  /** XEP-0313 5.1.1: what is worth a number is worth archiving, unless its owner does not want it. */
  #archives({ chat }: Recording, account: Account, contact: Jid, position: number): boolean {
    if (chat === undefined) return false;
    const { sequencer } = this.#options;
    const reason = this.#reasonToOmit(account, contact);
    if (reason === undefined) sequencer.kept(chat, account.jid.bare, position);
    else sequencer.omitted(chat, account.jid.bare, position, reason);
    return reason === undefined;
  }

  #reasonToOmit(account: Account, contact: Jid): OmissionReason | undefined {
    const { history, pipeline } = this.#options;
    if (!history) return 'history';
    for (const allows of pipeline.archiving) if (!allows(account, contact)) return 'preference';
    return undefined;
  }

  #isOccupant(stanza: Stanza, contact: Jid): boolean {
    return isOccupant(stanza, contact) && !this.#options.isLocalDomain(contact.domain);
  }
}

const NOTHING: readonly Write[] = [];
const NOT_WRITTEN: WrittenStanza = { bytes: '' };
const RECEIVED = { archived: true, pending: true, sent: false } as const;
const SENT = { archived: true, pending: false, sent: true } as const;
const SENT_UNARCHIVED = { archived: false, pending: false, sent: true } as const;

/**
 * The chat a message belongs to, from one account's side.
 *
 * @param contact the other side
 * @param isForeign whether it is no account of ours
 */
export function chatOf(account: Account, stanza: Stanza, contact: Jid, isForeign: boolean): string {
  if (isForeign && isOccupant(stanza, contact)) return occupantChatKey(account.jid.bare, contact.full);
  // Nearly always the same as last time: then it is looked up by its identity, not put together and hashed again.
  if (account.lastChat?.contact !== contact.bare) {
    account.lastChat = { contact: contact.bare, key: chatKey(account.jid.bare, contact.bare) };
  }
  return account.lastChat.key;
}

/** XEP-0045 7.5: a private message in a room, each occupant of which is a chat of its own. */
function isOccupant(stanza: Stanza, contact: Jid): boolean {
  return !contact.isBare && stanza.hasChild('x', NS.MUC_USER);
}
