import type { Child } from '../../stanzas/frame.ts';
import { NS } from '../../stanzas/namespaces.ts';
import { originId } from '../../stanzas/stable-id.ts';
import type { Stanza } from '../../stanzas/stanza.ts';
import type { GroupCommit } from '../../storage/group-commit.ts';
import type { Write } from '../../storage/ordered-store.ts';
import type { PlacedSendKey, SendKey, SendKeys, SendStream, StoredSendKey } from '../../storage/send-keys.ts';
import type { Clock } from '../clock.ts';
import type { Account, SentStanza } from './account.ts';
import { ContentHash } from './content-hash.ts';
import { HashFilter } from './hash-filter.ts';
import { KeysRead } from './keys-read.ts';
import type { Receipt } from './receipt.ts';
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

  /** Of messages that are not known before they are taken: when they are, or are refused. */
  readonly #untaken = new WeakMap<Account, Map<SendKey, Promise<void>>>();
  readonly #read: KeysRead;
  readonly #hash = new ContentHash();
  /** The keys of the batch that fills, by account. */
  #given = new Map<string, PlacedSendKey[]>();

  constructor(options: RepeatsOptions) {
    this.#options = options;
    this.#read = new KeysRead(options.sendKeys);
    // What was refused was not sent.
    options.commit.onRefused(() => {
      this.#filters = new WeakMap();
      this.#given = new Map();
    });
    // One record for all that an account has sent in a batch.
    options.commit.onClosing((writes) => {
      for (const [owner, keys] of this.#given) writes.push(...options.sendKeys.putWrites(owner, keys));
      this.#given = new Map();
    });
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
    const { resource } = session.jid;
    const hash = this.#hashOf(stanza, resource, chat);
    if (hash === undefined) return undefined;
    const { first, second, isOriginal } = hash;
    return { first, second, stream: isOriginal ? undefined : { resource, since: session.since } };
  }

  #hashOf(stanza: Stanza, resource: string, chat: string): MessageHash | undefined {
    const origin = originId(stanza);
    const id = origin ?? stanza.id;
    if (id === undefined) return undefined;
    const whose = origin === undefined ? `id of ${resource}` : 'origin-id';
    const header = `${whose}\0${chat}\0${id}\0${stanza.type ?? ''}\0`;
    const hash = this.#hash;
    hash.begin();
    hash.takeText(header);
    let taken = 0;
    for (const child of stanza.children) {
      if (!isPassing(child)) continue;
      hash.takeBytes(stanza.content.slice(taken, child.start));
      taken = child.end;
    }
    hash.takeBytes(stanza.content.slice(taken));
    const { first, second } = hash.end();
    return { first, second, isOriginal: origin !== undefined };
  }

  /** False for what was surely not sent before. */
  mayKnow(account: Account, key: SendKey): boolean {
    return this.#filters.get(account)?.mayHave(key.first) === true;
  }

  /** Whether the message was sent before, and recorded. Rejects with StoreError. */
  async isRepeat(account: Account, key: SendKey): Promise<boolean> {
    for (const [other, settled] of this.#untaken.get(account) ?? []) if (isSame(other, key)) await settled;
    // The first may still be on its way to the disk.
    await this.#options.commit.flush();
    const stored = await this.#read.load(account, this.#horizon());
    const returnedAt = await this.#returnedAt(account, key, stored);
    const isRepeated = (other: StoredSendKey): other is StoredSendKey & { kind: 'sent' } =>
      other.kind === 'sent' && other.position > returnedAt && isSame(other, key);
    if (key.stream !== undefined) return isFromLastStream(stored, key.stream, isRepeated);
    return stored.some((other) => isRepeated(other) && other.stream === undefined);
  }

  /**
   * Where the message last came back to its sender: who sends it behind that means it. As long as no client has the error it
   * is still for want of an acknowledgement.
   */
  async #returnedAt(account: Account, key: SendKey, stored: readonly StoredSendKey[]): Promise<number> {
    let returnedAt = 0;
    for (const other of stored) {
      if (other.kind !== 'returned' || other.position <= returnedAt || !isSame(other, key)) continue;
      const { position } = other;
      const [entry] = account.pending.isDone(position) ? [] : await account.page(position - 1, 1);
      if (entry?.position !== position) returnedAt = position;
    }
    return returnedAt;
  }

  /** What says that a message came back. @param position of the error in its sender's log */
  returnedWrites(account: Account, stanza: Stanza, chat: string, position: number): Write[] {
    const key = this.#hashOf(stanza, stanza.from!.resource, chat);
    return key === undefined ? [] : this.#options.sendKeys.returnedWrites(account.jid.bare, { ...key, position });
  }

  /** The client has sent it on another stream as well: if that breaks too, it may come once more. */
  async seenAgain(account: Account, key: SendKey): Promise<void> {
    if (key.stream === undefined) return;
    // What came back, and no client knows yet, must not count as sent behind that: who sends it then means it.
    const stored = await this.#read.load(account, this.#horizon());
    const last = (kind: 'sent' | 'returned'): number => {
      const same = stored.filter((other) => other.kind !== 'closed' && other.kind === kind && isSame(other, key));
      return same.at(-1)?.position ?? 0;
    };
    if (last('returned') <= last('sent')) await this.#write(account, key);
  }

  /** The key commits with the message, which must join the batch in this turn of the loop. */
  remember(account: Account, position: number, sent: SendKey): void {
    const { first, second, stream } = sent;
    this.#note(account, sent);
    const key = { first, second, stream, position };
    const given = this.#given.get(account.jid.bare);
    if (given === undefined) this.#given.set(account.jid.bare, [key]);
    else given.push(key);
  }

  /**
   * The key of a message that is recorded now and taken, where it goes, behind the commit: it is written when it has been
   * taken, and not where it is refused. Until then whoever sends it again waits.
   */
  rememberOnceTaken(account: Account, key: SendKey, receipt: Receipt): void {
    this.#note(account, key);
    const untaken = this.#untaken.get(account) ?? new Map<SendKey, Promise<void>>();
    this.#untaken.set(account, untaken);
    const settled = new Promise<void>((resolve) => {
      receipt.onSettled = (refusal) => {
        untaken.delete(key);
        // Where that fails it is not known, and sent once more. Of an account removed meanwhile it would outlive that.
        if (refusal === undefined && account.state === 'present') this.#write(account, key).catch(() => undefined);
        resolve();
      };
    });
    untaken.set(key, settled);
  }

  /** The client has closed its stream in order: it knows what was acknowledged, and counts anew. */
  async closedInOrder({ account, jid, since }: Session): Promise<void> {
    const { commit, sendKeys } = this.#options;
    await this.prepare(account);
    if (account.state !== 'present' || !this.#counting.has(account)) return;
    const position = account.pending.nextPosition(this.#nowUs());
    await commit.write(sendKeys.closedWrites(account.jid.bare, position, { resource: jid.resource, since }));
  }

  #note(account: Account, { first, stream }: SendKey): void {
    this.#filters.get(account)?.add(first);
    if (stream !== undefined) this.#counting.add(account);
  }

  /** Writes a key behind its message, at a place of its own: what was read before is not read again. */
  #write(account: Account, key: SendKey): Promise<void> {
    const position = account.pending.nextPosition(this.#nowUs());
    return this.#options.commit.write(this.#options.sendKeys.putWrites(account.jid.bare, [{ ...key, position }]));
  }

  async #load(account: Account): Promise<void> {
    const owner = account.jid.bare;
    await this.#options.commit.flush();
    const horizon = this.#horizon();
    const keys = await this.#options.sendKeys.load(owner, 0);
    // What came back is of use with what was sent alone, and does not count: a backlog would take the place of all else.
    const sent = keys.filter(({ kind, position }) => kind !== 'returned' && position > horizon);
    const excess = sent.length > MAX_KEYS ? sent.at(-MAX_KEYS / 2 - 1)?.position : undefined;
    const upTo = excess ?? keys.findLast(({ position }) => position <= horizon)?.position;
    const kept = upTo === undefined ? keys : keys.filter(({ position }) => position > upTo);
    if (upTo !== undefined) {
      this.#read.forget(account);
      await this.#options.commit.write(this.#options.sendKeys.forgetWrites(owner, upTo));
    }
    const filter = new HashFilter();
    for (const key of kept) {
      if (key.kind !== 'returned' && key.stream !== undefined) this.#counting.add(account);
      if (key.kind === 'sent') filter.add(key.first);
    }
    for (const { first } of this.#untaken.get(account)?.keys() ?? []) filter.add(first);
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
  { resource, since }: SendStream,
  isRepeated: (other: StoredSendKey) => boolean,
): boolean {
  const ofStreams = stored.filter((key) => key.kind !== 'returned');
  const earlier = ofStreams.filter(({ stream }) => stream?.resource === resource && stream.since < since);
  const previous = Math.max(...earlier.map(({ stream }) => stream?.since ?? 0));
  const last = earlier.filter(({ stream }) => stream?.since === previous);
  return last.every(({ kind }) => kind === 'sent') && last.some(isRepeated);
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

type Hash = Pick<SendKey, 'first' | 'second'>;

interface MessageHash extends Hash {
  /** Whether it is made of the origin-id. */
  readonly isOriginal: boolean;
}

function isSame(one: Hash, other: Hash): boolean {
  return one.first === other.first && one.second === other.second;
}
