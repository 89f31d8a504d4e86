import { CodePointTable } from './code-point-table.ts';
import { JOINING_CLASSES, SCRIPT_CLASSES, VIRAMA_CLASSES } from './precis-tables.ts';

/** Joining types as far as RFC 5892 A.1 tells them apart. */
export type JoiningClass =
  | 'L' // left-joining
  | 'R' // right-joining
  | 'D' // dual-joining
  | 'T' // transparent
  | 'U'; // the others

/** Whether the canonical combining class is Virama: V, or N for the others. */
export type ViramaClass = 'V' | 'N';

/** The scripts that RFC 5892 A.4 to A.7 ask for. */
export type ScriptClass =
  | 'G' // Greek
  | 'H' // Hebrew
  | 'K' // Hiragana, Katakana and Han
  | 'O'; // the others

const joining = new CodePointTable<JoiningClass>(JOINING_CLASSES);
const viramas = new CodePointTable<ViramaClass>(VIRAMA_CLASSES);
const scripts = new CodePointTable<ScriptClass>(SCRIPT_CLASSES);

const ZERO_WIDTH_NON_JOINER = 0x200c;
const ZERO_WIDTH_JOINER = 0x200d;
const MIDDLE_DOT = 0xb7;
const SMALL_L = 0x6c;
const GREEK_KERAIA = 0x375;
const HEBREW_GERESH = 0x5f3;
const HEBREW_GERSHAYIM = 0x5f4;
const KATAKANA_MIDDLE_DOT = 0x30fb;

/**
 * The first code point that stands where its contextual rule does not allow it, undefined when there is none (RFC 5892
 * appendix A, for CONTEXTJ and CONTEXTO of RFC 8264 8). Takes time linear in the length.
 */
export function findOutOfContext(codePoints: readonly number[]): number | undefined {
  let arabicIndicDigit: number | undefined;
  let extendedDigit: number | undefined;
  let katakanaMiddleDot: number | undefined;
  for (const [index, codePoint] of codePoints.entries()) {
    if (isArabicIndicDigit(codePoint)) arabicIndicDigit ??= codePoint;
    else if (isExtendedArabicIndicDigit(codePoint)) extendedDigit ??= codePoint;
    else if (codePoint === KATAKANA_MIDDLE_DOT) katakanaMiddleDot = codePoint;
    else if (!fitsItsNeighbours(codePoints, index)) return codePoint;
  }
  // A.8, A.9: not both kinds of digit in one string
  if (arabicIndicDigit !== undefined && extendedDigit !== undefined) return extendedDigit;
  // A.7: the string holds at least one Hiragana, Katakana or Han character; the middle dot itself is of no script
  if (katakanaMiddleDot !== undefined && !codePoints.some((other) => scripts.classOf(other) === 'K')) {
    return katakanaMiddleDot;
  }
  return undefined;
}

function isArabicIndicDigit(codePoint: number): boolean {
  return codePoint >= 0x660 && codePoint <= 0x669;
}

function isExtendedArabicIndicDigit(codePoint: number): boolean {
  return codePoint >= 0x6f0 && codePoint <= 0x6f9;
}

function fitsItsNeighbours(codePoints: readonly number[], index: number): boolean {
  const before = codePoints[index - 1];
  const after = codePoints[index + 1];
  switch (codePoints[index]) {
    case ZERO_WIDTH_NON_JOINER: // A.1
      return isVirama(before) || joinsOnBothSides(codePoints, index);
    case ZERO_WIDTH_JOINER: // A.2
      return isVirama(before);
    case MIDDLE_DOT: // A.3
      return before === SMALL_L && after === SMALL_L;
    case GREEK_KERAIA: // A.4
      return after !== undefined && scripts.classOf(after) === 'G';
    case HEBREW_GERESH: // A.5
    case HEBREW_GERSHAYIM: // A.6
      return before !== undefined && scripts.classOf(before) === 'H';
    default:
      return true;
  }
}

function isVirama(codePoint: number | undefined): boolean {
  return codePoint !== undefined && viramas.classOf(codePoint) === 'V';
}

/** RFC 5892 A.1: (L or D), any T, the non-joiner, any T, (R or D). It stops at the next non-joiner, which is no T. */
function joinsOnBothSides(codePoints: readonly number[], index: number): boolean {
  const left = nextNotTransparent(codePoints, index, -1);
  const right = nextNotTransparent(codePoints, index, 1);
  return (left === 'L' || left === 'D') && (right === 'R' || right === 'D');
}

function nextNotTransparent(codePoints: readonly number[], from: number, step: 1 | -1): JoiningClass | undefined {
  for (let index = from + step; ; index += step) {
    const codePoint = codePoints[index];
    if (codePoint === undefined) return undefined;
    const joiningClass = joining.classOf(codePoint);
    if (joiningClass !== 'T') return joiningClass;
  }
}
