import { expect } from 'chai';
import fc from 'fast-check';
import { runInNewContext } from 'node:vm';
import { setFlagsFromString } from 'node:v8';
import {
  Jid,
  JidCache,
  JidError,
  type JidPart,
  prepareDomainpart,
  prepareLocalpart,
  prepareResourcepart,
  tryParseJid,
} from '../../stanzas/jid.ts';

function refusal(action: () => unknown): JidError {
  try {
    action();
  } catch (error) {
    if (error instanceof JidError) return error;
    throw error;
  }
  throw new Error('it was accepted');
}

describe('Jid', () => {
  describe('RFC 7622 3.5, table 1: legal JIDs', () => {
    // number, JID, localpart, domainpart, resourcepart as prepared
    const legal: readonly (readonly [number, string, string, string, string])[] = [
      [1, 'juliet@example.com', 'juliet', 'example.com', ''],
      [2, 'juliet@example.com/foo', 'juliet', 'example.com', 'foo'],
      [3, 'juliet@example.com/foo bar', 'juliet', 'example.com', 'foo bar'],
      [4, 'juliet@example.com/foo@bar', 'juliet', 'example.com', 'foo@bar'],
      [5, 'foo\\20bar@example.com', 'foo\\20bar', 'example.com', ''],
      [6, 'fussball@example.com', 'fussball', 'example.com', ''],
      [7, 'fu\u00DFball@example.com', 'fu\u00DFball', 'example.com', ''],
      [8, '\u03C0@example.com', '\u03C0', 'example.com', ''],
      [9, '\u03A3@example.com/foo', '\u03C3', 'example.com', 'foo'],
      [10, '\u03C3@example.com/foo', '\u03C3', 'example.com', 'foo'],
      [11, '\u03C2@example.com/foo', '\u03C2', 'example.com', 'foo'],
      [12, 'king@example.com/\u265A', 'king', 'example.com', '\u265A'],
      [13, 'example.com', '', 'example.com', ''],
      [14, 'example.com/foobar', '', 'example.com', 'foobar'],
      [15, 'a.example.com/b@example.net', '', 'a.example.com', 'b@example.net'],
    ];
    for (const [number, text, local, domain, resource] of legal) {
      it(`Example ${number}: <${text}>`, () => {
        const jid = Jid.parse(text);
        expect([jid.local, jid.domain, jid.resource]).to.deep.equal([local, domain, resource]);
      });
    }

    it('Examples 6 and 7 differ, 9 and 10 match, 11 matches neither', () => {
      const of = (number: number): Jid => Jid.parse(legal.find((row) => row[0] === number)![1]);
      expect(of(6).equals(of(7))).to.equal(false);
      expect(of(9).equals(of(10))).to.equal(true);
      expect(of(9).equals(of(11))).to.equal(false);
      expect(of(10).equals(of(11))).to.equal(false);
    });
  });

  describe('RFC 7622 3.5, table 2: strings that violate the rules', () => {
    const illegal: readonly (readonly [number, string, JidPart, RegExp])[] = [
      [16, '"juliet"@example.com', 'localpart', /"/],
      [17, 'foo bar@example.com', 'localpart', /U\+0020/],
      [18, 'juliet@example.com/ foo', 'resourcepart', /space/],
      [19, '@example.com/', 'localpart', /empty/],
      [20, 'henry\u2163@example.com', 'localpart', /U\+2163/],
      [21, '\u265A@example.com', 'localpart', /U\+265A/],
      [22, 'juliet@', 'domainpart', /empty/],
      [23, '/foobar', 'domainpart', /empty/],
    ];
    for (const [number, text, part, problem] of illegal) {
      it(`Example ${number}: <${text}>`, () => {
        const error = refusal(() => Jid.parse(text));
        expect(error.part).to.equal(part);
        expect(error.message).to.match(problem);
        expect(tryParseJid(text)).to.equal(undefined);
      });
    }

    it('Example 19 in its halves', () => {
      expect(refusal(() => Jid.parse('@example.com')).part).to.equal('localpart');
      expect(refusal(() => Jid.parse('example.com/')).part).to.equal('resourcepart');
    });
  });

  describe('separators (RFC 7622 3.1, 3.2)', () => {
    it('are found before any mapping makes new ones', () => {
      expect(Jid.parse('example.com/\uFF20\uFF0F').resource).to.equal('\uFF20\uFF0F');
      expect(refusal(() => Jid.parse('juliet\uFF20example.com')).part).to.equal('domainpart');
      expect(refusal(() => Jid.parse('a\uFF0Fb@example.com')).message).to.match(/holds \//);
      expect(refusal(() => Jid.parse('a\uFF20b@example.com')).message).to.match(/holds @/);
    });
    it('are the first slash and the first at sign before it', () => {
      expect(Jid.parse('juliet@example.com/a/b@c').resource).to.equal('a/b@c');
      expect(refusal(() => Jid.parse('juliet@capulet@example.com')).part).to.equal('domainpart');
    });
  });

  it('excludes the eight characters of RFC 7622 3.3.1 from localparts, and no other of ASCII but space and controls', () => {
    for (let code = 0; code < 0x80; code++) {
      const character = String.fromCharCode(code);
      const allowed = code > 0x20 && code < 0x7f && !'"&\'/:<>@'.includes(character);
      const prepare = (): string => prepareLocalpart(`juliet${character}`);
      if (allowed) expect(prepare()).to.equal(`juliet${character.toLowerCase()}`);
      else expect(refusal(prepare).part, character).to.equal('localpart');
    }
  });

  it('excludes only controls of ASCII from resourceparts, and keeps their case', () => {
    for (let code = 0; code < 0x80; code++) {
      const text = `Balcony${String.fromCharCode(code)}`;
      if (code >= 0x20 && code < 0x7f) expect(prepareResourcepart(text)).to.equal(text);
      else expect(refusal(() => prepareResourcepart(text)).part).to.equal('resourcepart');
    }
  });

  describe('length (RFC 7622 3.1, in octets after mapping)', () => {
    const cases: readonly (readonly [string, (text: string) => string, string])[] = [
      ['localpart of ASCII', prepareLocalpart, 'a'],
      ['localpart of ASCII that is mapped', prepareLocalpart, 'A'],
      ['localpart', prepareLocalpart, '\u4E00'],
      ['resourcepart of ASCII', prepareResourcepart, 'a'],
      ['resourcepart', prepareResourcepart, '\u265A'],
    ];
    for (const [name, prepare, character] of cases) {
      it(name, () => {
        const longest = character.repeat(1023 / Buffer.byteLength(character));
        expect(Buffer.byteLength(prepare(longest))).to.equal(1023);
        expect(refusal(() => prepare(longest + character)).message).to.match(/longer than 1023 octets/);
      });
    }
    it('counts what NFC leaves', () => {
      expect(prepareResourcepart('e\u0301'.repeat(511))).to.equal('\u00E9'.repeat(511)); // 1533 octets before
      refusal(() => prepareResourcepart('e\u0301'.repeat(512)));
    });
    it('a JID of three longest parts is accepted, and huge ones are refused without being prepared', () => {
      const domain = `${'d'.repeat(63)}.${'d'.repeat(63)}.${'d'.repeat(63)}.${'d'.repeat(61)}`;
      const jid = Jid.parse(`${'l'.repeat(1023)}@${domain}/${'r'.repeat(1023)}`);
      expect(jid.full).to.have.length(1023 + 1 + 253 + 1 + 1023);
      expect(refusal(() => Jid.parse('\u1F82'.repeat(5_000_000))).part).to.equal('jid');
      for (const prepare of [prepareLocalpart, prepareDomainpart, prepareResourcepart]) {
        expect(refusal(() => prepare('\u1F82'.repeat(5_000_000))).message.length).to.be.below(80);
      }
    });
  });

  it('has its parts, bare and full in every shape', () => {
    const shapes = [
      ['juliet@capulet.example/balcony', 'juliet@capulet.example', false],
      ['juliet@capulet.example', 'juliet@capulet.example', true],
      ['capulet.example/balcony', 'capulet.example', false],
      ['capulet.example', 'capulet.example', true],
    ] as const;
    for (const [text, bare, isBare] of shapes) {
      const jid = Jid.parse(text);
      expect(jid.full).to.equal(text);
      expect(String(jid)).to.equal(text);
      expect(jid.bare).to.equal(bare);
      expect(jid.isBare).to.equal(isBare);
      expect(jid.toBare().full).to.equal(bare);
      expect(jid.toBare()).to.equal(jid.toBare());
      expect(jid.toBare().equals(Jid.parse(bare))).to.equal(true);
      expect(Jid.of(jid.local, jid.domain, jid.resource).equals(jid)).to.equal(true);
      expect(jid.equals(Jid.parse('romeo@montague.example'))).to.equal(false);
    }
  });

  it('of() prepares its parts and lets none smuggle a separator', () => {
    expect(Jid.of('JULIET', 'Capulet.EXAMPLE.', 'Balcony').full).to.equal('juliet@capulet.example/Balcony');
    expect(Jid.of('', 'capulet.example').full).to.equal('capulet.example');
    expect(refusal(() => Jid.of('juliet@capulet.example/x', 'capulet.example')).part).to.equal('localpart');
    expect(refusal(() => Jid.of('juliet', 'capulet.example/x')).part).to.equal('domainpart');
    expect(refusal(() => Jid.of('juliet', '')).part).to.equal('domainpart');
  });

  it('withResource() prepares the resourcepart and refuses an empty one', () => {
    const bare = Jid.parse('juliet@capulet.example');
    expect(bare.withResource('Chamber\u00A0door').full).to.equal('juliet@capulet.example/Chamber door');
    expect(bare.withResource('balcony').withResource('garden').full).to.equal('juliet@capulet.example/garden');
    expect(refusal(() => bare.withResource('')).part).to.equal('resourcepart');
  });

  it('says what is wrong without repeating what a stranger sent', () => {
    const error = refusal(() => Jid.parse(`${'romeo '.repeat(100)}@montague.example`));
    expect(error.name).to.equal('JidError');
    expect(error.message).to.equal('localpart holds U+0020, which the IdentifierClass excludes');
  });

  it('holds on to no string it was parsed from', () => {
    setFlagsFromString('--expose-gc');
    const collectGarbage = runInNewContext('gc') as () => void;
    const cache = new JidCache(100);
    const parse = (index: number): Jid[] => {
      const stanza = Buffer.alloc(500_000, `to='Juliet.${index}.is@the-sun.example/over yonder window' `).toString(
        'latin1',
      );
      const [, to = ''] = /'(.*?)'/.exec(stanza) ?? [];
      const domain = to.slice(to.indexOf('@') + 1, to.indexOf('/'));
      return [Jid.parse(to), Jid.parse(to).toBare(), Jid.parse(domain), Jid.of('', domain), cache.parse(to)];
    };
    collectGarbage();
    const before = process.memoryUsage().heapUsed;
    const jids = Array.from({ length: 40 }, (_, index) => parse(index));
    collectGarbage();
    const grown = process.memoryUsage().heapUsed - before;
    expect(jids.flat()).to.have.length(200);
    expect(grown).to.be.below(5_000_000); // 20 MB of stanzas
  });

  describe('properties', () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 40 }),
      fc.string({ unit: 'grapheme', maxLength: 40 }),
      // lone surrogates, and code points that rules are about
      fc
        .array(
          fc
            .oneof(
              fc.integer({ min: 0, max: 0xffff }),
              fc
                .constantFrom(
                  ...'@/.aA1-\u00DF\u03A3\u0130\u0345\u200C\u200D\u094D\u0628\u05D0\u0661\u06F1\u30FB\u30AB\uFF41\u1E9E\u3002\uD800\uDC00\u0301\u212A\u1FB3'.split(
                    '',
                  ),
                )
                .map((character) => character.charCodeAt(0)),
            )
            .map((unit) => String.fromCharCode(unit)),
          { maxLength: 30 },
        )
        .map((units) => units.join('')),
    );
    const address = fc.tuple(text, text, text).map(([local, domain, resource]) => `${local}@${domain}/${resource}`);

    it('parsing throws JidError or nothing, and is idempotent', () => {
      fc.assert(
        fc.property(fc.oneof(text, address), (input) => {
          const jid = tryParseJid(input);
          if (jid === undefined) return;
          const again = Jid.parse(jid.full);
          expect(again).to.deep.equal(jid);
          expect(again.equals(jid)).to.equal(true);
          expect(Jid.of(jid.local, jid.domain, jid.resource).full).to.equal(jid.full);
        }),
        { numRuns: 2000 },
      );
    });

    for (const [name, prepare] of [
      ['localpart', prepareLocalpart],
      ['domainpart', prepareDomainpart],
      ['resourcepart', prepareResourcepart],
    ] as const) {
      it(`preparing a ${name} throws JidError or nothing, is idempotent and within 1 to 1023 octets`, () => {
        fc.assert(
          fc.property(text, (input) => {
            const prepared = accept(prepare, input);
            if (prepared === undefined) return;
            expect(prepare(prepared)).to.equal(prepared);
            expect(Buffer.byteLength(prepared)).to.be.within(1, 1023);
            expect(Buffer.from(prepared).toString()).to.equal(prepared); // well-formed UTF-16
          }),
          { numRuns: 2000 },
        );
      });
    }

    function accept(prepare: (input: string) => string, input: string): string | undefined {
      try {
        return prepare(input);
      } catch (error) {
        if (error instanceof JidError) return undefined;
        throw error;
      }
    }

    it('the quick way for ASCII and the way for all of Unicode agree', () => {
      const ascii = fc.string({ unit: 'binary-ascii', minLength: 1, maxLength: 12 });
      const label = fc.string({ unit: fc.constantFrom(...Array.from('abcXYZ019-.xn')), minLength: 1, maxLength: 12 });
      fc.assert(
        fc.property(ascii, label, (part, name) => {
          for (const prepare of [prepareLocalpart, prepareResourcepart]) {
            const quick = accept(prepare, part);
            expect(accept(prepare, `${part}\u00DF`)).to.equal(quick === undefined ? undefined : `${quick}\u00DF`);
          }
          const quick = accept(prepareDomainpart, `${name}.example`);
          const thorough = accept(prepareDomainpart, `${name}.stra\u00DFe`);
          expect(thorough).to.equal(quick?.replace(/example$/, 'stra\u00DFe'));
          expect(accept(prepareDomainpart, `${name}.example.`)).to.equal(quick);
          expect(accept(prepareDomainpart, `${name.toLowerCase()}.example`)).to.equal(quick);
        }),
        { numRuns: 2000 },
      );
    });
  });
});

