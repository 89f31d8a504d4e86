/**
 * Decodes base 64 strictly: nothing outside the alphabet, pads only at the end, padding bits zero (RFC 6120 13.9.1,
 * RFC 4648 4). Returns undefined for anything else.
 */
export function decodeBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64');
  // Node's decoder skips what it does not know; only canonical base 64 encodes back to itself.
  return bytes.toString('base64') === text ? bytes : undefined;
}
