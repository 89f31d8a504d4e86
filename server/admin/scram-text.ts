import type { Credentials, ScramHash, ScramKeys } from '../../storage/accounts.ts';

const FORM = /^SCRAM-(SHA-1|SHA-256|SHA-512)\$(\d{1,9}):([\w+/=]{4,400})\$([\w+/=]{4,100}):([\w+/=]{4,100})$/;
const KEY_BYTES: Readonly<Record<ScramHash, number>> = { 'SHA-1': 20, 'SHA-256': 32, 'SHA-512': 64 };
const MOST_ITERATIONS = 10_000_000;
const MOST_SALT_BYTES = 255;

/** SCRAM keys as text, in the form of RFC 5803: `SCRAM-SHA-1$iterations:salt$StoredKey:ServerKey`, one for each hash. */
export function credentialsToText(credentials: Credentials): string[] {
  return Object.entries(credentials).map(
    ([hash, { salt, iterations, storedKey, serverKey }]) =>
      `SCRAM-${hash}$${iterations}:${base64(salt)}$${base64(storedKey)}:${base64(serverKey)}`,
  );
}

/** Reads such texts. @throws RangeError whose message holds none of their content */
export function credentialsFromText(texts: readonly string[]): Credentials {
  const credentials: { [hash in ScramHash]?: ScramKeys } = {};
  for (const text of texts) {
    const [, hash, count, salt = '', stored = '', server = ''] = FORM.exec(text) ?? [];
    if (!isHash(hash))
      throw new RangeError('SCRAM keys must look like SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey');
    const keys = {
      salt: bytes(salt),
      iterations: Number(count),
      storedKey: bytes(stored),
      serverKey: bytes(server),
    };
    // RFC 5802 5.1: 4096 iterations at least.
    if (keys.iterations < 4096 || keys.iterations > MOST_ITERATIONS) {
      throw new RangeError(`SCRAM iterations must be from 4096 to ${MOST_ITERATIONS}`);
    }
    if (keys.salt.length === 0 || keys.salt.length > MOST_SALT_BYTES) {
      throw new RangeError(`a SCRAM salt has 1 to ${MOST_SALT_BYTES} bytes`);
    }
    if (keys.storedKey.length !== KEY_BYTES[hash] || keys.serverKey.length !== KEY_BYTES[hash]) {
      throw new RangeError(`the keys of SCRAM-${hash} have ${KEY_BYTES[hash]} bytes each`);
    }
    if (credentials[hash] !== undefined) throw new RangeError(`SCRAM-${hash} is there twice`);
    credentials[hash] = keys;
  }
  return credentials;
}

function isHash(text: string | undefined): text is ScramHash {
  return text !== undefined && Object.hasOwn(KEY_BYTES, text);
}

function base64(value: Uint8Array): string {
  return Buffer.from(value).toString('base64');
}

function bytes(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, 'base64'));
}
