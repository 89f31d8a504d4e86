import { createHash, createHmac, pbkdf2Sync } from 'node:crypto';

/** Everybody's password. */
export const PASSWORD = 'wherefore';
/** Rounds of PBKDF2 in the stored keys; servers never compute them at a SCRAM login. */
export const ITERATIONS = 10_000;

/** What a server keeps of a password (RFC 5802 3). */
export interface StoredKeys {
  readonly salt: Buffer;
  readonly storedKey: Buffer;
  readonly serverKey: Buffer;
}

/**
 * The SCRAM-SHA-1 keys of every account: the one mechanism all three servers and all clients have. One salt for all spares
 * the load generator PBKDF2 for each login; a server does the same work as with any salt.
 */
export function sharedKeys(): StoredKeys {
  const salt = createHash('sha256').update('one salt for the whole bench').digest().subarray(0, 16);
  const salted = pbkdf2Sync(PASSWORD, salt, ITERATIONS, 20, 'sha1');
  const hmac = (key: Buffer, text: string): Buffer => createHmac('sha1', key).update(text).digest();
  const storedKey = createHash('sha1').update(hmac(salted, 'Client Key')).digest();
  return { salt, storedKey, serverKey: hmac(salted, 'Server Key') };
}

/** The node part of an account. */
export function userName(index: number): string {
  return `u${index}`;
}
