import { createPrivateKey, randomBytes, X509Certificate, type KeyObject } from 'node:crypto';
import { chmod, open, readFile, rename, rm, stat } from 'node:fs/promises';

import type { Log } from '../server/log.ts';

/** A certificate and the file of its private key. */
export interface KeyPairFiles {
  readonly certificateFile: string;
  readonly keyFile: string;
}

/** Reads a certificate; undefined where there is none that can be used. @throws Error where the file cannot be read */
export async function readCertificate(file: string): Promise<X509Certificate | undefined> {
  return await readUsable(file, (bytes) => new X509Certificate(bytes));
}

/**
 * Reads the private key of a certificate; undefined where there is none that belongs to it. A key that others may read
 * is closed to them.
 * @throws Error where the file cannot be read
 */
export async function readKeyOf(
  certificate: X509Certificate,
  file: string,
  log: Pick<Log, 'warn'>,
): Promise<KeyObject | undefined> {
  const key = await readUsable(file, (bytes) => createPrivateKey(bytes));
  if (key === undefined || !certificate.checkPrivateKey(key)) return undefined;
  if (((await stat(file)).mode & 0o077) !== 0) {
    log.warn({ file }, 'a private key was open to other users of this machine; it is closed to them now');
    await chmod(file, 0o600);
  }
  return key;
}

async function readUsable<T>(file: string, parse: (bytes: Buffer) => T): Promise<T | undefined> {
  let bytes: Buffer;
  try {
    bytes = await readFile(file);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    const advice = 'make it readable for the user Posthorn runs as, or remove it to have it made anew';
    throw new Error(`cannot read ${file} (${codeOf(error)}): ${advice}`, { cause: error });
  }
  try {
    return parse(bytes);
  } catch {
    return undefined;
  }
}

/**
 * Writes both files, each whole or not at all: a crash between the two leaves a key that does not belong to its
 * certificate, which is found and mended at the next start.
 * @throws Error where they cannot be written
 */
export async function writeKeyPair(files: KeyPairFiles, certificatePem: string, key: KeyObject): Promise<void> {
  await writeWhole(files.keyFile, key.export({ type: 'pkcs8', format: 'pem' }), 0o600);
  await writeWhole(files.certificateFile, certificatePem, 0o644);
}

async function writeWhole(file: string, content: string | Buffer, mode: number): Promise<void> {
  const temporary = `${file}.${randomBytes(6).toString('hex')}.new`;
  try {
    const handle = await open(temporary, 'wx', mode);
    try {
      await handle.chmod(mode); // the process' umask may have taken bits away
      await handle.writeFile(content);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, file);
  } catch (error) {
    await rm(temporary, { force: true });
    const advice = 'make its folder writable for the user Posthorn runs as';
    throw new Error(`cannot write ${file} (${codeOf(error)}): ${advice}`, { cause: error });
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error);
}
