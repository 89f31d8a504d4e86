import { expect } from 'chai';
import fc from 'fast-check';
import { attributeBytes, attributeValue } from '../../stanzas/byte-string.ts';
import { Jid } from '../../stanzas/jid.ts';

describe('stanzas/byte-string', () => {
  it('writes attribute values that mean the text in either kind of quotes, whatever the text', () => {
    const character = fc.oneof(
      fc.string({ unit: 'grapheme', minLength: 1, maxLength: 1 }),
      fc.constantFrom('&', '<', '>', "'", '"', '\t', '\n', '\r'),
    );
    fc.assert(
      fc.property(fc.array(character), (characters) => {
        const text = characters.join('');
        const bytes = attributeBytes(text);
        expect(bytes)
          .to.match(/^[\x20-\xff]*$/)
          .and.not.match(/[<>'"]/);
        expect(attributeValue(bytes)).to.equal(text);
      }),
      { numRuns: 500 },
    );
  });

  it('leaves plain text as it is, and escapes what is not', () => {
    expect(attributeBytes('romeo@montague.example/orchard #1')).to.equal('romeo@montague.example/orchard #1');
    expect(attributeBytes(`<a & 'b' "c">\n`)).to.equal('&lt;a &amp; &apos;b&apos; &quot;c&quot;&gt;&#xA;');
    expect(attributeBytes('ö')).to.equal('\xc3\xb6');
  });

  it('writes a JID the same way', () => {
    const jid = Jid.parse(`juliet@capulet.example/<balcony> ö`);
    expect(jid.attributeBytes).to.equal('juliet@capulet.example/&lt;balcony&gt; \xc3\xb6');
  });
});
