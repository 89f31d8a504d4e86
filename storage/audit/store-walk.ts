import { decodeAccount, type AccountRecord } from '../account-record.ts';
import { decodeArchive, decodeRemoval } from '../archive-record.ts';
import {
  describeKey,
  OWNER_TABLES,
  partsOf,
  positionKey,
  positionOfContactKey,
  restAsPosition,
  restAsText,
} from '../keys.ts';
import type { KeyParts, Table } from '../keys.ts';
import { contactOf as contactOfEntry, decodeEntry, flagsOf } from '../log-entry.ts';
import { decodeCursors } from '../message-log.ts';
import type { Entry, Key, StoreReader } from '../ordered-store.ts';
import { decodeSendKeys, type StoredSendKey } from '../send-keys.ts';
import { chatKey, decodeCounter, occupantChatKey } from '../sequences.ts';
import type { Chat } from './chat-check.ts';
import { ChatSide } from './chat-side.ts';
import type { Findings } from './finding.ts';
import { OwnerSummary, surveyedOf } from './owner-check.ts';
import { checkRecord } from './records.ts';
import type { AuditScope } from './scope.ts';
import { chatOfEntry, readMessage } from './stored-message.ts';

/** Goes once over everything, in the order of the keys, and keeps a few sums for each account and each side of a chat. */
export class StoreWalk {
  readonly accounts = new Map<string, AccountRecord>();
  readonly owners = new Map<string, OwnerSummary>();
  readonly chats = new Map<string, Chat>();
  readonly #store: StoreReader;
  readonly #scope: AuditScope;
  readonly #findings: Findings;
  /** The last owner and table that were found to belong to nobody: one finding for all of it. */
  #orphan = '';

  constructor(store: StoreReader, scope: AuditScope, findings: Findings) {
    this.#store = store;
    this.#scope = scope;
    this.#findings = findings;
  }

