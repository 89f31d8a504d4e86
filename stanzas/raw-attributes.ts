/** An attribute as it is written in a start tag; a byte string throughout. */
export interface RawAttribute {
  /** With its prefix. */
  readonly name: string;
  /** Between the quotes, references not resolved. */
  readonly value: string;
  /** Where the value begins in the bytes it was found in. */
  readonly start: number;
}

// Sticky: one that is not where the one before it ended is part of a value, whatever it looks like.
const ATTRIBUTE = /\s+([^\s=]+)\s*=\s*(?:'([^']*)'|"([^"]*)")/y;

/**
 * The attributes of a start tag, or of a frame's `others`, out of bytes that the scanner has verified.
 * @param from where the name of the tag ends
 */
export function rawAttributes(bytes: string, from = 0): RawAttribute[] {
  const attributes: RawAttribute[] = [];
  ATTRIBUTE.lastIndex = from;
  for (let match = ATTRIBUTE.exec(bytes); match !== null; match = ATTRIBUTE.exec(bytes)) {
    const [, name = '', single, double] = match;
    const value = single ?? double ?? '';
    attributes.push({ name, value, start: ATTRIBUTE.lastIndex - 1 - value.length });
  }
  return attributes;
}
