import { expect } from 'chai';
import { createHmac } from 'node:crypto';

import { hmacOf } from '../../../server/sasl/hmac.ts';

describe('hmacOf', () => {
  // RFC 2202 3 and RFC 4231 4: keys shorter than a block and longer than one.
  const bytes = (byte: number, length: number): Buffer => Buffer.alloc(length, byte);
  const LONG = 'Test Using Larger Than Block-Size Key - Hash Key First';
  const vectors = [
    ['sha1', bytes(0x0b, 20), 'Hi There', 'b617318655057264e28bc0b6fb378c8ef146be00'],
    ['sha1', Buffer.from('Jefe'), 'what do ya want for nothing?', 'effcdf6ae5eb2fa2d27416d5f184df9c259a7c79'],
    ['sha1', bytes(0xaa, 80), LONG, 'aa4ae5e15272d00e95705637ce8a3b55ed402112'],
    ['sha256', bytes(0x0b, 20), 'Hi There', 'b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7'],
    ['sha256', bytes(0xaa, 131), LONG, '60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54'],
    [
      'sha512',
      bytes(0xaa, 131),
      LONG,
      '80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f352' +
        '6b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8b915a985d786598',
    ],
  ] as const;
  for (const [digest, key, text, expected] of vectors) {
    it(`${digest}, a key of ${key.length} bytes`, () => {
      expect(hmacOf(digest, key, text).toString('hex')).to.equal(expected);
    });
  }

  it('is that of node:crypto for every length of key around a block, and for text beyond ASCII', () => {
    for (const digest of ['sha1', 'sha256', 'sha512'] as const) {
      for (const length of [0, 1, 20, 63, 64, 65, 127, 128, 129, 300]) {
        const key = Buffer.from(Array.from({ length }, (_, index) => (index * 7 + length) & 0xff));
        const text = `Ἰουλιέτα ${length}`;
        expect(hmacOf(digest, key, text)).to.deep.equal(createHmac(digest, key).update(text, 'utf8').digest());
      }
    }
  });

  it('leaves the key as it was', () => {
    const key = Buffer.from('wherefore art thou');
    hmacOf('sha1', key, 'Romeo');
    expect(key.toString()).to.equal('wherefore art thou');
  });
});
