import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto';
import { PASSWORD } from '../peers/accounts.ts';

interface DerivedKeys {
  readonly clientKey: Buffer;
  readonly storedKey: Buffer;
  readonly serverKey: Buffer;
}

/** The keys of PASSWORD by salt and rounds: accounts of the bench share them, so that PBKDF2 runs once. */
export class ScramKeyCache {
  readonly #known = new Map<string, DerivedKeys>();

  /** @param salt in base64 */
  keys(salt: string, iterations: number): DerivedKeys {
    const name = `${iterations} ${salt}`;
    let keys = this.#known.get(name);
    if (keys === undefined) {
      const salted = pbkdf2Sync(PASSWORD, Buffer.from(salt, 'base64'), iterations, 20, 'sha1');
      const clientKey = hmac(salted, 'Client Key');
      const storedKey = createHash('sha1').update(clientKey).digest();
      keys = { clientKey, storedKey, serverKey: hmac(salted, 'Server Key') };
      this.#known.set(name, keys);
    }
    return keys;
  }
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac('sha1', key).update(text).digest();
}

/** One login with SCRAM-SHA-1 (RFC 5802), without channel binding, in the base64 texts of RFC 6120 6. */
export class ScramLogin {
  readonly #cache: ScramKeyCache;
  readonly #firstBare: string;
  #serverSignature = '';

  constructor(user: string, cache: ScramKeyCache) {
    this.#cache = cache;
    this.#firstBare = `n=${user},r=${randomBytes(12).toString('base64')}`;
  }

  first(): string {
    return Buffer.from(`n,,${this.#firstBare}`).toString('base64');
  }

  /** The answer to the server's challenge. @throws Error where it is none */
  final(challenge: string): string {
    const serverFirst = Buffer.from(challenge, 'base64').toString();
    const parts = /^r=([^,]+),s=([^,]+),i=(\d+)/.exec(serverFirst);
    if (parts === null) throw new Error(`not a SCRAM challenge: ${serverFirst}`);
    const { clientKey, storedKey, serverKey } = this.#cache.keys(parts[2]!, Number(parts[3]));
    const withoutProof = `c=biws,r=${parts[1]!}`;
    const authMessage = `${this.#firstBare},${serverFirst},${withoutProof}`;
    const signature = hmac(storedKey, authMessage);
    const proof = Buffer.alloc(clientKey.length);
    for (let index = 0; index < proof.length; index++) proof[index] = clientKey[index]! ^ signature[index]!;
    this.#serverSignature = hmac(serverKey, authMessage).toString('base64');
    return Buffer.from(`${withoutProof},p=${proof.toString('base64')}`).toString('base64');
  }

  /** @throws Error where the server did not prove that it knows the account's keys */
  verify(outcome: string): void {
    if (Buffer.from(outcome, 'base64').toString() !== `v=${this.#serverSignature}`) {
      throw new Error('the server did not prove that it knows the password');
    }
  }
}