  /** Rejects with StoreError where the store fails. */
  async take(page: readonly Entry[]): Promise<void> {
    const sendKeys: Entry[] = [];
    for (const entry of page) {
      const parts = this.#partsOf(entry[0]);
      if (parts === undefined) continue;
      try {
        if (parts.table === 'log') await this.#beginOwner(parts.owner);
        this.#takeOne(parts, entry);
        if (parts.table === 'sendKeys' && this.#scope.hasOwner(parts.owner)) sendKeys.push(entry);
      } catch (error) {
        const found = error instanceof Error ? error.message : String(error);
        this.#findings.add({
          fault: 'unreadable',
          owner: parts.owner,
          found,
          expected: 'a record as Posthorn writes it',
        });
      }
    }
    if (sendKeys.length > 0) await this.#checkSendKeys(sendKeys);
  }

  #partsOf(key: Key): KeyParts | undefined {
    try {
      return partsOf(key);
    } catch {
      const found = describeKey(key);
      this.#findings.add({ fault: 'key', owner: '', found, expected: 'shard, table and owner of the layout' });
      return undefined;
    }
  }

  #takeOne(parts: KeyParts, [key, value]: Entry): void {
    const { table, owner, rest } = parts;
    if (table === 'accounts') this.accounts.set(owner, decodeAccount(key, value));
    if (table === 'sequences') {
      const counter = decodeCounter(key, value);
      const other = restAsText(key);
      if (this.#scope.hasChat(owner, other)) this.#chat(chatOfCounter(owner, other)).counter = counter;
      return;
    }
    if (!this.#scope.hasOwner(owner) && !(table === 'log' && this.#scope.mayHavePeers)) return;
    if (this.#isOrphan(table, owner, key, value)) return;
    if (table === 'log') {
      this.#takeEntry(owner, key, value);
      return;
    }
    checkRecord(table, key, value, rest);
    const summary = this.#owner(owner);
    if (table === 'contacts') {
      summary.rowCount++;
      const resource = Buffer.from(value).toString('utf8');
      summary.rows.add(`${positionOfContactKey(key)} ${contactOf(rest)}/${resource}`);
    } else if (table === 'archives') summary.usage = decodeArchive(key, value);
    else if (table === 'cursors') summary.cursors = decodeCursors(key, value);
  }

  #takeEntry(owner: string, key: Key, value: Uint8Array): void {
    const entry = decodeEntry(key, value);
    const { flags, peer, position, sequence, stanza } = entry;
    const isOwn = this.#scope.hasOwner(owner);
    const isOfChat = this.#scope.hasChat(owner, peer);
    if (!isOwn && !isOfChat) return;
    if (isOwn) {
      const summary = this.#owner(owner);
      summary.lastPosition = position;
      if (flags.archived && position <= summary.surveyedUpTo) {
        const { bare, resource } = contactOfEntry(key, value);
        summary.archivedCount++;
        summary.archivedBytes += stanza.length;
        summary.archived.add(`${position} ${bare}/${resource}`);
      }
      if (!flags.archived && !flags.pending) {
        const found = 'an entry that is neither archived nor pending';
        this.#findings.add({ fault: 'flags', owner, peer, position, found, expected: 'one of them' });
      }
    }
    try {
      readMessage(entry);
    } catch (error) {
      const found = `what is no message: ${error instanceof Error ? error.message : String(error)}`;
      this.#findings.add({ fault: 'unreadable', owner, peer, position, found, expected: 'a well-formed message' });
    }
    if (sequence === undefined || !isOfChat) return;
    const chat = this.#chat(chatOfEntry(owner, peer));
    let side = chat.sides.find((known) => known.owner === owner);
    if (side === undefined) chat.sides.push((side = new ChatSide(owner)));
    const { last, lastPosition } = side;
    // Between two of ours the one with the smaller JID is the owner of the chat's key.
    const isFromSmaller = owner <= peer ? flags.sent : !flags.sent;
    if (side.add(entry, sequence, isFromSmaller)) return;
    const found = `number ${sequence} behind number ${last} at position ${lastPosition}`;
    const expected = `a number greater than ${last}`;
    this.#findings.add({ fault: 'order', owner, peer, position, number: sequence, found, expected });
  }

  #isOrphan(table: Table, owner: string, key: Key, value: Uint8Array): boolean {
    if (!OWNER_TABLES.includes(table) || owner === '' || this.accounts.has(owner)) return false;
    // What is left of an account that was removed, so that its chats' numbers stay explained.
    if (table === 'removals' && decodeRemoval(key, value).reason === 'account') return true;
    const orphan = `${table} ${owner}`;
    if (orphan !== this.#orphan) {
      const found = `${describeKey(key)}, and no account ${owner}`;
      this.#findings.add({ fault: 'orphan', owner, found, expected: 'nothing of who has no account' });
    }
    this.#orphan = orphan;
    return true;
  }

  /** A key may outlive its message, and some never had one in the log; but no received message was sent. */
  async #checkSendKeys(keys: readonly Entry[]): Promise<void> {
    const places = keys.flatMap(([key, value]) => {
      const sent = sendKeysOf(key, value).filter(({ kind }) => kind === 'sent');
      return sent.map(({ position }) => positionKey('log', partsOf(key).owner, position));
    });
    const values = await this.#store.getMany(places);
    for (const [index, place] of places.entries()) {
      const value = values[index];
      if (value === undefined || flagsOf(place, value).sent) continue;
      const { owner } = partsOf(place);
      const found = 'a send key at a message the account received';
      const position = restAsPosition(place);
      this.#findings.add({ fault: 'send key', owner, position, found, expected: 'a message the account sent' });
    }
  }

  /** Whose records were read; those of the server itself have no owner. */
  get accountCount(): number {
    return this.owners.size - (this.owners.has('') ? 1 : 0);
  }

  /** Before the log is read it must be known up to where its index goes. */
  async #beginOwner(owner: string): Promise<void> {
    if (this.owners.has(owner) || !this.#scope.hasOwner(owner) || !this.accounts.has(owner)) return;
    this.owners.set(owner, new OwnerSummary(await surveyedOf(this.#store, owner).catch(() => 0)));
  }

  #owner(owner: string): OwnerSummary {
    let summary = this.owners.get(owner);
    if (summary === undefined) this.owners.set(owner, (summary = new OwnerSummary(0)));
    return summary;
  }

  #chat(key: string): Chat {
    let chat = this.chats.get(key);
    if (chat === undefined) this.chats.set(key, (chat = { key, counter: undefined, sides: [] }));
    return chat;
  }
}

function chatOfCounter(owner: string, other: string): string {
  if (other === '') return owner;
  return other.includes('/') ? occupantChatKey(owner, other) : chatKey(owner, other);
}

/** What cannot be read was found already. */
function sendKeysOf(key: Key, value: Uint8Array): readonly StoredSendKey[] {
  try {
    return decodeSendKeys(key, value);
  } catch {
    return [];
  }
}

function contactOf(rest: Uint8Array): string {
  return Buffer.from(rest.subarray(0, Math.max(0, rest.length - 9))).toString('utf8');
}
