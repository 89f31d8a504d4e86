import { notWellFormed } from './scanner-refusals.ts';
import { StreamError } from './stream-error.ts';

// XMLDecl of XML 1.0 2.8; group 2 is the encoding
const DECLARATION =
  /^<\?xml[ \t\r\n]+version[ \t\r\n]*=[ \t\r\n]*(['"])1\.0\1(?:[ \t\r\n]+encoding[ \t\r\n]*=[ \t\r\n]*(?:'([A-Za-z][-A-Za-z0-9._]*)'|"([A-Za-z][-A-Za-z0-9._]*)"))?(?:[ \t\r\n]+standalone[ \t\r\n]*=[ \t\r\n]*(?:'(?:yes|no)'|"(?:yes|no)"))?[ \t\r\n]*\?>$/;

/**
 * Refuses an XML declaration, given whole as a byte string, that is malformed, of another version than 1.0 (RFC 6120
 * 11.8) or names another encoding than UTF-8. Throws StreamError not-well-formed or unsupported-encoding.
 */
export function checkDeclaration(declaration: string): void {
  const match = DECLARATION.exec(declaration);
  if (match === null) throw notWellFormed('The XML declaration is not one of version 1.0');
  const encoding = match[2] ?? match[3] ?? 'UTF-8';
  // XML 1.0 4.3.3: without regard to case; RFC 6120 11.6: all and only UTF-8
  if (encoding.toUpperCase() !== 'UTF-8') {
    throw new StreamError('unsupported-encoding', 'The XML declaration names another encoding than UTF-8');
  }
  // RFC 6120 11.5: a standalone declaration is ignored
}
