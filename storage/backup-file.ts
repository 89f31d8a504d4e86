import { createHash, type Hash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip, createGzip } from 'node:zlib';
import type { Entry, OrderedStore } from './ordered-store.ts';

/*
 * A backup is one gzip file: the line MAGIC, then for each entry the length of its key and of its value (4 bytes each, big
 * endian), key and value; then END, the number of entries (8 bytes) and the SHA-256 of everything before.
 */
const MAGIC = Buffer.from('posthorn backup 1\n', 'latin1');
const END = 0xffff_ffff;
const HEAD_BYTES = 8;
const HASH_BYTES = 32;
/** Far above any entry, far below what would exhaust memory. */
const MAX_PART_BYTES = 256 * 1024 * 1024;
/** Of a restore, entries of one batch. */
const BATCH_ENTRIES = 500;
/** Fast: a backup is written while the server works. */
const COMPRESSION_LEVEL = 1;

/** How far a backup or a restore has come. */
export interface BackupProgress {
  readonly entries: number;
  /** Of keys and values, before compression. */
  readonly bytes: number;
}

/** A file that is no backup, or not a whole one. The message says which file and what is wrong with it. */
export class BackupError extends Error {
  override readonly name = 'BackupError';
}

/**
 * Writes the store as it is at this moment to a new file of mode 0600, which appears under its name only when it is whole
 * and on the disk. The store goes on working. Rejects with StoreError, with the system's error, or if the file exists.
 */
export async function writeBackup(
  store: OrderedStore,
  file: string,
  report: (progress: BackupProgress) => void = () => undefined,
): Promise<BackupProgress> {
  const unfinished = `${file}.unfinished`;
  const target = await open(file, 'wx', 0o600); // takes the name, and finds out whether it may
  await target.close();
  try {
    const progress = { entries: 0, bytes: 0 };
    const sink = createWriteStream(unfinished, { mode: 0o600, flags: 'w', flush: true });
    await pipeline(Readable.from(encoded(store, progress, report)), createGzip({ level: COMPRESSION_LEVEL }), sink);
    await rename(unfinished, file);
    await syncDirectory(dirname(file));
    return progress;
  } catch (error) {
    await rm(unfinished, { force: true });
    await rm(file, { force: true });
    throw error;
  }
}

/** Reads a whole backup without keeping it. Rejects with BackupError unless it is complete and unchanged. */
export async function verifyBackup(file: string): Promise<BackupProgress> {
  const progress = { entries: 0, bytes: 0 };
  for await (const entry of backupEntries(file)) count(progress, entry);
  return progress;
}

/**
 * Writes every entry of a backup to an empty store. Rejects with BackupError, then with a store that is of no use: verify
 * the file first, and give the store its name only afterwards.
 */
export async function restoreBackup(
  file: string,
  store: OrderedStore,
  report: (progress: BackupProgress) => void = () => undefined,
): Promise<BackupProgress> {
  const progress = { entries: 0, bytes: 0 };
  let batch: Entry[] = [];
  const write = async (): Promise<void> => {
    await store.write(batch.map(([key, value]) => ({ type: 'put', key, value })));
    batch = [];
    report(progress);
  };
  for await (const entry of backupEntries(file)) {
    batch.push(entry);
    count(progress, entry);
    if (batch.length >= BATCH_ENTRIES) await write();
  }
  if (batch.length > 0) await write();
  return progress;
}

async function* encoded(
  store: OrderedStore,
  progress: { entries: number; bytes: number },
  report: (progress: BackupProgress) => void,
): AsyncGenerator<Buffer> {
  const hash = createHash('sha256');
  const hashed = (bytes: Buffer): Buffer => {
    hash.update(bytes);
    return bytes;
  };
  yield hashed(MAGIC);
  for await (const page of store.snapshot()) {
    const parts: Uint8Array[] = [];
    for (const entry of page) {
      parts.push(head(entry[0].length, entry[1].length), entry[0], entry[1]);
      count(progress, entry);
    }
    yield hashed(Buffer.concat(parts));
    report(progress);
  }
  const end = Buffer.alloc(HEAD_BYTES + HEAD_BYTES);
  end.writeUInt32BE(END, 0);
  end.writeBigUInt64BE(BigInt(progress.entries), HEAD_BYTES);
  yield hashed(end);
  yield hash.digest();
}

