/*
 * A byte string is a JavaScript string in which every char code is one byte of UTF-8 (0..255), as Buffer's 'latin1'
 * reads it. Stanzas travel as byte strings: V8 keeps them in one byte a character, slices them without copying and
 * writes them to a socket without encoding.
 */

// Matches only what a one-byte string must escape or convert; most protocol text has neither.
const NEEDS_ESCAPE = /[&<>\r]/;
const NEEDS_ATTRIBUTE_ESCAPE = /[&<>'"\t\n\r]/;
const ASCII = /^[\x00-\x7f]*$/;

/** Text (UTF-16) to a byte string (UTF-8). Returns ASCII text as it is. */
export function toByteString(text: string): string {
  return ASCII.test(text) ? text : Buffer.from(text, 'utf8').toString('latin1');
}

/** A byte string (UTF-8) to text (UTF-16). Returns ASCII as it is. */
export function fromByteString(bytes: string): string {
  return ASCII.test(bytes) ? bytes : Buffer.from(bytes, 'latin1').toString('utf8');
}

/** Escapes text for character data. */
export function escapeText(text: string): string {
  if (!NEEDS_ESCAPE.test(text)) return text;
  // XML 1.0 2.11: a carriage return that is written literally would come back as a line feed
  return text.replace(/[&<>\r]/g, (character) => ESCAPES[character] ?? character);
}

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  "'": '&apos;',
  '"': '&quot;',
  // XML 1.0 3.3.3: written literally they would come back as spaces
  '\t': '&#x9;',
  '\n': '&#xA;',
  '\r': '&#xD;',
};

/** Escapes text for an attribute value in either kind of quotes. */
export function escapeAttribute(text: string): string {
  if (!NEEDS_ATTRIBUTE_ESCAPE.test(text)) return text;
  return text.replace(/[&<>'"\t\n\r]/g, (character) => ESCAPES[character] ?? character);
}

const PLAIN_ATTRIBUTE = /^[\x20\x21\x23-\x25\x28-\x3b\x3d\x3f-\x7e]*$/; // printable ASCII without " & ' < >

/** Text as the value of an attribute in either kind of quotes: escaped, a byte string. */
export function attributeBytes(text: string): string {
  return PLAIN_ATTRIBUTE.test(text) ? text : toByteString(escapeAttribute(text));
}

const ENTITIES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', apos: "'", quot: '"' };

/**
 * Resolves the predefined entities and character references of verified XML (text or byte string; a reference above
 * U+007F becomes a UTF-16 character, so decode the bytes first).
 */
function unescape(escaped: string): string {
  if (!escaped.includes('&')) return escaped;
  return escaped.replace(
    /&(?:#x([0-9a-fA-F]+)|#([0-9]+)|(\w+));/g,
    (whole, hex?: string, decimal?: string, name?: string) => {
      if (hex !== undefined) return String.fromCodePoint(parseInt(hex, 16));
      if (decimal !== undefined) return String.fromCodePoint(parseInt(decimal, 10));
      return ENTITIES[name ?? ''] ?? whole;
    },
  );
}

/** The value of an attribute as text, from its raw bytes between the quotes (XML 1.0 3.3.3 normalisation included). */
export function attributeValue(bytes: string): string {
  const normalised = /[\t\n\r]/.test(bytes) ? bytes.replace(/\r\n|[\t\n\r]/g, ' ') : bytes;
  return unescape(fromByteString(normalised));
}

/** Character data as text, from its raw bytes (XML 1.0 2.11 line ends included). */
export function textValue(bytes: string): string {
  const normalised = bytes.includes('\r') ? bytes.replace(/\r\n?/g, '\n') : bytes;
  return unescape(fromByteString(normalised));
}
