import { expect } from 'chai';
import { satisfiesBidiRule } from '../../stanzas/bidi-rule.ts';
import { codePointsOf } from '../../stanzas/code-point-table.ts';

// The conditions of RFC 5893 2, each by the strings that only it tells apart.
describe('satisfiesBidiRule', () => {
  const cases: readonly (readonly [string, string, boolean])[] = [
    ['no right-to-left code point: nothing to satisfy', '1-juliet-', true],
    ['an empty string', '', true],
    ['Hebrew', '\u05D0\u05D1\u05D2', true],
    ['Arabic', '\u0628\u0627\u0628', true],
    ['Thaana, which RFC 5893 4.1 was written for', '\u078E\u07B0\u078E\u07B0\u0789\u07A8\u07C0'.slice(0, 6), true],
    ['condition 1: starts with R', '\u05D01', true],
    ['condition 1: starts with EN', '1\u05D0', false],
    ['condition 1: starts with AN', '\u0661\u05D0', false],
    ['condition 1: starts with AN alone', '\u0661', false],
    ['condition 1: starts with NSM', '\u05B0\u05D0', false],
    ['condition 1: starts with ON', '!\u05D0', false],
    ['condition 2: L in a right-to-left string', '\u05D0a\u05D0', false],
    ['condition 2: ES, CS, ET and ON in a right-to-left string', '\u05D0+,#!\u05D0', true],
    ['condition 3: ends with EN', '\u05D05', true],
    ['condition 3: ends with AN', '\u0628\u0665', true],
    ['condition 3: ends with NSM after R', '\u05D0\u05B0\u05B0', true],
    ['condition 3: ends with NSM after EN', '\u05D05\u05B0', true],
    ['condition 3: ends with ON', '\u05D0!', false],
    ['condition 3: ends with NSM after ON', '\u05D0!\u05B0', false],
    ['condition 4: EN and AN', '\u06281\u0661', false],
    ['condition 4: extended Arabic-Indic digits are EN', '\u0628\u06F1', true],
    ['condition 5: R in a left-to-right string', 'a\u05D0', false],
    ['condition 5: AL in a left-to-right string', 'a\u0628a', false],
    ['condition 5: AN in a left-to-right string', 'a\u0661', false],
    ['a right-to-left script of Unicode 17', '\u{10940}\u{10941}', true],
    ['the same in a left-to-right string', 'a\u{10940}', false],
  ];
  for (const [what, text, holds] of cases) {
    it(`${what}: ${holds ? 'yes' : 'no'}`, () => expect(satisfiesBidiRule(codePointsOf(text))).to.equal(holds));
  }
});