function head(keyLength: number, valueLength: number): Buffer {
  const bytes = Buffer.allocUnsafe(HEAD_BYTES);
  bytes.writeUInt32BE(keyLength, 0);
  bytes.writeUInt32BE(valueLength, 4);
  return bytes;
}

function count(progress: { entries: number; bytes: number }, [key, value]: Entry): void {
  progress.entries++;
  progress.bytes += key.length + value.length;
}

/** The entries in the order of their keys. Throws BackupError at the first place that is not as it should be. */
async function* backupEntries(file: string): AsyncGenerator<Entry> {
  const bytes = new HashedBytes(file);
  try {
    if (!(await bytes.take(MAGIC.length)).equals(MAGIC)) throw new BackupError(`${file} is no backup of Posthorn`);
    let entries = 0n;
    for (;;) {
      const lengths = await bytes.take(HEAD_BYTES);
      const [keyLength, valueLength] = [lengths.readUInt32BE(0), lengths.readUInt32BE(4)];
      if (keyLength === END) break;
      if (keyLength > MAX_PART_BYTES || valueLength > MAX_PART_BYTES) throw new BackupError(`${file} is damaged`);
      entries++;
      yield [await bytes.take(keyLength), await bytes.take(valueLength)];
    }
    const counted = (await bytes.take(HEAD_BYTES)).readBigUInt64BE();
    const digest = bytes.digest();
    const stored = await bytes.take(HASH_BYTES);
    if (counted !== entries || !stored.equals(digest) || !(await bytes.isAtEnd())) {
      throw new BackupError(`${file} is damaged: its checksum is not that of its content`);
    }
  } finally {
    bytes.close();
  }
}

/** The uncompressed bytes of a file, in pieces of the size that is asked for. */
class HashedBytes {
  readonly #file: string;
  readonly #hash: Hash = createHash('sha256');
  readonly #source: Readable;
  readonly #chunks: AsyncIterator<Buffer, undefined>;
  #held: Buffer = Buffer.alloc(0);

  constructor(file: string) {
    this.#file = file;
    const raw = createReadStream(file);
    const gunzip = createGunzip();
    raw.on('error', (error) => gunzip.destroy(error));
    this.#source = raw.pipe(gunzip);
    this.#chunks = this.#source[Symbol.asyncIterator]() as AsyncIterator<Buffer, undefined>;
  }

  /** Throws BackupError where the file ends before. */
  async take(length: number): Promise<Buffer> {
    const parts: Buffer[] = [];
    let missing = length;
    while (missing > 0) {
      if (this.#held.length === 0 && !(await this.#read())) throw new BackupError(`${this.#file} is not whole`);
      const part = this.#held.subarray(0, missing);
      this.#held = this.#held.subarray(part.length);
      missing -= part.length;
      parts.push(part);
    }
    const taken = Buffer.concat(parts);
    this.#hash.update(taken);
    return taken;
  }

  /** Of everything taken so far. */
  digest(): Buffer {
    return this.#hash.copy().digest();
  }

  async isAtEnd(): Promise<boolean> {
    return this.#held.length === 0 && !(await this.#read());
  }

  close(): void {
    this.#source.destroy();
  }

  async #read(): Promise<boolean> {
    try {
      for (;;) {
        const next = await this.#chunks.next();
        if (next.done === true) return false;
        this.#held = next.value;
        if (this.#held.length > 0) return true;
      }
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== undefined && !code.startsWith('Z_')) throw error;
      throw new BackupError(`${this.#file} is not whole, or no backup of Posthorn`);
    }
  }
}

async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
