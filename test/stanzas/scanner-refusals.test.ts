import { expect } from 'chai';
import type { ScannerLimits } from '../../stanzas/scanner.ts';
import { documentCondition, HEADER, hear, hearAll, LIMITS } from './scanner-events.ts';

const STREAMS = 'http://etherx.jabber.org/streams';
const bytes = (...values: number[]): string => Buffer.from(values).toString('latin1');

/** Condition by what comes inside a client's stream, as a byte string; undefined where it is accepted. */
const INSIDE: readonly (readonly [what: string, sent: string, condition: string | undefined])[] = [
  // RFC 6120 11.1
  ['a comment', '<message><!--<subject/>--><body/></message>', 'restricted-xml'],
  ['a comment between elements', '<!-- -->', 'restricted-xml'],
  ['a processing instruction', '<message><?target data?></message>', 'restricted-xml'],
  ['a processing instruction between elements', '<?xml-stylesheet href="x"?>', 'restricted-xml'],
  ['a document type declaration', '<!DOCTYPE message>', 'restricted-xml'],
  ['a document type declaration in an element', '<message><!DOCTYPE x></message>', 'restricted-xml'],
  ['an entity reference', '<message><body>&nbsp;</body></message>', 'restricted-xml'],
  ['an entity reference in an attribute', "<message id='&nbsp;'/>", 'restricted-xml'],
  ['an entity reference with letters beyond ASCII', '<message>&\xc3\xa9;</message>', 'restricted-xml'],
  ['the predefined entities', "<message id='&lt;&gt;&amp;&apos;&quot;'>&lt;&gt;&amp;&apos;&quot;</message>", undefined],
  ['a CDATA section', '<message><body><![CDATA[<&>]] ]>]]></body></message>', undefined],
  ['an empty CDATA section', '<message><![CDATA[]]></message>', undefined],
  ['brackets at the end of a CDATA section', '<message><![CDATA[]]]]></message>', undefined],
  // XML 1.0 2.8, RFC 6120 11.5
  ['a second XML declaration', "<?xml version='1.0'?>", 'not-well-formed'],
  ['an XML declaration in an element', "<message><?xml version='1.0'?></message>", 'not-well-formed'],
  ['an instruction without a target', '<message><? ?></message>', 'not-well-formed'],
  ['other markup', '<message><!ELEMENT a></message>', 'not-well-formed'],
  ['half a comment mark', '<message><!-x></message>', 'not-well-formed'],
  ['half a CDATA mark', '<message><![CDATX[]]></message>', 'not-well-formed'],
  // XML 1.0 2.1, 3.1: tags
  ['an unclosed child', '<message><body>No closing tag!</message>', 'not-well-formed'],
  ['an end tag of another name', '<message></messagf>', 'not-well-formed'],
  ['an end tag of a longer name', '<message></messages>', 'not-well-formed'],
  ['an end tag of a shorter name', '<message></messag>', 'not-well-formed'],
  ['an end tag without a start tag', '</message>', 'not-well-formed'],
  ['an end tag with an attribute', "<message></message id='1'>", 'not-well-formed'],
  ['white space in tags', "<message\n id = '1'\t\r></message\n >", undefined],
  ['white space before the name', '< message/>', 'not-well-formed'],
  ['white space before the name of an end tag', '<message></ message>', 'not-well-formed'],
  ['white space behind the slash', '<message/ >', 'not-well-formed'],
  ['nothing between < and >', '<message><></message>', 'not-well-formed'],
  ['a < in a start tag', '<message <body/>', 'not-well-formed'],
  ['the stream closed inside an element', '<message></stream:stream>', 'not-well-formed'],
  // attributes
  ['an attribute twice', "<message id='1' id='1'/>", 'not-well-formed'],
  ['an attribute twice of ten', `<message ${'abcdefghia'.replace(/./g, (name) => ` ${name}=''`)}/>`, 'not-well-formed'],
  ['a declaration twice', "<message xmlns:a='urn:a' xmlns:a='urn:a'/>", 'not-well-formed'],
  ['an attribute twice by two prefixes', "<m xmlns:a='urn:a' xmlns:b='urn:a' a:c='' b:c=''/>", 'not-well-formed'],
  ['one local name in two namespaces', "<m xmlns:a='urn:a' xmlns:b='urn:b' a:c='' b:c='' c=''/>", undefined],
  ['a namespace spelt two ways', "<m xmlns:a='urn:a' xmlns:b='&#x75;rn:a' a:c='' b:c=''/>", 'not-well-formed'],
  ['an attribute without a value', '<message id/>', 'not-well-formed'],
  ['an attribute without quotes', '<message id=1/>', 'not-well-formed'],
  ['attributes without white space between', "<message id='1'to='a'/>", 'not-well-formed'],
  ['a < in an attribute', "<message id='<'/>", 'not-well-formed'],
  ['a > in an attribute', "<message id='>'/>", undefined],
  ['the other quote in an attribute', `<message id='"' to="'"/>`, undefined],
  ['tabs and line ends in an attribute', "<message id='\t\r\n'/>", undefined],
  // XML 1.0 2.2, 2.4, 4.1: characters
  ['a ]]> in text', '<message>a]]>b</message>', 'not-well-formed'],
  ['a ]]]> in text', '<message>]]]></message>', 'not-well-formed'],
  ['a ]] and a > apart', '<message>]] > ]&gt; ]]&gt;</message>', undefined],
  ['a ]]> in an attribute', "<message id=']]>'/>", undefined],
  ['a > in text', '<message>a > b</message>', undefined],
  ['a lone &', '<message>a & b</message>', 'not-well-formed'],
  ['an empty reference', '<message>&;</message>', 'not-well-formed'],
  ['a reference without an end', '<message>&amp</message>', 'not-well-formed'],
  ['a reference to a name with a colon', '<message>&a:b;</message>', 'not-well-formed'],
  ['a reference to a digit', '<message>&1;</message>', 'not-well-formed'],
  ['character references', '<message>&#9;&#10;&#x20;&#xD7FF;&#xE000;&#xFFFD;&#x10FFFF;&#00065;</message>', undefined],
  ['a reference to U+0000', '<message>&#0;</message>', 'not-well-formed'],
  ['a reference to U+000B', '<message>&#xB;</message>', 'not-well-formed'],
  ['a reference to a surrogate', '<message>&#xD800;</message>', 'not-well-formed'],
  ['a reference to U+FFFE', '<message>&#xFFFE;</message>', 'not-well-formed'],
  ['a reference to U+FFFF', "<message id='&#65535;'/>", 'not-well-formed'],
  ['a reference above U+10FFFF', '<message>&#x110000;</message>', 'not-well-formed'],
  ['a reference far above', `<message>&#${'9'.repeat(400)};</message>`, 'not-well-formed'],
  ['a reference without digits', '<message>&#;</message>', 'not-well-formed'],
  ['a hexadecimal reference without digits', '<message>&#x;</message>', 'not-well-formed'],
  ['a capital X', '<message>&#X41;</message>', 'not-well-formed'],
  ['a letter in a decimal reference', '<message>&#4a;</message>', 'not-well-formed'],
  ['a NUL in text', '<message>\0</message>', 'not-well-formed'],
  ['an escape in text', '<message>\x1b</message>', 'not-well-formed'],
  ['a form feed in an attribute', "<message id='\f'/>", 'not-well-formed'],
  ['a control character in CDATA', '<message><![CDATA[\x01]]></message>', 'not-well-formed'],
  ['a NUL in a tag', '<message\0/>', 'not-well-formed'],
  ['tab, line feed, carriage return and delete', '<message>\t\n\r\x7f</message>', undefined],
  ['U+FFFE', `<message>${bytes(0xef, 0xbf, 0xbe)}</message>`, 'not-well-formed'],
  ['U+FFFF in an attribute', `<message id='${bytes(0xef, 0xbf, 0xbf)}'/>`, 'not-well-formed'],
  ['U+FFFD', `<message>${bytes(0xef, 0xbf, 0xbd)}</message>`, undefined],
  ['U+FEFF in text', `<message>${bytes(0xef, 0xbb, 0xbf)}</message>`, undefined], // RFC 6120 11.6
  ['U+1FFFF, a noncharacter that XML allows', `<message>${bytes(0xf0, 0x9f, 0xbf, 0xbf)}</message>`, undefined],
  // RFC 6120 4.9.3.22, RFC 3629
  ['a lone continuation byte', '<message>\x80</message>', 'unsupported-encoding'],
  ['a cut sequence', '<message>\xe2\x82</message>', 'unsupported-encoding'],
  ['Latin-1', "<message id='\xe9'/>", 'unsupported-encoding'],
  ['an overlong slash', `<message>${bytes(0xc0, 0xaf)}</message>`, 'unsupported-encoding'],
  ['an overlong NUL', `<message>${bytes(0xe0, 0x80, 0x80)}</message>`, 'unsupported-encoding'],
  ['a surrogate', `<message>${bytes(0xed, 0xa0, 0x80)}</message>`, 'unsupported-encoding'],
  ['a CESU-8 pair', `<message>${bytes(0xed, 0xa0, 0xbd, 0xed, 0xb8, 0x80)}</message>`, 'unsupported-encoding'],
  ['a code point above U+10FFFF', `<message>${bytes(0xf4, 0x90, 0x80, 0x80)}</message>`, 'unsupported-encoding'],
  ['0xFF in CDATA', '<message><![CDATA[\xff]]></message>', 'unsupported-encoding'],
  ['bad UTF-8 in a name', `<message><b${bytes(0xc3)}/></message>`, 'unsupported-encoding'],
  // XML 1.0 2.3, Namespaces in XML 4: names
  ['a name with a digit first', '<1message/>', 'not-well-formed'],
  ['a name with a hyphen first', '<message><-a/></message>', 'not-well-formed'],
  ['an attribute with a dot first', "<message .a=''/>", 'not-well-formed'],
  ['a name with other ASCII', '<mess$age/>', 'not-well-formed'],
  ['a name with two colons', "<a:b:c xmlns:a='urn:a'/>", 'not-well-formed'],
  ['a name that begins with a colon', '<:message/>', 'not-well-formed'],
  ['a name that ends with a colon', "<a: xmlns:a='urn:a'/>", 'not-well-formed'],
  ['a local name that begins with a digit', "<a:1 xmlns:a='urn:a'/>", 'not-well-formed'],
  ['an attribute name that ends with a colon', "<message xmlns:=''/>", 'not-well-formed'],
  ['letters beyond ASCII', Buffer.from("<message><письмо é='1' x·='2'/></message>").toString('latin1'), undefined],
  ['a letter beyond the BMP', Buffer.from('<message><\u{10400}/></message>').toString('latin1'), undefined],
  ['a multiplication sign', Buffer.from('<message><a×/></message>').toString('latin1'), 'not-well-formed'],
  ['a middle dot first', Buffer.from('<message><·a/></message>').toString('latin1'), 'not-well-formed'],
  ['a combining mark behind the colon', Buffer.from("<a:\u0301 xmlns:a='u'/>").toString('latin1'), 'not-well-formed'],
  // Namespaces in XML 1.0, RFC 6120 4.8.5, 4.9.3.13
  ['an undeclared prefix', '<message><foo:body>What is this foo?</foo:body></message>', 'not-well-formed'],
  ['an undeclared prefix of an attribute', "<message foo:id='1'/>", 'not-well-formed'],
  ['a prefix out of its scope', "<m><a xmlns:p='urn:p'/><p:b/></m>", 'not-well-formed'],
  ['a prefix in its scope', "<m xmlns:p='urn:p'><a><p:b p:c=''/></a></m>", undefined],
  ['a prefix declared behind its use', "<m p:b='' xmlns:p='urn:p'/>", undefined],
  ['a prefix undeclared', "<m xmlns:p='urn:p'><a xmlns:p=''/></m>", 'not-well-formed'],
  ['a default namespace undeclared', "<message><a xmlns=''/></message>", undefined],
  ['the prefix xmlns declared', "<m xmlns:xmlns='urn:x'/>", 'not-well-formed'],
  ['the prefix xmlns declared rightly', "<m xmlns:xmlns='http://www.w3.org/2000/xmlns/'/>", 'not-well-formed'],
  ['the namespace of xmlns bound', "<m xmlns:a='http://www.w3.org/2000/xmlns/'/>", 'not-well-formed'],
  ['the namespace of xmlns as default', "<m xmlns='http://www.w3.org/2000/xmlns/'/>", 'not-well-formed'],
  ['an element with the prefix xmlns', '<message><xmlns:a/></message>', 'not-well-formed'],
  ['the prefix xml bound to another', "<m xmlns:xml='urn:x'/>", 'not-well-formed'],
  ['the prefix xml bound rightly', "<m xmlns:xml='http://www.w3.org/XML/1998/namespace'/>", undefined],
  ['the namespace of xml bound', "<m xmlns:a='http://www.w3.org/XML/1998/namespace'/>", 'not-well-formed'],
  [
    'the namespace of xml as default',
    "<m><a><b xmlns='http://www.w3.org/XML/1998/namespace'/></a></m>",
    'not-well-formed',
  ],
  ['the prefix xml', "<message xml:lang='en' xml:space='preserve'><xml:a/></message>", undefined],
  [
    'a prefixed stanza',
    "<foo:message xmlns:foo='jabber:client'><foo:body>foo</foo:body></foo:message>",
    'bad-namespace-prefix',
  ],
  [
    'a prefixed child in the content namespace',
    "<message xmlns:c='jabber:client'><c:body/></message>",
    'bad-namespace-prefix',
  ],
  ['deep down', "<m><a><b><c:d xmlns:c='jabber:server'/></b></a></m>", 'bad-namespace-prefix'],
  ['an attribute in the content namespace', "<message xmlns:c='jabber:client' c:to=''/>", 'bad-namespace-prefix'],
  ['a content namespace spelt by references', "<c:m xmlns:c='jabber&#58;client'/>", 'bad-namespace-prefix'],
  ['a prefix of the header in a stanza', '<message><stream:x/></message>', 'invalid-namespace'],
  ['a prefix of the header in an attribute', "<message stream:x=''/>", 'invalid-namespace'],
  ['the prefix of the header on the first level', '<stream:error><a/></stream:error>', undefined],
  ['the prefix of the header declared anew', `<message><stream:x xmlns:stream='${STREAMS}'/></message>`, undefined],
  // RFC 6120 4.3.3, 11.7
  ['a stream header in a stream', HEADER, 'bad-format'],
  ['text between elements', 'Romeo', 'bad-format'],
  ['a reference between elements', '&#32;', 'bad-format'],
  ['a CDATA section between elements', '<![CDATA[ ]]>', 'bad-format'],
  ['U+FEFF between elements', bytes(0xef, 0xbb, 0xbf), 'bad-format'],
  ['white space between elements', ' \n\t\r<message/>\n', undefined],
  ['text behind the end', '</stream:stream>Romeo', 'not-well-formed'],
  ['an element behind the end', '</stream:stream><message/>', 'not-well-formed'],
  ['white space behind the end', '</stream:stream>\n', undefined],
  ['the end of another stream', '</stream>', 'not-well-formed'],
];

