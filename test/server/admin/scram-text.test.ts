import { expect } from 'chai';

import { credentialsFromText, credentialsToText } from '../../../server/admin/scram-text.ts';

const base64 = (length: number): string => Buffer.alloc(length, 7).toString('base64');
const keysOf = (hash: string, length: number, iterations = 4096, salt = base64(16)): string =>
  `SCRAM-${hash}$${iterations}:${salt}$${base64(length)}:${base64(length)}`;

describe('server/admin/scram-text', () => {
  it('reads and writes the keys of every hash', () => {
    const texts = [keysOf('SHA-1', 20), keysOf('SHA-256', 32), keysOf('SHA-512', 64)];
    const credentials = credentialsFromText(texts);
    expect(Object.keys(credentials)).to.deep.equal(['SHA-1', 'SHA-256', 'SHA-512']);
    expect(credentials['SHA-256']?.salt).to.have.length(16);
    expect(credentialsToText(credentials)).to.deep.equal(texts);
  });

  for (const [what, texts] of Object.entries({
    'another mechanism': [keysOf('MD5', 16)],
    'keys of another length': [keysOf('SHA-256', 20)],
    'fewer than 4096 iterations (RFC 5802 5.1)': [keysOf('SHA-1', 20, 4095)],
    'more iterations than a login could take': [keysOf('SHA-1', 20, 10_000_001)],
    'a salt of no bytes': [keysOf('SHA-1', 20, 4096, '====')],
    'the same hash twice': [keysOf('SHA-1', 20), keysOf('SHA-1', 20)],
    'a password in their place': ['wherefore art thou'],
  })) {
    it(`refuses ${what}, and does not repeat it`, () => {
      expect(() => credentialsFromText(texts))
        .to.throw(RangeError)
        .with.property('message')
        .that.does.not.include('wherefore');
    });
  }
});
