import fc from 'fast-check';

/*
 * Documents for property tests and the fuzz target: elements that are well-formed more often than not, built of the
 * pieces that rules are about, and mutations of their bytes.
 */

/** Arbitrary with a weight, so that what breaks a rule stays rare. */
function mostly<T>(usual: readonly T[], rare: readonly T[]): fc.Arbitrary<T> {
  return fc.oneof(
    { weight: 150, arbitrary: fc.constantFrom(...usual) },
    { weight: 1, arbitrary: fc.constantFrom(...rare) },
  );
}

const localName = mostly(
  ['a', 'b', 'body', 'message', 'x-1', '_', 'роза', 'é·'],
  ['1', '-', 'a$', '·', 'xmlns', 'a:b', ''],
);
const prefix = mostly(['', '', '', '', 'p', 'q', 'xml'], ['undeclared', 'xmlns', '1']);
const space = mostly([' ', ' ', ' ', '\n', '\t \r'], ['', '\f']);
const around = mostly(['', '', '', ' '], ['\n']);
const valuePiece = mostly(
  ['v', 'w', ' ', '\t', '&amp;', '&#65;', '&#xe9;', 'é', '🌹', '>', ']]>', '/'],
  ['<', '&', '&x;', '\0', '\uffff', '&#0;', "'"],
);
const textPiece = mostly(
  [
    'text',
    ' ',
    '&lt;',
    '&#x1f339;',
    '&#10;',
    ']',
    ']]',
    '>>',
    'é',
    '🌹',
    '\ufeff',
    '\r\n',
    '<![CDATA[]]>',
    '<![CDATA[<&]]]]>',
  ],
  [
    ']]>',
    '&nbsp;',
    '&#xfffe;',
    '\u0001',
    '\ufffe',
    '<!-- -->',
    '<?p i?>',
    '<![CDATA[]]>]]>',
    '<!DOCTYPE a>',
    '&a',
    '<',
  ],
);
const namespace = mostly(
  ['urn:a', 'urn:b', 'u&#114;n:a', 'http://jabber.org/protocol/muc', 'urn:é'],
  ['', 'jabber:client', 'http://www.w3.org/2000/xmlns/', 'http://www.w3.org/XML/1998/namespace'],
);

const attribute = fc
  .tuple(
    fc.oneof(
      {
        weight: 3,
        arbitrary: fc.tuple(
          prefix,
          localName,
          fc.array(valuePiece, { maxLength: 4 }).map((all) => all.join('')),
        ),
      },
      { weight: 2, arbitrary: fc.tuple(fc.constant('xmlns'), mostly(['p', 'q'], ['xml', 'xmlns', '']), namespace) },
      {
        weight: 1,
        arbitrary: fc.tuple(fc.constant(''), fc.constantFrom('xmlns', 'to', 'id', 'type', 'xml:lang'), namespace),
      },
    ),
    space,
    around,
    mostly(["'", '"'], ['']),
  )
  .map(([[before, local, value], separator, blank, quote]) => {
    const quoted = quote === '"' ? value.replaceAll("'", '"') : value;
    const safe = quote === '"' ? value : quoted;
    return `${separator}${before === '' ? local : `${before}:${local}`}${blank}=${blank}${quote}${safe}${quote}`;
  });

const { element } = fc.letrec<{ element: string }>((tie) => ({
  element: fc
    .tuple(
      prefix,
      localName,
      fc.uniqueArray(attribute, { maxLength: 4, selector: (each) => each.replace(/\s*=.*/s, '').trim() }),
      fc.array(fc.oneof({ depthSize: 'small', withCrossShrink: true }, textPiece, tie('element')), { maxLength: 4 }),
      around,
      mostly([true], [false]),
    )
    .map(([before, local, attributes, content, blank, isClosed]) => {
      const name = before === '' ? local : `${before}:${local}`;
      const start = `<${name}${attributes.join('')}`;
      if (content.length === 0) return `${start}${blank}/>`;
      return `${start}${blank}>${content.join('')}${isClosed ? `</${name}${blank}>` : ''}`;
    }),
}));

/** An element as UTF-8, inside one that binds the prefixes p and q. */
export const generatedElement: fc.Arbitrary<Buffer> = fc
  .tuple(element, mostly([" xmlns:p='urn:a' xmlns:q='urn:b'"], ['']))
  .map(([inner, declarations]) => Buffer.from(`<message${declarations} id='1'>${inner}</message>`));

const TOKENS = [
  '<', '>', '/', '&', ';', "'", '"', '=', ' ', ':', ']', ']]>', '<![CDATA[', '<!--', '<?', '&#', '&#x110000;', 'xmlns', 'xmlns:p=',
  '\0', '\x7f', '\x80', '\xc0', '\xe2', '\xff', '\xed\xa0\x80', '\xef\xbf\xbf', '\xef\xbb\xbf', '\n', '\t', '</a>', '<a>', 'p:',
].map((token) => Buffer.from(token, 'latin1')); // prettier-ignore

const change = fc.tuple(fc.nat(), fc.nat({ max: 3 }), fc.constantFrom(...TOKENS, Buffer.alloc(0)));

/** An element some bytes of which were taken out or put in. */
export const mutatedElement: fc.Arbitrary<Buffer> = fc
  .tuple(generatedElement, fc.array(change, { minLength: 1, maxLength: 3 }))
  .map(([bytes, changes]) =>
    changes.reduce((before, [place, removed, inserted]) => {
      const at = place % (before.length + 1);
      return Buffer.concat([before.subarray(0, at), inserted, before.subarray(at + removed)]);
    }, bytes),
  );

/** Either. */
export const anyElement: fc.Arbitrary<Buffer> = fc.oneof(generatedElement, mutatedElement);
