import { createHmac, hash as hashOf } from 'node:crypto';

import { enforceOpaqueString } from '../../stanzas/precis.ts';
import type { Credentials, ScramHash, ScramKeys } from '../../storage/accounts.ts';
import { MAX_PASSWORD_BYTES } from './password-forms.ts';
import { derivePbkdf2, type PasswordWork } from './password-work.ts';

/** The hash functions of SCRAM by their names in IANA's registry (RFC 5802 4), strongest first. */
export const SCRAM_HASHES: readonly ScramHash[] = ['SHA-512', 'SHA-256', 'SHA-1'];

/** Each hash as node:crypto calls it, and its length in bytes. */
export const HASHES = {
  'SHA-1': { digest: 'sha1', lengthBytes: 20 },
  'SHA-256': { digest: 'sha256', lengthBytes: 32 },
  'SHA-512': { digest: 'sha512', lengthBytes: 64 },
} as const satisfies Record<ScramHash, { readonly digest: string; readonly lengthBytes: number }>;

/** RFC 5802 5.1 and RFC 7677 4: no fewer; clients refuse less. */
const MIN_ITERATIONS = 4096;

/** Iterations of PBKDF2 unless configured: a login costs the client, often a telephone, this much. */
const DEFAULT_ITERATIONS = 10_000;

/** Length of a new salt; an unknown user's looks the same. */
export const SALT_BYTES = 16;

/** HMAC() of RFC 5802 2.2. */
export function hmac(hash: ScramHash, key: Uint8Array, text: string): Buffer {
  return createHmac(HASHES[hash].digest, key).update(text, 'utf8').digest();
}

/** H() of RFC 5802 2.2. */
export function digestOf(hash: ScramHash, input: Uint8Array): Buffer {
  return hashOf(HASHES[hash].digest, input, 'buffer');
}

/** StoredKey and ServerKey of a SaltedPassword (RFC 5802 3). */
export function keysOf(saltedPassword: Uint8Array, hash: ScramHash): Pick<ScramKeys, 'storedKey' | 'serverKey'> {
  return {
    storedKey: digestOf(hash, hmac(hash, saltedPassword, 'Client Key')),
    serverKey: hmac(hash, saltedPassword, 'Server Key'),
  };
}

/**
 * Derives one hash's keys in the thread pool; by way of `work` when given.
 * @param prepared the password, already prepared (RFC 8265 4.2)
 * @throws PasswordWorkRefused when the queue of `work` is full
 */
export async function deriveKeys(
  prepared: string,
  hash: ScramHash,
  salt: Uint8Array,
  iterations: number,
  work?: PasswordWork,
): Promise<ScramKeys> {
  const { digest, lengthBytes } = HASHES[hash];
  const saltedPassword = await (work === undefined
    ? derivePbkdf2(prepared, salt, iterations, lengthBytes, digest)
    : work.derive(prepared, salt, iterations, lengthBytes, digest));
  return { salt, iterations, ...keysOf(saltedPassword, hash) };
}

/** How deriveCredentials makes new keys. */
export interface DerivationOptions {
  readonly iterations?: number;
  readonly random: (lengthBytes: number) => Uint8Array;
  readonly work?: PasswordWork;
}

/**
 * Derives a password's keys for every hash, each with its own new salt. The password is enforced as OpaqueString
 * (RFC 8265 4.2, which replaces the SASLprep of RFC 5802; the two agree on all but compatibility characters).
 * @throws RangeError for fewer than 4096 iterations or a password beyond MAX_PASSWORD_BYTES; PrecisError for a password that OpaqueString does not allow;
 *   PasswordWorkRefused when the queue of `work` is full
 */
export async function deriveCredentials(password: string, options: DerivationOptions): Promise<Required<Credentials>> {
  const { iterations = DEFAULT_ITERATIONS, random, work } = options;
  if (!Number.isInteger(iterations) || iterations < MIN_ITERATIONS) {
    throw new RangeError(`iterations: found ${iterations}, must be a whole number of ${MIN_ITERATIONS} or more`);
  }
  if (Buffer.byteLength(password) > MAX_PASSWORD_BYTES) {
    throw new RangeError(`password: must not be longer than ${MAX_PASSWORD_BYTES} bytes`);
  }
  const prepared = enforceOpaqueString(password);
  const derive = (hash: ScramHash): Promise<ScramKeys> =>
    deriveKeys(prepared, hash, Uint8Array.from(random(SALT_BYTES)), iterations, work);
  const [sha1, sha256, sha512] = await Promise.all([derive('SHA-1'), derive('SHA-256'), derive('SHA-512')]);
  return { 'SHA-1': sha1, 'SHA-256': sha256, 'SHA-512': sha512 };
}
