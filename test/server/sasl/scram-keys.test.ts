import { expect } from 'chai';
import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto';

import { passwordForms } from '../../../server/sasl/password-forms.ts';
import { deriveCredentials, SCRAM_HASHES } from '../../../server/sasl/scram-keys.ts';
import { PrecisError } from '../../../stanzas/precis.ts';

async function rejectionOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => undefined,
    (error: unknown) => error,
  );
}

describe('deriveCredentials', () => {
  it('keeps the keys of RFC 5802 3 for every hash, and each its own salt', async () => {
    const credentials = await deriveCredentials('parting is such sweet sorrow', {
      iterations: 4096,
      random: randomBytes,
    });
    const salts = new Set<string>();
    for (const hash of SCRAM_HASHES) {
      const { salt, iterations, storedKey, serverKey } = credentials[hash];
      const digest = hash.replace('SHA-', 'sha');
      const length = createHash(digest).digest().length;
      const salted = pbkdf2Sync('parting is such sweet sorrow', salt, 4096, length, digest);
      const clientKey = createHmac(digest, salted).update('Client Key').digest();
      expect(iterations).to.equal(4096);
      expect(Buffer.from(storedKey)).to.deep.equal(createHash(digest).update(clientKey).digest());
      expect(Buffer.from(serverKey)).to.deep.equal(createHmac(digest, salted).update('Server Key').digest());
      salts.add(Buffer.from(salt).toString('hex'));
    }
    expect(salts.size).to.equal(3);
  });

  it('enforces OpaqueString: a composed and a decomposed password are one (RFC 8265 4.2)', async () => {
    const random = (length: number): Buffer => Buffer.alloc(length, 7);
    const composed = await deriveCredentials('fianc\u00e9', { iterations: 4096, random });
    const decomposed = await deriveCredentials('fiance\u0301', { iterations: 4096, random });
    expect(composed).to.deep.equal(decomposed);
  });

  it('refuses a password that OpaqueString does not allow', async () => {
    expect(await rejectionOf(deriveCredentials('', { random: randomBytes }))).to.be.instanceOf(PrecisError);
    expect(await rejectionOf(deriveCredentials('a\u0007b', { random: randomBytes }))).to.be.instanceOf(PrecisError);
  });

  it('refuses a password longer than PLAIN could carry', async () => {
    const long = 'x'.repeat(1024);
    expect(await rejectionOf(deriveCredentials(long, { random: randomBytes }))).to.be.instanceOf(RangeError);
  });

  it('refuses fewer than 4096 iterations (RFC 7677 4)', async () => {
    expect(await rejectionOf(deriveCredentials('x', { iterations: 4095, random: randomBytes }))).to.be.instanceOf(
      RangeError,
    );
  });
});

describe('passwordForms', () => {
  const table: readonly [string, string, readonly string[]][] = [
    ['ASCII has one', 'pencil', ['pencil']],
    ['so has what NFC and NFKC agree on', 'caf\u00e9', ['caf\u00e9']],
    ['a non-ASCII space becomes U+0020 in both', 'a\u00a0b', ['a b']],
    ['a ligature has two', '\ufb01end', ['\ufb01end', 'fiend']],
    ['RFC 4013 3: the feminine ordinal', '\u00aa', ['\u00aa', 'a']],
    ['an emoji is unassigned in Unicode 3.2, and passes in a query', '\u{1f339}', ['\u{1f339}']],
  ];
  for (const [title, password, forms] of table) {
    it(title, async () => {
      expect(await passwordForms(password)).to.deep.equal(forms);
    });
  }
});
