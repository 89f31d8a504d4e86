import { expect } from 'chai';
import fc from 'fast-check';
import {
  enforceOpaqueString,
  enforceUsernameCaseMapped,
  PrecisError,
  type StringClass,
  verifyStringClass,
} from '../../stanzas/precis.ts';

function isIn(stringClass: StringClass, text: string): boolean {
  try {
    verifyStringClass(text, stringClass);
    return true;
  } catch (error) {
    if (error instanceof PrecisError) return false;
    throw error;
  }
}

describe('the string classes (RFC 8264 8 and 9)', () => {
  // category, code point, in the IdentifierClass, in the FreeformClass
  const cases: readonly (readonly [string, string, boolean, boolean])[] = [
    ['LetterDigits: lower case', '\u00E9', true, true],
    ['LetterDigits: upper case', '\u00C9', true, true],
    ['LetterDigits: other letter', '\u05D0', true, true],
    ['LetterDigits: modifier letter', '\u02B9', true, true],
    ['LetterDigits: decimal digit', '\u0967', true, true],
    ['LetterDigits: non-spacing mark', '\u0301', true, true],
    ['LetterDigits: spacing mark', '\u0903', true, true],
    ['ASCII7: first', '!', true, true],
    ['ASCII7: last', '~', true, true],
    ['Spaces: ASCII', ' ', false, true],
    ['Spaces: ideographic', '\u3000', false, true],
    ['Controls: NUL', '\u0000', false, false],
    ['Controls: tabulator', '\t', false, false],
    ['Controls: DEL', '\u007F', false, false],
    ['Controls: C1', '\u0085', false, false],
    ['Exceptions: sharp s', '\u00DF', true, true],
    ['Exceptions: final sigma', '\u03C2', true, true],
    ['Exceptions: Sindhi ampersand', '\u06FD', true, true],
    ['Exceptions: Tibetan tsheg', '\u0F0B', true, true],
    ['Exceptions: ideographic number zero', '\u3007', true, true],
    ['Exceptions: Arabic tatweel', '\u0640', false, false],
    ['Exceptions: Nko lajanyalan', '\u07FA', false, false],
    ['Exceptions: Hangul tone mark', '\u302E', false, false],
    ['Exceptions: kana repeat mark', '\u3031', false, false],
    ['Exceptions: ideographic iteration mark', '\u303B', false, false],
    ['OldHangulJamo', '\u1100', false, false],
    ['OldHangulJamo: extended A', '\uA960', false, false],
    ['OldHangulJamo: extended B', '\uD7B0', false, false],
    ['a Hangul syllable', '\uAC00', true, true],
    ['PrecisIgnorableProperties: soft hyphen', '\u00AD', false, false],
    ['PrecisIgnorableProperties: Hangul filler', '\u3164', false, false],
    ['PrecisIgnorableProperties: variation selector', '\uFE0F', false, false],
    ['PrecisIgnorableProperties: noncharacter', '\uFDD0', false, false],
    ['PrecisIgnorableProperties: last noncharacter', '\u{10FFFF}', false, false],
    ['HasCompat: Roman numeral four', '\u2163', false, true],
    ['HasCompat: ligature', '\uFB01', false, true],
    ['HasCompat: Kelvin sign', '\u212A', false, true],
    ['HasCompat: full-width letter', '\uFF41', false, true],
    ['OtherLetterDigits: title case', '\u1F88', false, true],
    ['OtherLetterDigits: letter number', '\u16EE', false, true],
    ['OtherLetterDigits: other number', '\u0BF0', false, true],
    ['OtherLetterDigits: enclosing mark', '\u0488', false, true],
    ['Symbols: mathematical', '\u221E', false, true],
    ['Symbols: currency', '\u20AC', false, true],
    ['Symbols: modifier', '\u02C2', false, true],
    ['Symbols: other', '\u265A', false, true],
    ['Symbols: of Unicode 17', '\u{1FAC8}', false, true],
    ['Punctuation', '\u2020', false, true],
    ['Punctuation: initial quote', '\u00AB', false, true],
    ['Unassigned', '\u0378', false, false],
    ['Unassigned: plane 13', '\u{D0000}', false, false],
    ['private use', '\uE000', false, false],
    ['a lone surrogate', '\uD800', false, false],
    ['line separator', '\u2028', false, false],
    ['CONTEXTJ out of context', 'a\u200D', false, false],
    ['CONTEXTJ in context', '\u0915\u094D\u200D', true, true],
    ['CONTEXTO out of context', 'a\u00B7', false, false],
    ['CONTEXTO in context', 'l\u00B7l', true, true],
  ];
  for (const [what, text, identifier, freeform] of cases) {
    it(what, () => {
      expect([isIn('IdentifierClass', text), isIn('FreeformClass', text)]).to.deep.equal([identifier, freeform]);
    });
  }
});

