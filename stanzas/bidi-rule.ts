import { CodePointTable } from './code-point-table.ts';
import { BIDI_CLASSES } from './precis-tables.ts';

/** Bidi classes as far as RFC 5893 2 tells them apart. */
export type BidiClass =
  | 'L' // L
  | 'R' // R and AL
  | 'A' // AN
  | 'E' // EN
  | 'M' // NSM
  | 'N' // ES, CS, ET, ON and BN
  | 'X'; // the others, which no label may hold

const bidi = new CodePointTable<BidiClass>(BIDI_CLASSES);

/**
 * Whether a string that holds a right-to-left code point satisfies the six conditions of the Bidi Rule (RFC 5893 2). A
 * string without one has nothing to satisfy (RFC 8265 3.3.1, RFC 5893 1.4).
 */
export function satisfiesBidiRule(codePoints: readonly number[]): boolean {
  const classes = codePoints.map((codePoint) => bidi.classOf(codePoint));
  if (!classes.some((value) => value === 'R' || value === 'A')) return true;

  // Conditions 1, 5: it starts with R or AL; starting with L it would have to do without what made the rule apply.
  if (classes[0] !== 'R') return false;
  if (classes.includes('L') || classes.includes('X')) return false; // condition 2
  if (classes.findLast((value) => value !== 'M') === 'N') return false; // condition 3
  return !(classes.includes('E') && classes.includes('A')); // condition 4
}
