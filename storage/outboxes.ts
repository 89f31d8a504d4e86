import type { StorageAccess } from './access.ts';
import { partsOf, positionKey, restAsPosition, shardRange, SHARDS, textKey } from './keys.ts';
import type { Table } from './keys.ts';
import { pagesOf } from './ordered-store.ts';
import type { Key, Write } from './ordered-store.ts';
import { RecordReader, RecordWriter } from './record.ts';

/** Who writes to whom: a domain of ours and one of another server, both prepared. */
export interface DomainPair {
  readonly local: string;
  readonly remote: string;
}

/** A stanza that waits until the other server has it. */
export interface OutboxEntry {
  /** Its place: greater than that of every earlier entry of the pair. */
  readonly position: number;
  /** When it was accepted, milliseconds since the epoch. */
  readonly at: number;
  /** Whether it may have been sent before it was last heard of. */
  readonly isHandedOut: boolean;
  /** The stanza as a document of its own, a byte string. */
  readonly document: string;
}

const ENTRY_FORMAT = 1;
const MARK_FORMAT = 1;
const PAGE_ENTRIES = 100;

/**
 * What was accepted for other servers and is not known to have arrived there, in order for each pair of domains. What ends
 * in `Writes` only prepares, for the batch it belongs to.
 */
export class Outboxes {
  readonly #access: StorageAccess;

  constructor(access: StorageAccess) {
    this.#access = access;
  }

  putWrites(pair: DomainPair, { position, at, isHandedOut, document }: OutboxEntry): Write[] {
    const value = new RecordWriter(ENTRY_FORMAT)
      .byte(isHandedOut ? 1 : 0)
      .number(Math.max(0, at))
      .byteString(document)
      .end();
    return [{ type: 'put', key: positionKey('outbox', ownerOf(pair), position), value }];
  }

  removeWrites(pair: DomainPair, positions: readonly number[]): Write[] {
    const owner = ownerOf(pair);
    return positions.map((position) => ({ type: 'delete', key: positionKey('outbox', owner, position) }));
  }

  /** Marks every entry up to `position` as handed out; to be committed before the first of them is sent. */
  handOutWrites(pair: DomainPair, position: number): Write[] {
    const value = new RecordWriter(MARK_FORMAT).number(position).end();
    return [{ type: 'put', key: textKey('outboxMarks', ownerOf(pair)), value }];
  }

  /** Removes the mark of a pair of which no entry is left that it marks. */
  removeMarkWrites(pair: DomainPair): Write[] {
    return [{ type: 'delete', key: textKey('outboxMarks', ownerOf(pair)) }];
  }

  /**
   * Every entry, in order within a pair; marks of pairs without entries are removed. What cannot be read is told to `skipped`.
   * Such an entry is removed and passed over; such a mark counts for every entry of its pair. Rejects with StoreError.
   */
  async *everything(skipped: (error: unknown) => void): AsyncGenerator<readonly [DomainPair, OutboxEntry]> {
    const marks = new Map<string, number>();
    const needed = new Set<string>();
    for await (const page of this.#everywhere('outboxMarks')) {
      for (const [key, value] of page) {
        let position = Infinity;
        try {
          position = decodeMark(key, value);
        } catch (error) {
          skipped(error);
        }
        marks.set(partsOf(key).owner, position);
      }
    }
    for await (const page of this.#everywhere('outbox')) {
      for (const [key, value] of page) {
        const { owner } = partsOf(key);
        needed.add(owner);
        try {
          const entry = decodeOutboxEntry(key, value);
          const isHandedOut = entry.isHandedOut || entry.position <= (marks.get(owner) ?? 0);
          yield [pairOf(owner), { ...entry, isHandedOut }];
        } catch (error) {
          skipped(error);
          await this.#access.commit.write([{ type: 'delete', key }]);
        }
      }
    }
    const idle = [...marks.keys()].filter((owner) => !needed.has(owner));
    await this.#access.commit.write(idle.flatMap((owner) => this.removeMarkWrites(pairOf(owner))));
  }

  async *#everywhere(table: Table): AsyncGenerator<readonly (readonly [Key, Uint8Array])[]> {
    for (let shard = 0; shard < SHARDS; shard++) {
      yield* pagesOf(this.#access.store, shardRange(table, shard), PAGE_ENTRIES);
    }
  }
}

/** No domain contains a slash. */
function ownerOf({ local, remote }: DomainPair): string {
  return `${local}/${remote}`;
}

function pairOf(owner: string): DomainPair {
  const slash = owner.indexOf('/');
  return { local: owner.slice(0, slash), remote: owner.slice(slash + 1) };
}

/** Throws StoreError `corrupt`. */
export function decodeOutboxEntry(key: Key, value: Uint8Array): OutboxEntry {
  const reader = new RecordReader(key, value, ENTRY_FORMAT);
  const isHandedOut = reader.byte() === 1;
  const at = reader.number();
  const document = reader.byteString();
  reader.end();
  return { position: restAsPosition(key), at, isHandedOut, document };
}

/** Throws StoreError `corrupt`. */
export function decodeMark(key: Key, value: Uint8Array): number {
  const reader = new RecordReader(key, value, MARK_FORMAT);
  const position = reader.number();
  reader.end();
  return position;
}
