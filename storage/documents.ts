import type { StorageAccess } from './access.ts';
import { ownerRange, restAsText, textKey } from './keys.ts';
import { pagesOf } from './ordered-store.ts';
import type { Key, Write } from './ordered-store.ts';
import { RecordReader, RecordWriter } from './record.ts';

/** A document's name and size, without its content. */
export interface DocumentSummary {
  readonly name: string;
  /** Bytes of name and content: what counts against the limit. */
  readonly byteLength: number;
}

/** The owner's documents would take more bytes than allowed. */
export class DocumentLimitError extends Error {
  override readonly name = 'DocumentLimitError';
}

const FORMAT = 1;
const PAGE_ENTRIES = 100;

/**
 * Small documents by owner and name (XEP-0049 private storage and the like); features keep apart by a prefix of the name.
 * Contents are byte strings. Everything rejects with StoreError where the store fails.
 */
export class Documents {
  readonly #access: StorageAccess;
  /** Puts run one after the other: each counts before it writes. */
  #lastPut: Promise<unknown> = Promise.resolve();

  constructor(access: StorageAccess) {
    this.#access = access;
  }

  async get(owner: string, name: string): Promise<string | undefined> {
    const key = documentKey(owner, name);
    const [value] = await this.#access.store.getMany([key]);
    return value === undefined ? undefined : decodeDocument(key, value);
  }

  /**
   * Stores the document in place of one of that name. Rejects with DocumentLimitError if the owner's documents, names and
   * contents together, would exceed `maxBytes`.
   */
  put(owner: string, name: string, content: string, maxBytes: number): Promise<void> {
    return this.putAll(owner, new Map([[name, content]]), maxBytes);
  }

  /** The same with several contents by name: all of them or, if they exceed the limit, none. */
  putAll(owner: string, contents: ReadonlyMap<string, string>, maxBytes: number): Promise<void> {
    const put = this.#lastPut.then(() => this.#put(owner, contents, maxBytes));
    this.#lastPut = put.catch(() => undefined);
    return put;
  }

  /** Removes the document, if there is one. */
  remove(owner: string, name: string): Promise<void> {
    return this.#access.commit.write([{ type: 'delete', key: documentKey(owner, name) }]);
  }

  /** The owner's documents whose name begins with `prefix`, by name in the order of its bytes. */
  async list(owner: string, prefix = ''): Promise<readonly DocumentSummary[]> {
    const documents: DocumentSummary[] = [];
    for await (const page of pagesOf(this.#access.store, ownerRange('documents', owner), PAGE_ENTRIES)) {
      for (const [key, value] of page) {
        const name = restAsText(key);
        if (!name.startsWith(prefix)) continue;
        const byteLength = Buffer.byteLength(name, 'utf8') + decodeDocument(key, value).length;
        documents.push({ name, byteLength });
      }
    }
    return documents;
  }

  async #put(owner: string, contents: ReadonlyMap<string, string>, maxBytes: number): Promise<void> {
    const writes: Write[] = [];
    let bytes = 0;
    for (const [name, content] of contents) {
      bytes += Buffer.byteLength(name, 'utf8') + content.length;
      const value = new RecordWriter(FORMAT).byteString(content).end();
      writes.push({ type: 'put', key: documentKey(owner, name), value });
    }
    for (const document of await this.list(owner)) {
      if (!contents.has(document.name)) bytes += document.byteLength;
    }
    if (bytes > maxBytes) throw new DocumentLimitError(`${bytes} bytes of documents, ${maxBytes} are allowed`);
    await this.#access.commit.write(writes);
  }
}

function documentKey(owner: string, name: string): Key {
  if (name === '') throw new RangeError('a document has a name');
  return textKey('documents', owner, name);
}

/** The content, a byte string. Throws StoreError `corrupt`. */
export function decodeDocument(key: Key, value: Uint8Array): string {
  const reader = new RecordReader(key, value, FORMAT);
  const content = reader.byteString();
  reader.end();
  return content;
}
