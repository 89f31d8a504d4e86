import { expect } from 'chai';
import fc from 'fast-check';
import { ContentHash } from '../../../server/routing/content-hash.ts';

function hashOf(pieces: readonly string[], hash = new ContentHash()): { first: number; second: number } {
  hash.begin();
  for (const piece of pieces) hash.takeBytes(piece);
  return hash.end();
}

describe('the hash of a content', () => {
  const bytes = fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)) });

  it('is the same however the content is cut, and whatever was hashed before', () => {
    const hash = new ContentHash();
    fc.assert(
      fc.property(fc.array(bytes), (pieces) => {
        expect(hashOf(pieces, hash)).to.deep.equal(hashOf([pieces.join('')]));
      }),
    );
    const long = 'But soft! What light through yonder window breaks? '.repeat(500);
    expect(hashOf([long.slice(0, 4000), long.slice(4000, 4097), long.slice(4097)])).to.deep.equal(hashOf([long]));
  });

  it('is that of its UTF-8 where it comes as text', () => {
    const hash = new ContentHash();
    const text = fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('é'.repeat(1400), 'x'.repeat(4096), '\ud800'));
    fc.assert(
      fc.property(fc.array(text, { maxLength: 4 }), (texts) => {
        hash.begin();
        for (const piece of texts) hash.takeText(piece);
        const bytes = texts.map((piece) => Buffer.from(piece, 'utf8').toString('latin1'));
        expect(hash.end()).to.deep.equal(hashOf(bytes));
      }),
    );
  });

  // Stored with what was sent: another hash would take what a client sends again after an update for new.
  it('is what earlier versions have stored', () => {
    const stored: [string, number, number][] = [
      ['', 2166202364, 275646681],
      ['Romeo', 87069537, 2215318172],
      ['Giulietta è il sole', 393586041, 2438009806],
      ['x'.repeat(10_000), 466088140, 2092733971],
    ];
    const hash = new ContentHash();
    for (const [text, first, second] of stored) {
      hash.begin();
      hash.takeText(text);
      expect(hash.end(), text.slice(0, 20)).to.deep.equal({ first, second });
    }
  });

  it('differs where one byte does, at either end or far behind, in both halves', () => {
    const text = 'O Romeo, Romeo! wherefore art thou Romeo? '.repeat(300);
    const { first, second } = hashOf([text]);
    for (const at of [0, 1, 2, 3, 4, 4095, 4096, text.length - 1]) {
      const other = hashOf([`${text.slice(0, at)}~${text.slice(at + 1)}`]);
      expect(other.first, `first half, byte ${at}`).to.not.equal(first);
      expect(other.second, `second half, byte ${at}`).to.not.equal(second);
    }
    expect(hashOf([`${text}\0`])).to.not.deep.equal({ first, second });
    expect(hashOf([''])).to.not.deep.equal(hashOf(['\0']));
  });
});
