import { expect } from 'chai';
import fc from 'fast-check';
import { parse, stringify } from 'smol-toml';

import { KeyLines } from '../../config/key-lines.ts';

const DOCUMENT = `# 1: a comment with = and [brackets]
title = "a # in text" # 2
text = """
[not.a.table] \\"""
no = "key"""""
literal = '''
'quoted' = 7'''
"quoted key" = 1 # 8
a.b . "c.d" = 2
[ table ] # 10
inline = { x = 1, "y z" = [1, 2], deep.er = true }
list = [ # 12
  "one, ]", # 13

  [ 'two' ], { three = 3 }, # 15
]
[table.inner]
key = 1979-05-27T07:32:00Z
[[tables]] # 19
name = 'first'
[tables.inner]
name = 'inner of first'
[[tables]]
name = 'second'
[[tables.more]] # 25
name = 'more of second'
[tables.inner]
name = 'inner of second'`;

describe('config/key-lines', () => {
  const lines = new KeyLines(DOCUMENT);
  const expected: readonly (readonly [path: readonly PropertyKey[], line: number])[] = [
    [['title'], 2],
    [['text'], 3],
    [['literal'], 6],
    [['quoted key'], 8],
    [['a'], 9],
    [['a', 'b', 'c.d'], 9],
    [['table'], 10],
    [['table', 'inline', 'x'], 11],
    [['table', 'inline', 'y z', 1], 11],
    [['table', 'inline', 'deep', 'er'], 11],
    [['table', 'list'], 12],
    [['table', 'list', 0], 13],
    [['table', 'list', 1, 0], 15],
    [['table', 'list', 2, 'three'], 15],
    [['table', 'inner', 'key'], 18],
    [['tables'], 19],
    [['tables', 0], 19],
    [['tables', 0, 'name'], 20],
    [['tables', 0, 'inner', 'name'], 22],
    [['tables', 1], 23],
    [['tables', 1, 'more', 0, 'name'], 26],
    [['tables', 1, 'inner', 'name'], 28],
  ];
  for (const [path, line] of expected) {
    it(`finds ${JSON.stringify(path)} on line ${line}`, () => expect(lines.lineOf(path)).to.equal(line));
  }

  it('is about a document that the parser accepts', () => {
    expect(parse(DOCUMENT)).to.have.nested.property('table.list[0]', 'one, ]');
  });

  it('answers with the nearest part that is written down', () => {
    expect(lines.lineOf(['table', 'inner', 'missing'])).to.equal(17);
    expect(lines.lineOf(['missing'])).to.equal(undefined);
    expect(new KeyLines('').lineOf(['title'])).to.equal(undefined);
  });

  it('finds every key of any document, each on its own line', () => {
    const name = fc.string({ minLength: 1, maxLength: 8 }).filter((text) => !/[\p{C}\\]/u.test(text));
    const value = fc.oneof(fc.integer(), fc.string(), fc.boolean(), fc.array(fc.string(), { maxLength: 3 }));
    fc.assert(
      fc.property(fc.dictionary(name, value, { maxKeys: 6, noNullPrototype: true }), (table) => {
        const text = stringify({ ...table });
        const found = new KeyLines(text);
        const order = Object.keys(parse(text)).map((key) => found.lineOf([key]));
        expect(order).to.deep.equal(order.map((_, index) => index + 1));
      }),
    );
  });
});