/** Condition by the whole of what is sent, as a byte string. */
const FROM_THE_START: readonly (readonly [what: string, sent: string, condition: string | undefined])[] = [
  // RFC 6120 4.9.3.1, 4.9.3.2, 4.9.3.10
  [
    'a wrong stream namespace',
    "<stream:stream xmlns='jabber:client' xmlns:stream='http://wrong.namespace.example.org/'>",
    'invalid-namespace',
  ],
  ['no stream namespace', "<stream xmlns='jabber:client'>", 'invalid-namespace'],
  ['no namespace', '<stream>', 'invalid-namespace'],
  ['a stanza first', "<message xmlns='jabber:client'>", 'invalid-namespace'],
  ['another prefix', `<foobar:stream xmlns='jabber:client' xmlns:foobar='${STREAMS}'>`, 'bad-namespace-prefix'],
  ['an undeclared prefix', "<stream:stream xmlns='jabber:client'>", 'not-well-formed'],
  ['another element', `<stream:features xmlns='jabber:client' xmlns:stream='${STREAMS}'>`, 'bad-format'],
  ['another content namespace', `<stream:stream xmlns='jabber:other' xmlns:stream='${STREAMS}'>`, 'invalid-namespace'],
  [
    'the stream namespace as content namespace',
    `<stream:stream xmlns='${STREAMS}' xmlns:stream='${STREAMS}'>`,
    'invalid-namespace',
  ],
  ['the content namespace jabber:server', `<stream:stream xmlns='jabber:server' xmlns:stream='${STREAMS}'>`, undefined],
  ['no content namespace', `<stream:stream xmlns:stream='${STREAMS}'>`, undefined],
  ['prefix-free canonicalization', `<stream xmlns='${STREAMS}'>`, undefined],
  [
    'other prefixes in the header',
    `<stream:stream xmlns='jabber:client' xmlns:stream='${STREAMS}' xmlns:a='urn:a' a:b='c'>`,
    undefined,
  ],
  [
    'a prefix of the header on the first level',
    `<stream:stream xmlns='jabber:client' xmlns:stream='${STREAMS}' xmlns:a='urn:a'><a:b/>`,
    'invalid-namespace',
  ],
  [
    'a prefix of the header for the content',
    `<stream:stream xmlns='jabber:client' xmlns:stream='${STREAMS}' xmlns:a='jabber:client'><a:iq/>`,
    'bad-namespace-prefix',
  ],
  ['the prefix stream where the header has none', `<stream xmlns='${STREAMS}'><stream:error/>`, 'not-well-formed'],
  ['an attribute twice', `<stream:stream to='a' to='b' xmlns:stream='${STREAMS}'>`, 'not-well-formed'],
  [
    'bad UTF-8 in the header',
    `<stream:stream to='\xff' xmlns='jabber:client' xmlns:stream='${STREAMS}'>`,
    'unsupported-encoding',
  ],
  // XML 1.0 2.8, RFC 6120 11.5, 11.6
  ['an XML declaration', `<?xml version='1.0'?>${HEADER}`, undefined],
  ['a full XML declaration', `<?xml version = "1.0" encoding='utf-8' standalone='no' ?>\n${HEADER}`, undefined],
  ['another encoding', `<?xml version='1.0' encoding='UTF-16'?>${HEADER}`, 'unsupported-encoding'],
  ['Latin-1', `<?xml version='1.0' encoding="ISO-8859-1"?>${HEADER}`, 'unsupported-encoding'],
  ['another version', `<?xml version='1.1'?>${HEADER}`, 'not-well-formed'],
  ['no version', `<?xml encoding='UTF-8'?>${HEADER}`, 'not-well-formed'],
  ['the wrong order', `<?xml version='1.0' standalone='yes' encoding='UTF-8'?>${HEADER}`, 'not-well-formed'],
  ['an unended declaration', `<?xml version='1.0'>${HEADER}`, 'not-well-formed'],
  ['white space before the declaration', ` <?xml version='1.0'?>${HEADER}`, 'not-well-formed'],
  ['two declarations', `<?xml version='1.0'?><?xml version='1.0'?>${HEADER}`, 'not-well-formed'],
  ['capital letters', `<?XML version='1.0'?>${HEADER}`, 'not-well-formed'],
  ['a processing instruction', `<?target?>${HEADER}`, 'restricted-xml'],
  ['a comment', `<!---->${HEADER}`, 'restricted-xml'],
  ['a document type declaration', `<?xml version='1.0'?><!DOCTYPE stream [<!ENTITY a "b">]>`, 'restricted-xml'],
  ['white space before the header', `\r\n\t ${HEADER}`, undefined],
  ['U+FEFF before the header', `\xef\xbb\xbf${HEADER}`, 'not-well-formed'],
  ['UTF-16, big-endian with mark', Buffer.from([0xfe, 0xff, 0, 0x3c]).toString('latin1'), 'unsupported-encoding'],
  [
    'UTF-16, little-endian with mark',
    Buffer.from(`\ufeff${HEADER}`, 'utf16le').toString('latin1'),
    'unsupported-encoding',
  ],
  ['UTF-16, little-endian', Buffer.from(HEADER, 'utf16le').toString('latin1'), 'unsupported-encoding'],
  ['UTF-16, big-endian', `\0${HEADER}`, 'unsupported-encoding'],
  ['an HTTP request', 'GET / HTTP/1.1\r\n\r\n', 'not-well-formed'],
  ['a TLS handshake', bytes(0x16, 0x03, 0x01, 0x02, 0x00), 'not-well-formed'],
  ['an end tag', '</stream:stream>', 'not-well-formed'],
  ['a CDATA section', '<![CDATA[]]>', 'not-well-formed'],
];

