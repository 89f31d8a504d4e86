import { expect } from 'chai';
import { CodePointTable, codePointsOf, encodeCodePoints, nameCodePoint } from '../../stanzas/code-point-table.ts';

describe('CodePointTable', () => {
  const vowels = (codePoint: number): 'V' | 'N' => ('aeiou'.includes(String.fromCodePoint(codePoint)) ? 'V' : 'N');

  it('answers what was encoded, for every code point', () => {
    const table = new CodePointTable<'V' | 'N'>(encodeCodePoints(vowels));
    for (let codePoint = 0; codePoint <= 0x10ffff; codePoint++) {
      if (table.classOf(codePoint) !== vowels(codePoint)) throw new Error(nameCodePoint(codePoint));
    }
  });

  it('has the form its comment says', () => {
    expect(encodeCodePoints((codePoint) => (codePoint < 64 ? 'P' : codePoint < 66 ? 'N' : 'P'))).to.match(/^1sP2N/);
  });

  it('knows the first, the last and a table of one range', () => {
    const table = new CodePointTable(encodeCodePoints(() => 'P'));
    expect([table.classOf(0), table.classOf(0x10ffff)]).to.deep.equal(['P', 'P']);
  });

  it('refuses a table with a gap or an excess', () => {
    expect(() => new CodePointTable('1sP')).to.throw(RangeError);
    expect(() => new CodePointTable(`${encodeCodePoints(() => 'P')}1N`)).to.throw(RangeError);
  });
});

describe('code points', () => {
  it('of text, a lone surrogate as itself', () => {
    expect(codePointsOf('a\u{1F339}\uD800b')).to.deep.equal([0x61, 0x1f339, 0xd800, 0x62]);
  });
  it('are named as the RFCs do', () => {
    expect([nameCodePoint(0x20), nameCodePoint(0x1f339)]).to.deep.equal(['U+0020', 'U+1F339']);
  });
});
