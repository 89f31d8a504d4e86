import { expect } from 'chai';

import { csvLine, CsvReader, type CsvRecord } from '../../../server/admin/csv.ts';

function read(...parts: string[]): CsvRecord[] {
  const reader = new CsvReader();
  return [...parts.flatMap((part) => reader.push(part)), ...reader.end()];
}

describe('server/admin/csv', () => {
  it('reads records that end with CRLF, with LF, or with the file (RFC 4180 2.1, 2.2)', () => {
    expect(read('juliet,a\r\nromeo,b\nnurse,c')).to.deep.equal([
      { line: 1, fields: ['juliet', 'a'] },
      { line: 2, fields: ['romeo', 'b'] },
      { line: 3, fields: ['nurse', 'c'] },
    ]);
  });

  it('reads commas, quotes and line breaks in quoted fields, and counts their lines (2.6, 2.7)', () => {
    expect(read('"a ""b"", c","d\ne"\nromeo,\n')).to.deep.equal([
      { line: 1, fields: ['a "b", c', 'd\ne'] },
      { line: 3, fields: ['romeo', ''] },
    ]);
  });

  it('keeps spaces, which are part of a field (2.4)', () => {
    expect(read(' juliet , a ')).to.deep.equal([{ line: 1, fields: [' juliet ', ' a '] }]);
  });

  it('reads the same whatever pieces the text comes in', () => {
    const text = '"a ""b""\r\n",c\r\n\r\nd,"e"';
    expect(read(...text.match(/[^]/g)!)).to.deep.equal(read(text));
  });

  it('tells what breaks the format, and goes on with the next record', () => {
    const records = read('"a"b,c\na"b,c\nromeo,d\n"tybalt');
    expect(records.map(({ line, flaw }) => [line, flaw])).to.deep.equal([
      [1, 'something follows a quoted field'],
      [2, 'a quote stands within a field that is not quoted'],
      [3, undefined],
      [4, 'a quoted field does not end'],
    ]);
  });

  it('refuses to hold a record without end', () => {
    expect(() => read(`juliet,a\n"${'x'.repeat(20_000)}`)).to.throw(RangeError, /^line 2: /);
  });

  it('writes what it reads back', () => {
    const fields = ['a,b', 'c"d', 'e\nf', '', 'g'];
    expect(read(csvLine(fields))).to.deep.equal([{ line: 1, fields }]);
  });
});