/** Condition by document: RFC 7395 3.3.3 and stored stanzas. */
const DOCUMENTS: readonly (readonly [what: string, sent: string, condition: string | undefined])[] = [
  ['an element', "<message xmlns='jabber:client'/>", undefined],
  ['white space around', '\n <a/>\r\n', undefined],
  ['an XML declaration', "<?xml version='1.0' encoding='UTF-8'?>\n<a/>", undefined],
  ['an XML declaration behind white space', " <?xml version='1.0'?><a/>", 'not-well-formed'],
  ['another encoding', "<?xml version='1.0' encoding='UTF-7'?><a/>", 'unsupported-encoding'],
  ['a declaration alone', "<?xml version='1.0'?>", 'not-well-formed'],
  ['features with their prefix', `<stream:features xmlns:stream='${STREAMS}'/>`, undefined],
  ['features without their prefix', '<stream:features/>', 'not-well-formed'],
  ['a prefix on the content namespace', "<c:message xmlns:c='jabber:client'/>", 'bad-namespace-prefix'],
  ['nothing', '', 'not-well-formed'],
  ['white space', ' ', 'not-well-formed'],
  ['text', 'Romeo', 'not-well-formed'],
  ['half an element', '<a><b/>', 'not-well-formed'],
  ['half a tag', "<a b='", 'not-well-formed'],
  ['two elements', '<a/><b/>', 'not-well-formed'],
  ['text behind', '<a/>b', 'not-well-formed'],
  ['a comment before', '<!-- --><a/>', 'restricted-xml'],
  ['a comment behind', '<a/><!-- -->', 'restricted-xml'],
  ['an instruction behind', '<a/><?b?>', 'restricted-xml'],
  ['an end tag', '</a>', 'not-well-formed'],
  ['U+FEFF before', '\xef\xbb\xbf<a/>', 'not-well-formed'],
  ['UTF-16', '<\0a\0/\0>\0', 'unsupported-encoding'],
];

