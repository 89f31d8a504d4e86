import { satisfiesBidiRule } from './bidi-rule.ts';
import { CodePointTable, codePointsOf, nameCodePoint } from './code-point-table.ts';
import { findOutOfContext } from './contextual-rules.ts';
import { PRECIS_CLASSES } from './precis-tables.ts';

/** The derived property values of RFC 8264 8. */
export type PrecisClass =
  | 'P' // PVALID: in both string classes
  | 'F' // FREE_PVAL, which is ID_DIS: in the FreeformClass only
  | 'J' // CONTEXTJ: a join control, where its contextual rule allows it
  | 'O' // CONTEXTO: another code point with a contextual rule
  | 'D' // DISALLOWED
  | 'U'; // UNASSIGNED

/** The string classes of RFC 8264 4. */
export type StringClass = 'IdentifierClass' | 'FreeformClass';

/** A string breaks a rule of its PRECIS class or profile; the message names the rule and at most one code point. */
export class PrecisError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'PrecisError';
  }
}

// Frozen, so that no update of Node changes what is valid. Lower case and NFC are Node's: Unicode keeps them stable for
// what is assigned.
const classes = new CodePointTable<PrecisClass>(PRECIS_CLASSES);

const IDENTIFIER_ASCII = /^[\x21-\x7e]+$/;
const FREEFORM_ASCII = /^[\x20-\x7e]+$/;
const WIDE_OR_NARROW = /[\uFF01-\uFFEE]/g;
const NON_ASCII_SPACES = /[\u00A0\u1680\u2000-\u200A\u202F\u205F\u3000]/g; // Zs but for U+0020
const REAPPLICATIONS = 3;

/**
 * Enforces the UsernameCaseMapped profile (RFC 8265 3.3): width and case mapped, NFC, the Bidi Rule, never empty.
 * Applying it to its own result changes nothing. Time is linear in the length, which is the caller's to limit.
 * @throws PrecisError
 */
export function enforceUsernameCaseMapped(text: string): string {
  if (IDENTIFIER_ASCII.test(text)) return text.toLowerCase(); // ASCII7 has nothing else to map or to refuse
  return applyUntilStable(text, mapUsername);
}

/**
 * Enforces the OpaqueString profile (RFC 8265 4.2), for resourceparts and for passwords: every space becomes U+0020,
 * NFC, never empty. Applying it to its own result changes nothing. Time is linear in the length, which is the caller's
 * to limit.
 * @throws PrecisError
 */
export function enforceOpaqueString(text: string): string {
  if (FREEFORM_ASCII.test(text)) return text;
  return applyUntilStable(text, mapOpaqueString);
}

/**
 * Verifies that a string consists of code points of the class and that their contextual rules hold (RFC 8264 8).
 * @throws PrecisError
 */
export function verifyStringClass(text: string, stringClass: StringClass): void {
  const codePoints = codePointsOf(text);
  verifyCodePoints(codePoints, stringClass);
  verifyContext(codePoints);
}

// RFC 8265 3.3.2, 3.3.3
function mapUsername(text: string): string {
  // The width mapping is one step and NFKC may take several; where they differ the IdentifierClass has neither result.
  const sameWidth = text.replace(WIDE_OR_NARROW, (character) => character.normalize('NFKC'));
  verifyCodePoints(codePointsOf(sameWidth), 'IdentifierClass');
  // RFC 7622 3.5: the mapping does not account for the special status of the final sigma, as JavaScript would.
  const lowerCase = sameWidth.replaceAll('\u03A3', '\u03C3').toLowerCase();
  const normalised = lowerCase.normalize('NFC');
  const codePoints = codePointsOf(normalised);
  if (!satisfiesBidiRule(codePoints)) throw new PrecisError('mixes directions against the Bidi Rule (RFC 5893 2)');
  // RFC 8264 7: contextual rules last, so that a capital L beside a middle dot is the small one it becomes.
  verifyCodePoints(codePoints, 'IdentifierClass');
  verifyContext(codePoints);
  return normalised;
}

// RFC 8265 4.2.1, 4.2.2
function mapOpaqueString(text: string): string {
  verifyCodePoints(codePointsOf(text), 'FreeformClass');
  const normalised = text.replace(NON_ASCII_SPACES, ' ').normalize('NFC');
  verifyStringClass(normalised, 'FreeformClass');
  return normalised;
}

/** RFC 8264 7: a result may have to go through the rules again; one that does not settle is refused. */
function applyUntilStable(text: string, rules: (text: string) => string): string {
  let result = rules(text);
  for (let round = 0; round < REAPPLICATIONS; round++) {
    const again = rules(result);
    if (again === result) {
      if (result === '') throw new PrecisError('is empty'); // RFC 8265 3.3.3, 4.2.2
      return result;
    }
    result = again;
  }
  throw new PrecisError('does not settle when its rules are applied again (RFC 8264 7)');
}

function verifyCodePoints(codePoints: readonly number[], stringClass: StringClass): void {
  for (const codePoint of codePoints) {
    const value = classes.classOf(codePoint);
    if (value === 'U') throw new PrecisError(`holds ${nameCodePoint(codePoint)}, which is unassigned`);
    if (value === 'D' || (value === 'F' && stringClass === 'IdentifierClass')) {
      throw new PrecisError(`holds ${nameCodePoint(codePoint)}, which the ${stringClass} excludes`);
    }
  }
}

function verifyContext(codePoints: readonly number[]): void {
  const misplaced = findOutOfContext(codePoints);
  if (misplaced === undefined) return;
  throw new PrecisError(`holds ${nameCodePoint(misplaced)} where its contextual rule forbids it (RFC 5892 A)`);
}
