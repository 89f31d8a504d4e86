import { expect } from 'chai';
import { prepareDomainpart } from '../../stanzas/domainpart.ts';
import { JidError } from '../../stanzas/jid-error.ts';

describe('prepareDomainpart', () => {
  describe('prepares', () => {
    const prepared: readonly (readonly [string, string, string])[] = [
      // what, as given, as prepared
      ['a plain name', 'capulet.example', 'capulet.example'],
      ['an unqualified host name', 'localhost', 'localhost'],
      ['capitals', 'Capulet.EXAMPLE', 'capulet.example'],
      ['a final dot (RFC 7622 3.2)', 'capulet.example.', 'capulet.example'],
      ['a label that begins with a digit', '3com.example', '3com.example'],
      ['an inner hyphen', 'the-sun.example', 'the-sun.example'],
      ['hyphens anywhere but third and fourth', 'a-b--c.example', 'a-b--c.example'],
      ['an A-label (RFC 7622 3.2.1)', 'xn--mnchen-3ya.example', 'm\u00FCnchen.example'],
      ['an A-label in capitals', 'XN--MNCHEN-3YA.example', 'm\u00FCnchen.example'],
      ['a U-label', 'm\u00FCnchen.example', 'm\u00FCnchen.example'],
      ['a U-label with capitals', 'M\u00DCNCHEN.Example', 'm\u00FCnchen.example'],
      ['a U-label that is not NFC', 'mu\u0308nchen.example', 'm\u00FCnchen.example'],
      ['full-width letters and dots', '\uFF43\uFF41\uFF50\uFF0E\uFF25x\u3002example', 'cap.ex.example'],
      ['a sharp s, which stays (not transitional)', 'stra\u00DFe.example', 'stra\u00DFe.example'],
      [
        'a final sigma, which stays',
        '\u03B2\u03CC\u03BB\u03BF\u03C2.example',
        '\u03B2\u03CC\u03BB\u03BF\u03C2.example',
      ],
      ['Hebrew', '\u05D0\u05D1.example', '\u05D0\u05D1.example'],
      ['a joiner in its place', '\u0928\u094D\u200D.example', '\u0928\u094D\u200D.example'],
      ['a middle dot in its place', 'paral\u00B7lel.example', 'paral\u00B7lel.example'],
      ['an IPv4 address', '192.0.2.1', '192.0.2.1'],
      ['an IPv6 address', '[2001:DB8:0:0:0:0:0:1]', '[2001:db8::1]'],
      ['the loopback address', '[::1]', '[::1]'],
      // RFC 5952 4.1, 4.2.2, 4.2.3, 5
      ['leading zeros of an IPv6 address', '[2001:0db8::0001]', '[2001:db8::1]'],
      ['one field of zeros', '[2001:db8::1:1:1:1:1]', '[2001:db8:0:1:1:1:1:1]'],
      ['two runs of zeros', '[2001:db8:0:0:1:0:0:1]', '[2001:db8::1:0:0:1]'],
      ['an IPv4-mapped address', '[::FFFF:C000:0201]', '[::ffff:192.0.2.1]'],
      ['an IPv4-mapped address as it is', '[::ffff:192.0.2.1]', '[::ffff:192.0.2.1]'],
    ];
    for (const [what, given, expected] of prepared) {
      it(what, () => {
        expect(prepareDomainpart(given)).to.equal(expected);
        expect(prepareDomainpart(expected)).to.equal(expected);
      });
    }
  });

  describe('refuses', () => {
    const refused: readonly (readonly [string, string, RegExp])[] = [
      ['nothing', '', /empty/],
      ['a dot', '.', /empty/],
      ['two final dots', 'capulet.example..', /empty label/],
      ['an empty label', 'capulet..example', /empty label/],
      ['an empty first label', '.capulet.example', /empty label/],
      ['an empty label beside a U-label', 'm\u00FCnchen..example', /empty label|UTS 46/],
      ['a final dot that only mapping makes', 'm\u00FCnchen.example\u3002', /empty label|UTS 46/],
      ['a space', 'capulet .example', /letters, digits/],
      ['an underscore', 'cap_ulet.example', /letters, digits/],
      ['an at sign', 'juliet@capulet.example', /letters, digits/],
      ['a port', 'capulet.example:5222', /letters, digits/],
      ['a NUL', 'capulet\u0000.example', /letters, digits/],
      ['a hyphen at the start', '-capulet.example', /letters, digits/],
      ['a hyphen at the end', 'capulet-.example', /letters, digits/],
      ['a reserved label', 'ab--capulet.example', /letters, digits/],
      ['an A-label of nothing', 'xn--.example', /UTS 46/],
      ['an A-label that is ASCII', 'xn--capulet-.example', /UTS 46/],
      ['an A-label that does not decode', 'xn--99999999.example', /UTS 46/],
      ['an A-label of a capital', 'xn--mnchen-psa.example', /UTS 46/],
      ['a symbol, which UTS 46 would let pass (RFC 5892)', 'i\u2764.example', /U\+2764/],
      ['the same as an A-label', 'xn--i-7iq.example', /U\+2764/],
      ['a combining mark for symbols (RFC 5892 2.4)', 'a\u20D0.example', /IDNA2008/],
      ['a label that starts with a combining mark', '\u0301a.example', /UTS 46/],
      ['a middle dot out of its place', 'a\u00B7b.example', /U\+00B7/],
      ['a joiner out of its place', 'a\u200Db.example', /UTS 46/],
      ['mixed directions', 'a\u05D0.example', /UTS 46/],
      ['a left-to-right label beside a right-to-left one that breaks its own rule', '1\u0628.example', /UTS 46/],
      ['a full-width at sign', 'juliet\uFF20capulet.example', /UTS 46/],
      ['a full-width slash', 'capulet\uFF0Fexample', /UTS 46/],
      ['a lone surrogate', 'capulet\uD800.example', /UTS 46/],
      ['four numbers that are no address', '1.2.3.256', /number/],
      ['an address with leading zeros', '127.0.0.01', /number/],
      ['an address of one number', '2130706433', /number/],
      ['an address in hexadecimal', '0x7f000001', /number/],
      ['an address in full-width digits', '\uFF11\uFF12\uFF17.0.0.1', /number/],
      ['IPv6 without brackets', '2001:db8::1', /letters, digits/],
      ['IPv6 that is none', '[2001:db8::g]', /IPv6/],
      ['IPv4 in brackets', '[192.0.2.1]', /IPv6/],
      ['an open bracket', '[::1', /IPv6/],
      ['something after the bracket', '[::1]:5222', /IPv6/],
      ['a zone', '[fe80::1%25eth0]', /IPv6/],
      ['a zone without its escape', '[fe80::1%eth0]', /IPv6/],
    ];
    for (const [what, given, problem] of refused) {
      it(what, () => {
        expect(() => prepareDomainpart(given))
          .to.throw(JidError, problem)
          .with.property('part', 'domainpart');
      });
    }
  });

  describe('length (RFC 1034 3.1)', () => {
    const label = (length: number, character = 'a'): string => character.repeat(length);
    it('a label of 63 octets', () => {
      expect(prepareDomainpart(label(63))).to.have.length(63);
      expect(() => prepareDomainpart(label(64))).to.throw(JidError, /longer than 63/);
      expect(() => prepareDomainpart(`${label(64)}.example`)).to.throw(JidError, /longer than 63/);
    });
    it('a name of 253 octets, with or without the final dot', () => {
      const longest = [label(63), label(63), label(63), label(61)].join('.');
      expect(prepareDomainpart(longest)).to.equal(longest);
      expect(prepareDomainpart(`${longest}.`)).to.equal(longest);
      expect(() => prepareDomainpart(`${longest}a`)).to.throw(JidError, /longer than 253/);
    });
    it('a U-label is as long as its A-label', () => {
      const longest = `\u00FC${label(55)}`; // xn-- and -, the letters, then the three that encode the first
      expect(prepareDomainpart(`${longest}.example`)).to.equal(`${longest}.example`);
      expect(() => prepareDomainpart(`\u00FC${label(60)}.example`)).to.throw(JidError, /63|UTS 46/);
    });
  });
});
