import { expect } from 'chai';
import { CodePointTable, nameCodePoint } from '../../stanzas/code-point-table.ts';
import { bidiClass, joiningClass, precisClass, scriptClass, viramaClass } from '../../stanzas/make-precis-tables.ts';
import * as tables from '../../stanzas/precis-tables.ts';

// A newer or older Unicode than the frozen one assigns other code points; what both have assigned must not have changed.
describe('the frozen tables', () => {
  const precis = new CodePointTable(tables.PRECIS_CLASSES);
  const cases = [
    ['PRECIS_CLASSES', tables.PRECIS_CLASSES, precisClass],
    ['BIDI_CLASSES', tables.BIDI_CLASSES, bidiClass],
    ['JOINING_CLASSES', tables.JOINING_CLASSES, joiningClass],
    ['VIRAMA_CLASSES', tables.VIRAMA_CLASSES, viramaClass],
    ['SCRIPT_CLASSES', tables.SCRIPT_CLASSES, scriptClass],
  ] as const;
  for (const [name, encoded, classOf] of cases) {
    it(`${name} are what is derived for every assigned code point`, () => {
      const table = new CodePointTable<string>(encoded);
      const differing: string[] = [];
      for (let codePoint = 0; codePoint <= 0x10ffff; codePoint++) {
        if (codePoint === 0x40000) codePoint = 0xe0000; // planes 4 to 13 hold nothing, 15 and 16 are private
        if (codePoint === 0xf0000) break;
        if (precis.classOf(codePoint) === 'U' || precisClass(codePoint) === 'U') continue;
        if (table.classOf(codePoint) !== classOf(codePoint)) differing.push(nameCodePoint(codePoint));
      }
      expect(differing).to.deep.equal([]);
    });
  }
});
