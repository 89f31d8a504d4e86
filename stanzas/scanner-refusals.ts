import { StreamError } from './stream-error.ts';

/*
 * What the scanner refuses, each with the condition of RFC 6120 4.9.3 that it deserves. The texts are sent to the peer:
 * they say what was wrong and echo nothing of it.
 */

/** A breach of XML 1.0 or of Namespaces in XML (RFC 6120 4.9.3.13). @param text must echo nothing the peer sent. */
export function notWellFormed(text: string): StreamError {
  return new StreamError('not-well-formed', text);
}

export function malformedName(): StreamError {
  return notWellFormed('A name is malformed');
}

export function strayEndTag(): StreamError {
  return notWellFormed('An end tag matches no start tag');
}

export function controlCharacter(): StreamError {
  return notWellFormed('A control character is no XML character');
}

/** A stanza or a header beyond what local policy allows (RFC 6120 4.9.3.14). */
export function tooMuch(text: string): StreamError {
  return new StreamError('policy-violation', text);
}

/** Something other than UTF-8 where a stream begins (RFC 6120 11.6). */
export function notUtf8(): StreamError {
  return new StreamError('unsupported-encoding', 'The stream is not in UTF-8');
}

/** Text outside any element. */
export function strayText(isStream: boolean): StreamError {
  // RFC 6120 11.7 allows white space between first-level elements. Other text is XML, yet nothing that can be
  // processed (4.9.3.1); around a document it is no XML either.
  if (isStream) return new StreamError('bad-format', 'There is text between first-level elements');
  return notWellFormed('There is text outside the root element');
}

/** An element longer than the limit. */
export function tooBig(): StreamError {
  return tooMuch('An element or the stream header has too many bytes');
}