describe('JidCache', () => {
  it('gives the same object for the same text, and equal ones for other spellings', () => {
    const cache = new JidCache(10);
    const jid = cache.parse('juliet@capulet.example');
    expect(cache.parse('juliet@capulet.example')).to.equal(jid);
    expect(cache.parse('Juliet@capulet.example').equals(jid)).to.equal(true);
    expect(cache.parse('Juliet@capulet.example')).to.equal(cache.parse('Juliet@capulet.example'));
  });

  it('throws JidError every time', () => {
    const cache = new JidCache(10);
    refusal(() => cache.parse('@capulet.example'));
    refusal(() => cache.parse('@capulet.example'));
  });

  it('forgets what nobody asks for and keeps what somebody does', () => {
    const cache = new JidCache(4);
    const romeo = cache.parse('romeo@montague.example');
    const nurse = cache.parse('nurse@capulet.example');
    for (let index = 0; index < 20; index++) {
      cache.parse(`servant-${index}@capulet.example`);
      expect(cache.parse('romeo@montague.example')).to.equal(romeo);
    }
    expect(cache.parse('nurse@capulet.example')).to.not.equal(nurse);
    expect(cache.parse('nurse@capulet.example').equals(nurse)).to.equal(true);
  });

  it('does not keep the longest addresses, with which a stranger could fill it', () => {
    const cache = new JidCache(10);
    const long = `romeo@montague.example/${'o'.repeat(600)}`;
    expect(cache.parse(long)).to.not.equal(cache.parse(long));
    expect(cache.parse(long).full).to.equal(long);
  });
});
