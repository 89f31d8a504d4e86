import type { Child } from '../../stanzas/frame.ts';
import { NS } from '../../stanzas/namespaces.ts';
import { originId } from '../../stanzas/stable-id.ts';
import type { GroupCommit } from '../../storage/group-commit.ts';
import type { Write } from '../../storage/ordered-store.ts';
import type { SendKey, SendKeys, SendStream, StoredSendKey } from '../../storage/send-keys.ts';
import type { Clock } from '../clock.ts';
import type { Account, SentStanza } from './account.ts';
import { HashFilter } from './hash-filter.ts';
import type { Session } from './session.ts';

export interface RepeatsOptions {
  readonly sendKeys: SendKeys;
  readonly commit: GroupCommit;
  readonly clock: Clock;
  /** How long a message that is sent again is known. */
  readonly keepMs: number;
}

/** Keys of one account: beyond, the oldest half is forgotten. */
const MAX_KEYS = 8192;

/**
 * Knows a message that its client sends again because the acknowledgement was lost (docs/architecture.md, "Sent once").
 * Two messages are one where sender, chat, id and content are the same. The id is the origin-id; the stanza's own `id`
 * counts only from a resource whose previous stream did not end in order, since clients count anew with each stream.
 *
 * The keys are committed with their messages. In memory is only a filter of their hashes, so that a message that is
 * surely new, as nearly all are, costs no read.
 */
export class Repeats {
  readonly #options: RepeatsOptions;
  #filters = new WeakMap<Account, HashFilter>();
  readonly #loading = new WeakMap<Account, Promise<void>>();
  /** Accounts with messages that are known by their own `id`. */
  readonly #counting = new WeakSet<Account>();

