import { open, rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';

const PROBE_NAME = 'room-probe.tmp';
const CHUNK_BYTES = 256 * 1024;

/**
 * Finds out whether a directory's disk has room for `bytes`, by asking, then by writing and syncing that much and
 * removing it again: what the file system says of its room misses quotas and limits. Rejects with the
 * system's error if there is no room.
 */
export async function probeRoom(directory: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(directory);
  // Spares a disk that is short of room most of the attempts.
  if (bavail * bsize < bytes) throw new Error(`no space left on device: ${bytes} bytes are needed`);
  const path = join(directory, PROBE_NAME);
  try {
    const file = await open(path, 'w', 0o600);
    try {
      const chunk = new Uint8Array(CHUNK_BYTES).fill(0x55);
      for (let left = bytes; left > 0; left -= CHUNK_BYTES) await file.writeFile(chunk.subarray(0, left));
      await file.datasync();
    } finally {
      await file.close();
    }
  } finally {
    await rm(path, { force: true });
  }
}
