import { createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { isIP } from 'node:net';
import { domainToASCII } from 'node:url';

import { stampOfNow } from './file-watch.ts';

/** A certificate, its key, and the domains they are shown for. */
export interface CertificateEntry {
  /** Domains, and names such as `*.capulet.example` for the domains one level below. */
  readonly domains: readonly string[];
  /** PEM: the certificate of the server first, its intermediates after it. */
  readonly certificateFile: string;
  /** PEM, without a passphrase. */
  readonly keyFile: string;
}

/** A certificate that cannot be used; the message names the file and says what to do. */
export class CertificateError extends Error {
  override readonly name = 'CertificateError';
}

/** A certificate read from its files. */
export interface Certificate {
  readonly entry: CertificateEntry;
  readonly chainPem: string;
  readonly keyPem: string;
  /** The server's own certificate. */
  readonly leaf: X509Certificate;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** The state of the two files when they were read (`stampOfNow`). */
  readonly stamp: string;
}

/** Reads a certificate and its key. @throws CertificateError */
export function readCertificate(entry: CertificateEntry): Certificate {
  const { certificateFile, keyFile } = entry;
  const stamp = stampOfNow([certificateFile, keyFile]);
  const chainPem = readPem(certificateFile);
  const keyPem = readPem(keyFile);
  const leaf = parseLeaf(certificateFile, chainPem);
  const key = parseKey(keyFile, keyPem);
  if (!leaf.checkPrivateKey(key)) {
    const advice = 'name the key that the certificate was made with, and put the server certificate first in its file';
    throw new CertificateError(`the key ${keyFile} does not belong to the certificate ${certificateFile}: ${advice}`);
  }
  const notBeforeMs = Date.parse(leaf.validFrom);
  return { entry, chainPem, keyPem, leaf, notBeforeMs, notAfterMs: Date.parse(leaf.validTo), stamp };
}

function readPem(file: string): string {
  try {
    return readFileSync(file, 'latin1');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    const advice =
      code === 'ENOENT'
        ? 'put it there or correct tls.certificates'
        : code === 'EACCES'
          ? 'make it readable for the user Posthorn runs as'
          : 'see that it is a readable file';
    throw new CertificateError(`cannot read ${file} (${code}): ${advice}`, { cause: error });
  }
}

function parseLeaf(file: string, pem: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch (error) {
    throw new CertificateError(`${file} holds no PEM certificate: name a file that begins with one`, { cause: error });
  }
}

function parseKey(file: string, pem: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch (error) {
    const locked = /-----BEGIN ENCRYPTED|Proc-Type: 4,ENCRYPTED/.test(pem);
    const problem = locked
      ? 'is locked with a passphrase: remove it with "openssl pkey"'
      : 'holds no PEM private key: name a file that does';
    throw new CertificateError(`${file} ${problem}`, { cause: error });
  }
}

const WARN_BEFORE_MS = 14 * 86_400_000;

/** Something wrong with a certificate that can be used all the same. */
export interface Concern {
  /** The certificate's file, or its key's. */
  readonly file: string;
  readonly problem: string;
  readonly advice: string;
  /** Clients refuse it now. */
  readonly isFatal: boolean;
}

/** A concern as one sentence. */
export function concernText({ file, problem, advice }: Concern): string {
  return `${file} ${problem}: ${advice}`;
}

/** What is wrong with a certificate that can be used all the same, each with what to do. */
export function concernsOf({ entry, leaf, notBeforeMs, notAfterMs }: Certificate, nowMs: number): Concern[] {
  const { certificateFile: file, keyFile, domains } = entry;
  const concerns: Concern[] = [];
  if (nowMs > notAfterMs) {
    concerns.push({
      file,
      problem: `expired on ${day(notAfterMs)}`,
      advice: 'clients refuse it; renew it',
      isFatal: true,
    });
  } else if (notAfterMs - nowMs < WARN_BEFORE_MS) {
    concerns.push({ file, problem: `expires on ${day(notAfterMs)}`, advice: 'renew it', isFatal: false });
  }
  if (nowMs < notBeforeMs) {
    const advice = 'check the clock of this machine';
    concerns.push({ file, problem: `is valid only from ${day(notBeforeMs)}`, advice, isFatal: true });
  }
  for (const domain of domains) {
    if (covers(leaf, domain)) continue;
    const advice = 'clients refuse it there; have it issued for that name too';
    concerns.push({ file, problem: `does not name ${domain}`, advice, isFatal: true });
  }
  const openTo = openToOthers(keyFile);
  if (openTo !== undefined) {
    concerns.push({ file: keyFile, problem: `can be read by ${openTo}`, advice: 'chmod 600 it', isFatal: false });
  }
  return concerns;
}

/** Whether clients that ask for this domain, or for domains one level below it, accept the certificate (RFC 6125 6.4). */
function covers(leaf: X509Certificate, domain: string): boolean {
  const address = domain.replace(/^\[(.*)\]$/, '$1');
  if (isIP(address) !== 0) return leaf.checkIP(address) !== undefined;
  if (!domain.startsWith('*.')) return leaf.checkHost(domainToASCII(domain)) !== undefined;
  const below = domainToASCII(domain.slice(2));
  return leaf.checkHost(`any.${below}`) !== undefined;
}

function openToOthers(file: string): string | undefined {
  const mode = statSync(file, { throwIfNoEntry: false })?.mode ?? 0;
  if ((mode & 0o007) !== 0) return 'every user of this machine';
  return (mode & 0o070) !== 0 ? 'its group' : undefined;
}

function day(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}