describe('enforceUsernameCaseMapped', () => {
  describe('usernames that are allowed', () => {
    const allowed: readonly (readonly [string, string])[] = [
      ['juliet@example.com', 'juliet@example.com'],
      ['fussball', 'fussball'],
      ['fu\u00DFball', 'fu\u00DFball'],
      ['\u03C0', '\u03C0'],
      ['\u03A3', '\u03C3'],
      ['\u03C3', '\u03C3'],
      ['\u03C2', '\u03C2'],
    ];
    for (const [text, prepared] of allowed) {
      it(`<${text}>`, () => expect(enforceUsernameCaseMapped(text)).to.equal(prepared));
    }
  });

  describe('usernames that are not', () => {
    const refused: readonly string[] = ['foo bar', '', 'henry\u2163', '\u221E'];
    for (const text of refused) {
      it(`<${text}>`, () => expect(() => enforceUsernameCaseMapped(text)).to.throw(PrecisError));
    }
  });

  const mapped: readonly (readonly [string, string, string])[] = [
    ['full width to ordinary', '\uFF2A\uFF35\uFF2C\uFF29\uFF25\uFF34\uFF11', 'juliet1'],
    ['half width to ordinary, and composed', '\uFF76\uFF9E', '\u30AC'],
    ['capitals', 'JULIET', 'juliet'],
    ['capitals beyond ASCII', '\u00C9\u0416\u0531', '\u00E9\u0436\u0561'],
    ['capitals beyond the BMP', '\u{10400}', '\u{10428}'],
    ['a capital sigma is never a final one', '\u039F\u03A3', '\u03BF\u03C3'],
    ['a dotted capital I', '\u0130', 'i\u0307'],
    ['a capital sharp s', '\u1E9E', '\u00DF'],
    ['what is not NFC', 'e\u0301', '\u00E9'],
    ['a capital that composes once it is small', 'H\u0331', '\u1E96'],
    ['a context that the case mapping makes', 'L\u00B7L', 'l\u00B7l'],
  ];
  for (const [what, text, expected] of mapped) {
    it(`maps ${what}`, () => {
      expect(enforceUsernameCaseMapped(text)).to.equal(expected);
      expect(enforceUsernameCaseMapped(expected)).to.equal(expected);
    });
  }

  it('refuses a compatibility character that the case mapping would hide', () => {
    expect(() => enforceUsernameCaseMapped('\u212Aing')).to.throw(PrecisError, /U\+212A/);
  });
  it('refuses mixed directions', () => {
    expect(() => enforceUsernameCaseMapped('juliet\u05D0')).to.throw(PrecisError, /Bidi/);
    expect(enforceUsernameCaseMapped('\u05D0\u05D1')).to.equal('\u05D0\u05D1');
  });
  it('names only the offending code point', () => {
    expect(() => enforceUsernameCaseMapped('nurse \u{1F339}')).to.throw(
      PrecisError,
      /^holds U\+0020, which the IdentifierClass excludes$/,
    );
    expect(() => enforceUsernameCaseMapped('\u0378')).to.throw(PrecisError, /^holds U\+0378, which is unassigned$/);
  });
});

describe('enforceOpaqueString', () => {
  describe('passwords that are allowed', () => {
    const allowed: readonly (readonly [string, string])[] = [
      ['correct horse battery staple', 'correct horse battery staple'],
      ['Correct Horse Battery Staple', 'Correct Horse Battery Staple'],
      ['\u03C0\u00DF\u00E5', '\u03C0\u00DF\u00E5'],
      ['Jack of \u2666s', 'Jack of \u2666s'],
      ['foo\u1680bar', 'foo bar'],
    ];
    for (const [text, prepared] of allowed) {
      it(`<${text}>`, () => expect(enforceOpaqueString(text)).to.equal(prepared));
    }
  });

  it('refuses a zero-length string', () => {
    expect(() => enforceOpaqueString('')).to.throw(PrecisError, /empty/);
  });
  it('refuses a control character', () => {
    expect(() => enforceOpaqueString('my cat is a \u0009by')).to.throw(PrecisError, /U\+0009/);
  });

  it('maps every space of category Zs, and only to a space each', () => {
    const spaces = '\u00A0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200A\u202F\u205F\u3000';
    expect(enforceOpaqueString(`x${spaces}x`)).to.equal(`x${' '.repeat(spaces.length)}x`);
  });
  it('maps neither case nor width, and composes', () => {
    expect(enforceOpaqueString('\uFF21Ae\u0301')).to.equal('\uFF21A\u00E9');
  });
  it('lets directions mix', () => expect(enforceOpaqueString('a\u05D01')).to.equal('a\u05D01'));
  it("lets today's emoji pass", () => expect(enforceOpaqueString('\u{1F339}\u{1FAE9}')).to.equal('\u{1F339}\u{1FAE9}'));
});

describe('both profiles', () => {
  const codePoint = fc.oneof(
    fc.integer({ min: 0, max: 0x3ff }),
    fc.integer({ min: 0, max: 0x10ffff }),
    fc.constantFrom(0x300, 0x345, 0x3a3, 0x130, 0x1fb3, 0x94d, 0x200c, 0x628, 0xff76, 0xff9e, 0x1e9e, 0xac00, 0x11a8),
  );
  const text = fc.array(codePoint, { maxLength: 8 }).map((points) => String.fromCodePoint(...points));

  for (const [name, enforce] of [
    ['UsernameCaseMapped', enforceUsernameCaseMapped],
    ['OpaqueString', enforceOpaqueString],
  ] as const) {
    it(`${name} is idempotent, gives NFC and throws PrecisError or nothing`, () => {
      fc.assert(
        fc.property(text, (input) => {
          let once: string;
          try {
            once = enforce(input);
          } catch (error) {
            if (error instanceof PrecisError) return;
            throw error;
          }
          expect(enforce(once)).to.equal(once);
          expect(once.normalize('NFC')).to.equal(once);
        }),
        { numRuns: 3000 },
      );
    });
  }
});
