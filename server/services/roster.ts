import type { RosterItem, StoredRoster } from '../../storage/rosters.ts';

/** A change on its way to the store. */
export interface RosterChange {
  /** The version of the roster once it is committed. */
  readonly version: number;
  /** What it replaced, by JID. */
  readonly before: Map<string, RosterItem | undefined>;
  /** Resolves when it has been committed or taken back. */
  settled: Promise<void>;
}

/** One account's roster in memory, as it will be when everything under way is committed. */
export class Roster {
  #items = NOBODY;
  #listed = 0;
  #version = 0;
  #committedVersion = 0;
  /** In the order in which they were made, which is that of their commits. */
  #underWay: readonly RosterChange[] = NOTHING;

  /** How many contacts the roster shows. */
  get size(): number {
    return this.#listed;
  }

  /** How many requests it remembers of people who are not in the roster (RFC 6121 3.1.3). */
  get strangers(): number {
    return this.#items.size - this.#listed;
  }

  item(bareJid: string): RosterItem | undefined {
    return this.#items.get(bareJid);
  }

  /** All items, among them those that only remember a stranger's request (`isListed` is false). */
  items(): IterableIterator<RosterItem> {
    return this.#items.values();
  }

  /** What a client may be shown: what is under way could still be refused, and the version then name something else. */
  committed(): StoredRoster {
    if (this.#underWay.length === 0) return { version: this.#committedVersion, items: [...this.#items.values()] };
    const items = new Map(this.#items);
    for (const { before } of this.#underWay.toReversed()) {
      for (const [jid, item] of before) {
        if (item === undefined) items.delete(jid);
        else items.set(jid, item);
      }
    }
    return { version: this.#committedVersion, items: [...items.values()] };
  }

  /** Resolves when what is under way now has been committed or taken back; undefined when nothing is. */
  whenSettled(): Promise<unknown> | undefined {
    if (this.#underWay.length === 0) return undefined;
    return Promise.all(this.#underWay.map(({ settled }) => settled));
  }

  /** For Rosters: becomes what the store has. */
  load({ items, version }: StoredRoster): void {
    for (const stored of items) {
      // Who has any subscription is in the roster, whatever a record of an earlier version says.
      const isListed = stored.isListed || stored.subscription !== 'none' || stored.ask || stored.approved;
      this.#put(stored.jid, isListed === stored.isListed ? stored : { ...stored, isListed });
    }
    this.#version = version;
    this.#committedVersion = version;
  }

  /**
   * For Rosters: puts and removes items.
   * @param nowMs milliseconds since the epoch. A version is never lower, so that it is new even to the clients of an
   *   account that was removed and made again, or restored from a copy (RFC 6121 2.6)
   */
  apply(changed: readonly RosterItem[], removed: readonly string[], nowMs: number): RosterChange {
    const before = new Map<string, RosterItem | undefined>();
    const isSeen =
      changed.some(({ isListed }) => isListed) || removed.some((jid) => this.#items.get(jid)?.isListed === true);
    const put = (jid: string, item: RosterItem | undefined): void => {
      if (!before.has(jid)) before.set(jid, this.#items.get(jid));
      this.#put(jid, item);
    };
    for (const jid of removed) put(jid, undefined);
    for (const item of changed) put(item.jid, item);
    // RFC 6121 2.6.3, "roster modification": what no client is told of makes no version
    if (isSeen) this.#version = Math.max(this.#version + 1, nowMs);
    const change = { version: this.#version, before, settled: Promise.resolve() };
    this.#underWay = [...this.#underWay, change];
    return change;
  }

  /** For Rosters: the change is in the store. */
  landed(change: RosterChange): void {
    this.#underWay = this.#underWay.filter((other) => other !== change);
    this.#committedVersion = change.version;
  }

  /** For Rosters: the change is not in the store and will not be. Its version is not used again. */
  takeBack(change: RosterChange): void {
    const place = this.#underWay.indexOf(change);
    const later = this.#underWay.slice(place + 1);
    this.#underWay = this.#underWay.filter((other) => other !== change);
    for (const [jid, item] of change.before) {
      const onTop = later.find(({ before }) => before.has(jid));
      if (onTop === undefined) this.#put(jid, item);
      else onTop.before.set(jid, item);
    }
  }

  #put(jid: string, item: RosterItem | undefined): void {
    if (this.#items.get(jid)?.isListed === true) this.#listed--;
    if (item === undefined) this.#items.delete(jid);
    else {
      if (this.#items === NOBODY) this.#items = new Map();
      this.#items.set(jid, item);
    }
    if (item?.isListed === true) this.#listed++;
  }
}

/** Of whoever has no contact: an empty map of its own has 200 bytes. Never added to. */
const NOBODY = new Map<string, RosterItem>();
const NOTHING: readonly RosterChange[] = [];
