import { expect } from 'chai';
import { codePointsOf } from '../../stanzas/code-point-table.ts';
import { findOutOfContext } from '../../stanzas/contextual-rules.ts';

describe('findOutOfContext (RFC 5892 appendix A)', () => {
  const cases: readonly (readonly [string, string, number | undefined])[] = [
    ['A.1 non-joiner after a virama', '\u0915\u094D\u200C\u0937', undefined],
    ['A.1 after a virama at the end', '\u0915\u094D\u200C', undefined],
    ['A.1 between joining letters (D, R)', '\u0628\u200C\u0627', undefined],
    ['A.1 between joining letters (D, D)', '\u0628\u200C\u0628', undefined],
    ['A.1 with transparent marks between', '\u0628\u064E\u0651\u200C\u064E\u0628', undefined],
    ['A.1 a right-joining letter before', '\u0627\u200C\u0628', 0x200c],
    ['A.1 a left-joining letter before', '\uA872\u200C\u0628', undefined],
    ['A.1 a left-joining letter after', '\u0628\u200C\uA872', 0x200c],
    ['A.1 nothing before', '\u200C\u0628', 0x200c],
    ['A.1 nothing after', '\u0628\u200C', 0x200c],
    ['A.1 only transparent before', '\u064E\u200C\u0628', 0x200c],
    ['A.1 Latin letters', 'a\u200Cb', 0x200c],
    ['A.1 two in a row', '\u0628\u200C\u200C\u0628', 0x200c],
    ['A.2 joiner after a virama', '\u0915\u094D\u200D\u0937', undefined],
    ['A.2 after a virama that is a spacing mark', '\u1B13\u1B44\u200D', undefined],
    ['A.2 between joining letters', '\u0628\u200D\u0628', 0x200d],
    ['A.2 nothing before', '\u200D', 0x200d],
    ['A.3 middle dot between two l', 'paral\u00B7lel', undefined],
    ['A.3 only before', 'a\u00B7l', 0xb7],
    ['A.3 only after', 'l\u00B7', 0xb7],
    ['A.3 capital L', 'L\u00B7L', 0xb7],
    ['A.4 keraia before Greek', '\u0375\u03B1', undefined],
    ['A.4 after Greek', '\u03B1\u0375', 0x375],
    ['A.4 before Latin', '\u0375a', 0x375],
    ['A.5 geresh after Hebrew', '\u05D0\u05F3', undefined],
    ['A.5 at the start', '\u05F3\u05D0', 0x5f3],
    ['A.5 after Latin', 'a\u05F3', 0x5f3],
    ['A.6 gershayim after Hebrew', '\u05D0\u05F4\u05D1', undefined],
    ['A.6 at the start', '\u05F4\u05D1', 0x5f4],
    ['A.7 middle dot with Katakana', '\u30FB\u30ED\u30DF\u30AA', undefined],
    ['A.7 with Hiragana', '\u3042\u30FB', undefined],
    ['A.7 with Han', 'a\u30FB\u6F22', undefined],
    ['A.7 with Han of Unicode 17', '\u{323B0}\u30FB', undefined],
    ['A.7 with Latin', 'romeo\u30FBjuliet', 0x30fb],
    ['A.7 alone', '\u30FB', 0x30fb],
    ['A.8 Arabic-Indic digits', '\u0660\u0669', undefined],
    ['A.9 extended Arabic-Indic digits', '\u06F0\u06F9', undefined],
    ['A.8 and A.9 both kinds', '\u0660a\u06F9', 0x6f9],
    ['A.9 and A.8 both kinds', '\u06F0a\u0669', 0x6f0],
    ['no code point with a rule', 'juliet', undefined],
  ];
  for (const [what, text, misplaced] of cases) {
    it(`${what}: ${misplaced === undefined ? 'allowed' : 'refused'}`, () => {
      expect(findOutOfContext(codePointsOf(text))).to.equal(misplaced);
    });
  }
});
