import { isUtf8 } from 'node:buffer';
import { fromByteString } from './byte-string.ts';
import { notWellFormed } from './scanner-refusals.ts';
import { StreamError } from './stream-error.ts';

/*
 * What a byte may be in XML 1.0. Every byte has a set of classes; a scanning loop runs until a byte is in a class it
 * stops at. Bytes from 0x80 are in HIGH alone: a loop stops at the first of them once, to learn that the element needs
 * its UTF-8 checked.
 */

export const CLASS = {
  /** NameChar (XML 1.0 2.3) below U+0080 without the colon, which Namespaces in XML takes for itself. */
  NAME: 1,
  /** NameStartChar below U+0080 without the colon. */
  NAME_START: 2,
  WHITE: 4,
  /** Ends a run of plain character data: `<`, `&`, `]` and what is no Char. */
  STOPS_TEXT: 8,
  /** Ends a run inside a CDATA section: `]` and what is no Char. */
  STOPS_CDATA: 16,
  /** Ends a run of a value in single quotes: `'`, `<`, `&`, line ends and tabs (XML 1.0 3.3.3), and what is no Char. */
  STOPS_SINGLE_QUOTED: 32,
  STOPS_DOUBLE_QUOTED: 64,
  HIGH: 128,
} as const;

export const BYTE = {
  TAB: 0x09,
  LINE_FEED: 0x0a,
  CARRIAGE_RETURN: 0x0d,
  SPACE: 0x20,
  EXCLAMATION_MARK: 0x21,
  DOUBLE_QUOTE: 0x22,
  NUMBER_SIGN: 0x23,
  AMPERSAND: 0x26,
  SINGLE_QUOTE: 0x27,
  HYPHEN: 0x2d,
  SLASH: 0x2f,
  COLON: 0x3a,
  SEMICOLON: 0x3b,
  LESS_THAN: 0x3c,
  EQUALS: 0x3d,
  GREATER_THAN: 0x3e,
  QUESTION_MARK: 0x3f,
  LEFT_BRACKET: 0x5b,
  RIGHT_BRACKET: 0x5d,
} as const;

// The engine takes a module's own constants for constants, and imports for variables: hence these, here and elsewhere.
const { NAME, NAME_START, WHITE, STOPS_TEXT, STOPS_CDATA, STOPS_SINGLE_QUOTED, STOPS_DOUBLE_QUOTED, HIGH } = CLASS;
const { TAB, LINE_FEED, CARRIAGE_RETURN } = BYTE;

const TABLE: Readonly<Uint8Array> = Uint8Array.from({ length: 256 }, (_, byte) => {
  if (byte >= 0x80) return HIGH;
  const character = String.fromCharCode(byte);
  let classes = 0;
  if (/[A-Za-z_]/.test(character)) classes |= NAME | NAME_START;
  if (/[-.0-9]/.test(character)) classes |= NAME;
  if (/[ \t\r\n]/.test(character)) classes |= WHITE;
  if (/[\t\r\n]/.test(character)) classes |= STOPS_SINGLE_QUOTED | STOPS_DOUBLE_QUOTED;
  else if (byte < 0x20) classes |= STOPS_TEXT | STOPS_CDATA | STOPS_SINGLE_QUOTED | STOPS_DOUBLE_QUOTED;
  if (/[<&]/.test(character)) classes |= STOPS_TEXT | STOPS_SINGLE_QUOTED | STOPS_DOUBLE_QUOTED;
  if (character === ']') classes |= STOPS_TEXT | STOPS_CDATA;
  if (character === "'") classes |= STOPS_SINGLE_QUOTED;
  if (character === '"') classes |= STOPS_DOUBLE_QUOTED;
  return classes;
});

/** The classes of each byte, CLASS in one number; never written to. */
export const CLASSES = TABLE;