/** One byte in each chunk. */
function oneByOne(sent: Buffer): Buffer[] {
  return Array.from(sent, (_, index) => sent.subarray(index, index + 1));
}

function expectCondition(sent: Buffer, condition: string | undefined): void {
  expect(hearAll(sent).condition, 'in one piece').to.equal(condition);
  expect(hear(oneByOne(sent)).condition, 'byte by byte').to.equal(condition);
}

describe('What the scanner refuses', () => {
  describe('inside a stream', () => {
    for (const [what, sent, condition] of INSIDE) {
      it(`${what}: ${condition ?? 'accepted'}`, () => expectCondition(Buffer.from(HEADER + sent, 'latin1'), condition));
    }
  });

  describe('from the start of a stream', () => {
    for (const [what, sent, condition] of FROM_THE_START) {
      it(`${what}: ${condition ?? 'accepted'}`, () => expectCondition(Buffer.from(sent, 'latin1'), condition));
    }
  });

  describe('as a document', () => {
    for (const [what, sent, condition] of DOCUMENTS) {
      it(`${what}: ${condition ?? 'accepted'}`, () => {
        expect(documentCondition(Buffer.from(sent, 'latin1'))).to.equal(condition);
      });
    }
  });

  it('goes on refusing what comes behind an error', () => {
    const { condition, frames } = hear([Buffer.from(`${HEADER}<!-- -->`), Buffer.from('<message/>')]);
    expect(condition).to.equal('restricted-xml');
    expect(frames).to.be.empty;
  });

  it('echoes nothing of what it refuses', () => {
    for (const [, sent] of INSIDE) {
      const { text } = hearAll(Buffer.from(`${HEADER}<capulet>${sent}`, 'latin1'));
      expect(text).to.not.contain('capulet');
    }
  });

  describe('beyond the limits (RFC 6120 4.9.3.14)', () => {
    const message = (length: number): string =>
      `<message>${'x'.repeat(length - '<message></message>'.length)}</message>`;

    it('takes an element of exactly maxBytes and no longer one', () => {
      const limits = { ...LIMITS, maxBytes: 200 };
      for (const split of [hearAll, (sent: string, small: ScannerLimits) => hear(oneByOne(Buffer.from(sent)), small)]) {
        expect(split(HEADER + message(200), limits).condition).to.equal(undefined);
        const { condition, text } = split(HEADER + message(201), limits);
        expect(condition).to.equal('policy-violation');
        expect(text).to.contain('bytes');
      }
    });

    it('refuses an endless element, header, name, value, declaration or end tag as soon as it is too long', () => {
      const limits = { ...LIMITS, maxBytes: 300 };
      const endless = ['<m>', '<m', "<m a='", '<m>&', '<m><![CDATA[', '</stream:stream', '<m '];
      for (const begin of endless.map((each) => HEADER + each).concat('<a', "<a b='", "<?xml version='1.0'")) {
        const filler = begin.endsWith('stream') || begin.endsWith(' ') || begin.endsWith("0'") ? ' ' : 'x';
        const chunks = Array.from({ length: 40 }, () => Buffer.from(filler.repeat(10)));
        expect(hear([Buffer.from(begin), ...chunks], limits).condition, begin).to.equal('policy-violation');
      }
    });

    it('counts neither white space between elements nor elements before', () => {
      const limits = { ...LIMITS, maxBytes: 200 };
      expect(hearAll(HEADER + ' '.repeat(1000) + message(200).repeat(20), limits).condition).to.equal(undefined);
    });

    it('takes elements nested to maxDepth and no deeper', () => {
      const limits = { ...LIMITS, maxDepth: 5 };
      const nest = (depth: number): string => '<a>'.repeat(depth) + '</a>'.repeat(depth);
      expect(hearAll(HEADER + nest(5).repeat(2), limits).condition).to.equal(undefined);
      expect(hearAll(HEADER + '<a><b/>' + '<a>'.repeat(3) + '<b/>', limits).condition).to.equal(undefined);
      const { condition, text } = hearAll(HEADER + nest(6), limits);
      expect(condition).to.equal('policy-violation');
      expect(text).to.contain('deep');
    });

    it('takes maxAttributes attributes on one element, declarations among them, and no more', () => {
      const limits = { ...LIMITS, maxAttributes: 4 };
      const few = "<a b='' xmlns:c='urn:c' c:d='' xmlns='e'><f g='' h='' i='' j=''/></a>";
      expect(hearAll(HEADER + few.repeat(2), limits).condition).to.equal(undefined);
      for (const many of ["<a b='' c='' d='' e='' f=''/>", "<a b=''><c d='' e='' f='' g='' xmlns:h='urn:h'/></a>"]) {
        const { condition, text } = hearAll(HEADER + many, limits);
        expect(condition).to.equal('policy-violation');
        expect(text).to.contain('attributes');
      }
    });

    it('holds for a document too', () => {
      expect(documentCondition(message(200), { ...LIMITS, maxBytes: 200 })).to.equal(undefined);
      expect(documentCondition(message(201), { ...LIMITS, maxBytes: 200 })).to.equal('policy-violation');
      expect(documentCondition('<a><b><c/></b></a>', { ...LIMITS, maxDepth: 2 })).to.equal('policy-violation');
    });
  });
});
