import { isUtf8 } from 'node:buffer';
import { timingSafeEqual } from 'node:crypto';

import { PrecisError } from '../../stanzas/precis.ts';
import type { ScramHash, ScramKeys } from '../../storage/accounts.ts';
import type { Eventual } from '../eventual.ts';
import type { Login } from './login.ts';
import { MAX_PASSWORD_BYTES, passwordForms } from './password-forms.ts';
import type { PasswordWork } from './password-work.ts';
import { SaslError } from './sasl-error.ts';
import { deriveKeys, SCRAM_HASHES } from './scram-keys.ts';

/** A parsed PLAIN message. */
export interface PlainMessage {
  readonly authzid: string | undefined;
  readonly username: string;
  readonly password: string;
}

/**
 * Parses the message of RFC 4616 2: `[authzid] NUL authcid NUL passwd`, in UTF-8.
 * @throws SaslError malformed-request
 */
export function parsePlain(message: Buffer): PlainMessage {
  if (!isUtf8(message)) throw malformed();
  const parts = message.toString('utf8').split('\0');
  const [authzid, username, password] = parts;
  if (parts.length !== 3 || !username || !password || Buffer.byteLength(password) > MAX_PASSWORD_BYTES) {
    throw malformed();
  }
  return { authzid: authzid === '' ? undefined : authzid, username, password };
}

/**
 * Checks a password against the strongest keys that the account has.
 * @returns true, or undefined for a wrong password
 * @throws SaslError not-authorized, temporary-auth-failure, account-disabled
 */
export function checkPassword(login: Login, password: string, work: PasswordWork): Eventual<true> {
  const hash = SCRAM_HASHES.find((name) => login.has(name)) ?? 'SHA-1';
  return login.judge(hash, async () => {
    const keys = login.keys(hash);
    let correct = false;
    // The second form, where there is one, is for keys that came from a server that prepares with SASLprep.
    for (const form of await formsOf(password)) correct = (await matches(form, hash, keys, work)) || correct;
    return correct ? true : undefined;
  });
}

async function matches(form: string, hash: ScramHash, keys: ScramKeys, work: PasswordWork): Promise<boolean> {
  const derived = await deriveKeys(form, hash, keys.salt, keys.iterations, work);
  return timingSafeEqual(derived.storedKey, keys.storedKey);
}

/** A password that cannot be prepared is a wrong one; this depends on the password alone, not on the account. */
async function formsOf(password: string): Promise<readonly string[]> {
  try {
    return await passwordForms(password);
  } catch (error) {
    if (error instanceof PrecisError) return [];
    throw error;
  }
}

function malformed(): SaslError {
  return new SaslError('malformed-request', 'PLAIN message violates RFC 4616');
}