/** The index of the first byte in [from, to) that is in one of the classes `stops`; `to` when there is none. */
export function endOfRun(bytes: Buffer, from: number, to: number, stops: number): number {
  const classes = TABLE;
  const lastEight = to - 8;
  let at = from;
  while (
    at <= lastEight &&
    ((classes[bytes[at]!]! |
      classes[bytes[at + 1]!]! |
      classes[bytes[at + 2]!]! |
      classes[bytes[at + 3]!]! |
      classes[bytes[at + 4]!]! |
      classes[bytes[at + 5]!]! |
      classes[bytes[at + 6]!]! |
      classes[bytes[at + 7]!]!) &
      stops) ===
      0
  ) {
    at += 8;
  }
  while (at < to && (classes[bytes[at]!]! & stops) === 0) at++;
  return at;
}

const NAME_START_CHARACTERS =
  'A-Z_a-z\\u00C0-\\u00D6\\u00D8-\\u00F6\\u00F8-\\u02FF\\u0370-\\u037D\\u037F-\\u1FFF\\u200C-\\u200D\\u2070-\\u218F' +
  '\\u2C00-\\u2FEF\\u3001-\\uD7FF\\uF900-\\uFDCF\\uFDF0-\\uFFFD\\u{10000}-\\u{EFFFF}';
// NCName of Namespaces in XML 1.0, over the characters of XML 1.0 (fifth edition) 2.3
const NC_NAME = `[${NAME_START_CHARACTERS}][-.0-9\\u00B7\\u0300-\\u036F\\u203F-\\u2040${NAME_START_CHARACTERS}]*`;
const Q_NAME = new RegExp(`^(?:${NC_NAME}:)?${NC_NAME}$`, 'u');

/**
 * Refuses a name with characters beyond ASCII that is no QName; ASCII names are checked by CLASSES on the way.
 * Throws StreamError unsupported-encoding where the bytes are not UTF-8 (RFC 6120 4.9.3.22).
 */
export function checkForeignName(bytes: Buffer, start: number, end: number): void {
  checkUtf8(bytes, start, end);
  if (!Q_NAME.test(bytes.toString('utf8', start, end))) throw notWellFormed('A name holds a forbidden character');
}

/** Refuses bytes that are not UTF-8: overlong forms, surrogates and anything above U+10FFFF among them. */
export function checkUtf8(bytes: Buffer, start: number, end: number): void {
  // RFC 6120 4.9.3.22: "by violating the rules of the UTF-8 encoding"
  if (!isUtf8(bytes.subarray(start, end))) throw new StreamError('unsupported-encoding', 'The bytes are not UTF-8');
}

/** Refuses the two characters that are UTF-8 and yet no Char of XML 1.0 2.2. @param bytes is a byte string. */
export function checkNoncharacters(bytes: string): void {
  if (bytes.includes('\xef\xbf\xbe') || bytes.includes('\xef\xbf\xbf')) {
    throw notWellFormed('U+FFFE and U+FFFF are no XML characters');
  }
}

/** Whether a character reference may name this code point: Char of XML 1.0 2.2. */
function isCharacter(codePoint: number): boolean {
  if (codePoint < 0x20) return codePoint === TAB || codePoint === LINE_FEED || codePoint === CARRIAGE_RETURN;
  if (codePoint < 0xd800) return true;
  return (codePoint >= 0xe000 && codePoint <= 0xfffd) || (codePoint >= 0x10000 && codePoint <= 0x10ffff);
}

const CHARACTER_REFERENCE = /^#(?:x([0-9a-fA-F]+)|([0-9]+))$/;

/** Refuses a reference, given without its `&` and `;` as a byte string, that names no predefined entity and no Char. */
export function checkReference(reference: string): void {
  if (/^(?:amp|lt|gt|apos|quot)$/.test(reference)) return;
  const [whole, hexadecimal, decimal] = CHARACTER_REFERENCE.exec(reference) ?? [];
  if (whole !== undefined) {
    const codePoint = hexadecimal === undefined ? parseInt(decimal ?? '', 10) : parseInt(hexadecimal, 16);
    if (isCharacter(codePoint)) return;
    throw notWellFormed('A character reference names no XML character');
  }
  if (reference.includes(':') || !Q_NAME.test(fromByteString(reference)))
    throw notWellFormed('A reference is malformed');
  // RFC 6120 11.1: none but the predefined entities
  throw new StreamError('restricted-xml', 'Entity references are not allowed');
}
