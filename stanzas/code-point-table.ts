/** The last code point of Unicode. */
const LAST_CODE_POINT = 0x10ffff;

const DIGIT_ZERO = 0x30;
const CAPITAL_A = 0x41;
const SMALL_A = 0x61;

/**
 * One property of every code point, kept as ranges and found by binary search. Encoded as the length of each range in
 * lower-case base 36 and the capital letter that is its class: `1sP2N` is 64 code points of class P, then two of N.
 */
export class CodePointTable<Class extends string> {
  readonly #starts: Uint32Array;
  readonly #classes: readonly Class[];

  /** @throws RangeError unless the ranges cover every code point exactly. */
  constructor(encoded: string) {
    const starts: number[] = [];
    const classes: Class[] = [];
    let start = 0;
    let length = 0;
    for (let index = 0; index < encoded.length; index++) {
      const code = encoded.charCodeAt(index);
      if (code >= SMALL_A) length = length * 36 + code - SMALL_A + 10;
      else if (code < CAPITAL_A) length = length * 36 + code - DIGIT_ZERO;
      else {
        starts.push(start);
        classes.push(encoded.charAt(index) as Class);
        start += length;
        length = 0;
      }
    }
    if (start !== LAST_CODE_POINT + 1) throw new RangeError('the table does not cover every code point');
    this.#starts = Uint32Array.from(starts);
    this.#classes = classes;
  }

  /** The class of a code point; a lone surrogate is a code point too. */
  classOf(codePoint: number): Class {
    let low = 0;
    let high = this.#starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#starts[middle]! <= codePoint) low = middle;
      else high = middle - 1;
    }
    return this.#classes[low]!;
  }
}

/** Encodes a property for CodePointTable. The classes are single capital letters. */
export function encodeCodePoints(classOf: (codePoint: number) => string): string {
  let encoded = '';
  let start = 0;
  let current = classOf(0);
  for (let codePoint = 1; codePoint <= LAST_CODE_POINT; codePoint++) {
    const next = classOf(codePoint);
    if (next === current) continue;
    encoded += (codePoint - start).toString(36) + current;
    start = codePoint;
    current = next;
  }
  return encoded + (LAST_CODE_POINT + 1 - start).toString(36) + current;
}

/** The code points of a text, a lone surrogate as itself. */
export function codePointsOf(text: string): number[] {
  return Array.from(text, (character) => character.codePointAt(0)!);
}

/** U+ and at least four digits, as the RFCs write a code point. */
export function nameCodePoint(codePoint: number): string {
  return `U+${codePoint.toString(16).toUpperCase().padStart(4, '0')}`;
}