  constructor(options: RepeatsOptions) {
    this.#options = options;
    // What was refused was not sent.
    options.commit.onRefused(() => (this.#filters = new WeakMap()));
  }

  /** Makes the rest possible for this account until the next turn of the loop. Undefined when it already is. */
  prepare(account: Account): Promise<void> | undefined {
    const filter = this.#filters.get(account);
    if (filter !== undefined && filter.size <= MAX_KEYS) return undefined;
    let loading = this.#loading.get(account);
    if (loading === undefined) {
      loading = this.#load(account).finally(() => this.#loading.delete(account));
      this.#loading.set(account, loading);
    }
    return loading;
  }

  /** By what the message would be known; undefined for one without an id. */
  keyOf({ session, stanza }: SentStanza, chat: string): SendKey | undefined {
    const origin = originId(stanza);
    const id = origin ?? stanza.id;
    if (id === undefined) return undefined;
    const { resource } = session.jid;
    const whose = origin === undefined ? `id of ${resource}` : 'origin-id';
    const parts = [whose, chat, id, stanza.type ?? '', stanza.withoutChildren(isPassing).content];
    const hash = hashOf(parts);
    return { hash, stream: origin === undefined ? { resource, since: session.since } : undefined };
  }

  /** False for what was surely not sent before. */
  mayKnow(account: Account, key: SendKey): boolean {
    return this.#filters.get(account)?.mayHave(wordOf(key.hash)) === true;
  }

  /** Whether the message was sent before, and recorded. Rejects with StoreError. */
  async isRepeat(account: Account, key: SendKey): Promise<boolean> {
    // The first may still be on its way to the disk.
    await this.#options.commit.flush();
    const stored = await this.#options.sendKeys.load(account.jid.bare, this.#horizon());
    if (key.stream === undefined) {
      return stored.some(
        (other) => other.kind === 'sent' && other.stream === undefined && isSame(other.hash, key.hash),
      );
    }
    return isFromLastStream(stored, key, key.stream);
  }

  /** The client has sent it on another stream as well: if that breaks too, it may come once more. */
  async seenAgain(account: Account, key: SendKey): Promise<void> {
    if (key.stream === undefined) return;
    const position = account.pending.nextPosition(this.#nowUs());
    await this.#options.commit.write(this.#options.sendKeys.putWrites(account.jid.bare, position, key));
  }

  /** For the batch that records the message. */
  rememberWrites(account: Account, position: number, key: SendKey): Write[] {
    this.#filters.get(account)?.add(wordOf(key.hash));
    if (key.stream !== undefined) this.#counting.add(account);
    return this.#options.sendKeys.putWrites(account.jid.bare, position, key);
  }

  /** The client has closed its stream in order: it knows what was acknowledged, and counts anew. */
  async closedInOrder({ account, jid, since }: Session): Promise<void> {
    const { commit, sendKeys } = this.#options;
    await this.prepare(account);
    if (account.state !== 'present' || !this.#counting.has(account)) return;
    const position = account.pending.nextPosition(this.#nowUs());
    await commit.write(sendKeys.closedWrites(account.jid.bare, position, { resource: jid.resource, since }));
  }

  async #load(account: Account): Promise<void> {
    const owner = account.jid.bare;
    await this.#options.commit.flush();
    const horizon = this.#horizon();
    const keys = await this.#options.sendKeys.load(owner, 0);
    // Not every key has an entry in the log; a second one at its place would take it away.
    account.pending.skipTo(keys.at(-1)?.position ?? 0);
    const expired = keys.filter(({ position }) => position <= horizon);
    const excess = keys.length - expired.length > MAX_KEYS ? MAX_KEYS / 2 : Infinity;
    const kept = keys.slice(Math.max(expired.length, keys.length - excess));
    const upTo = keys[keys.length - kept.length - 1]?.position;
    if (upTo !== undefined) await this.#options.commit.write(this.#options.sendKeys.forgetWrites(owner, upTo));
    const filter = new HashFilter();
    for (const key of kept) {
      if (key.stream !== undefined) this.#counting.add(account);
      if (key.kind === 'sent') filter.add(wordOf(key.hash));
    }
    this.#filters.set(account, filter);
  }

  #horizon(): number {
    return Math.max(0, this.#nowUs() - this.#options.keepMs * 1000);
  }

  #nowUs(): number {
    return Math.floor(this.#options.clock.now() * 1000);
  }
}

/**
 * Whether a stanza with the same id and content is among those of the resource's previous stream, and that stream did not
 * end in order.
 */
function isFromLastStream(
  stored: readonly StoredSendKey[],
  { hash }: SendKey,
  { resource, since }: SendStream,
): boolean {
  const earlier = stored.filter(({ stream }) => stream?.resource === resource && stream.since < since);
  const previous = Math.max(...earlier.map(({ stream }) => stream?.since ?? 0));
  const last = earlier.filter(({ stream }) => stream?.since === previous);
  return last.every(({ kind }) => kind === 'sent') && last.some((key) => key.kind === 'sent' && isSame(key.hash, hash));
}

const FNV_PRIME = 0x01000193;
const MURMUR_FACTOR = 0x5bd1e995;

/**
 * 64 bits of two simple hashes over the parts, each ended by U+0000. Nothing cryptographic: who makes two messages of one
 * hash has only one of their own taken for the other.
 */
function hashOf(parts: readonly string[]): Uint8Array {
  let one = 0x811c9dc5;
  let other = 0x9747b28c;
  for (const part of parts) {
    for (let index = 0; index < part.length; index++) {
      const code = part.charCodeAt(index);
      one = Math.imul(one ^ code, FNV_PRIME);
      other = Math.imul(other ^ code, MURMUR_FACTOR);
      other ^= other >>> 15;
    }
    one = Math.imul(one, FNV_PRIME);
    other = Math.imul(other, MURMUR_FACTOR);
  }
  const hash = Buffer.allocUnsafe(8);
  hash.writeInt32BE(one ^ (one >>> 15), 0);
  hash.writeInt32BE(other, 4);
  return hash;
}

/** What is not content: it may differ when the same message is sent again. */
function isPassing({ name, namespace }: Child): boolean {
  return (
    namespace === NS.DELAY ||
    namespace === NS.HINTS ||
    namespace === NS.CHAT_STATES ||
    (namespace === NS.STANZA_ID && name === 'origin-id')
  );
}

function isSame(one: Uint8Array, other: Uint8Array): boolean {
  return Buffer.compare(one, other) === 0;
}

function wordOf(hash: Uint8Array): number {
  return new DataView(hash.buffer, hash.byteOffset, hash.byteLength).getUint32(0);
}
