import { enforceOpaqueString } from '../../stanzas/precis.ts';

/** Longest password, in bytes of UTF-8; RFC 4616 2 asks for 255 at least. */
export const MAX_PASSWORD_BYTES = 1023;

// What OpaqueString and SASLprep both leave exactly as it is.
const PRINTABLE_ASCII = /^[\x20-\x7e]+$/;

/**
 * The forms in which a password may have been hashed, the one we store first: OpaqueString (RFC 8265 4.2), then
 * SASLprep (RFC 4013) where it differs, as it does for compatibility characters such as a fraction or a ligature.
 * @throws PrecisError for a password that OpaqueString does not allow
 */
export async function passwordForms(password: string): Promise<readonly [string, ...string[]]> {
  const opaque = enforceOpaqueString(password);
  if (PRINTABLE_ASCII.test(opaque)) return [opaque];
  const prepared = await saslPrepared(password);
  return prepared === undefined || prepared === opaque ? [opaque] : [opaque, prepared];
}

/** RFC 4013 in the form of a query (RFC 3454 7: unassigned code points pass); undefined for what it prohibits. */
async function saslPrepared(password: string): Promise<string | undefined> {
  // Loaded when first needed: its tables take 6 MB, and most servers never see a password that needs them.
  const { default: saslprep } = await import('@mongodb-js/saslprep');
  try {
    const prepared = saslprep(password, { allowUnassigned: true });
    return prepared === '' ? undefined : prepared;
  } catch {
    return undefined;
  }
}
