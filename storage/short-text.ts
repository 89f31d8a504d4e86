/*
 * Texts of a few bytes, nearly always ASCII, as UTF-8: written one by one they cost half of a call into C++, and there are
 * some for every message.
 */

/** The bytes of a text in UTF-8. */
export function shortTextLength(text: string): number {
  for (let index = 0; index < text.length; index++) {
    if (text.charCodeAt(index) > 0x7f) return Buffer.byteLength(text, 'utf8');
  }
  return text.length;
}

/** Writes a text as UTF-8; `length` is its `shortTextLength`. */
export function writeShortText(bytes: Buffer, text: string, at: number, length: number): void {
  if (length !== text.length) {
    bytes.write(text, at, length, 'utf8');
    return;
  }
  for (let index = 0; index < length; index++) bytes[at + index] = text.charCodeAt(index);
}
