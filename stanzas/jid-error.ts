/** Where a JID is wrong: in one part, or as a whole. */
export type JidPart = 'jid' | 'localpart' | 'domainpart' | 'resourcepart';

/**
 * A string is no JID (RFC 7622 3), for a stanza a `jid-malformed` (RFC 6120 8.3.3.8). The message says what is wrong
 * and repeats at most one code point of what a stranger sent.
 */
export class JidError extends Error {
  readonly part: JidPart;

  constructor(part: JidPart, problem: string) {
    super(`${part} ${problem}`);
    this.name = 'JidError';
    this.part = part;
  }
}

/** The length limit of each part in octets, after mapping and in UTF-8 (RFC 7622 3.1). */
const MAXIMUM_OCTETS = 1023;

/** @throws JidError when a prepared part is empty or longer than 1023 octets. */
export function verifyOctets(part: JidPart, prepared: string): void {
  if (prepared === '') throw new JidError(part, 'is empty');
  if (prepared.length <= MAXIMUM_OCTETS / 3) return; // a UTF-16 unit takes three octets at most
  if (prepared.length > MAXIMUM_OCTETS || Buffer.byteLength(prepared) > MAXIMUM_OCTETS) {
    throw new JidError(part, `is longer than ${MAXIMUM_OCTETS} octets`);
  }
}

/**
 * Refuses what no mapping can bring under the limit, so that preparing it costs nothing: NFC shortens at most four
 * UTF-16 units to one, and no other mapping shortens at all.
 * @throws JidError
 */
export function verifyUnprepared(part: JidPart, text: string): void {
  if (text.length > 4 * MAXIMUM_OCTETS) throw new JidError(part, `is longer than ${MAXIMUM_OCTETS} octets`);
}
