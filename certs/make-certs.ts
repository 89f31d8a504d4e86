import { generateKeyPairSync, randomBytes, type KeyObject, type X509Certificate } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';

import type { Log } from '../server/log.ts';
import { fileNameOf, hasNames, namesOf } from './certificate-names.ts';
import { readCertificate, readKeyOf, writeKeyPair, type KeyPairFiles } from './key-pair-files.ts';

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
const AUTHORITY_DAYS = 3653;
const LEAF_DAYS = 397; // the most that some clients believe
const RENEW_BEFORE_MS = 30 * DAY_MS;
const AUTHORITY_NAME = 'Posthorn local authority';

/** A certificate made here. */
export interface MadeCertificate extends KeyPairFiles {
  readonly domain: string;
}

/** What ensureCertificates leaves behind. */
export interface EnsuredCertificates {
  /** The authority's certificate: a client that trusts it trusts the others. */
  readonly caFile: string;
  /** One for each domain, in their order. */
  readonly certificates: readonly MadeCertificate[];
  /** The certificate files that were written this time, the authority's among them. */
  readonly created: readonly string[];
}

/** Options of ensureCertificates. */
export interface CertificateRequest {
  readonly directory: string;
  readonly domains: readonly string[];
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly log: Pick<Log, 'info' | 'warn'>;
}

interface Authority {
  readonly name: string;
  readonly key: KeyObject;
  readonly publicKey: KeyObject;
  readonly notAfterMs: number;
}

/**
 * Sees to it that a local certification authority and a certificate for each domain are there, valid for 30 days at
 * least and with the right names; makes what is missing. The directory is made with mode 0700, keys have 0600.
 * @throws Error where a file cannot be read or written or is not ours to overwrite, JidError where a domain is none
 */
export async function ensureCertificates({
  directory,
  domains,
  now,
  log,
}: CertificateRequest): Promise<EnsuredCertificates> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const nowMs = now();
  const authorityFiles = filesOf(directory, 'local_ca'); // no domain has an underscore
  const certificates = domains.map((domain) => ({ domain, ...filesOf(directory, fileNameOf(domain)) }));
  const created: string[] = [];

  const authority = await readOwn(authorityFiles.certificateFile);
  const trusted = authority?.ca === true && lasts(authority, nowMs) ? authority : undefined;
  const unfit = [];
  for (const files of certificates) if (!(await isFit(files, trusted, nowMs, log))) unfit.push(files);

  if (unfit.length > 0 || trusted === undefined) {
    const key = trusted === undefined ? undefined : await readKeyOf(trusted, authorityFiles.keyFile, log);
    let signer = trusted === undefined || key === undefined ? undefined : authorityOf(trusted, key);
    let wanted: readonly MadeCertificate[] = unfit;
    if (signer === undefined) {
      signer = await makeAuthority(authorityFiles, nowMs);
      created.push(authorityFiles.certificateFile);
      wanted = certificates; // whatever the old authority signed, nobody trusts by the new one
      const fields = { file: authorityFiles.certificateFile };
      if (authority === undefined) log.info(fields, 'made a local certification authority');
      else log.warn(fields, 'made a new local certification authority: clients that trusted the old one must trust it');
    }
    for (const files of wanted) {
      await makeLeaf(files, signer, nowMs);
      created.push(files.certificateFile);
      log.info({ domain: files.domain, file: files.certificateFile }, 'made a certificate');
    }
  }
  return { caFile: authorityFiles.certificateFile, certificates, created };
}

function filesOf(directory: string, name: string): KeyPairFiles {
  return { certificateFile: join(directory, `${name}.pem`), keyFile: join(directory, `${name}.key`) };
}

/** Reads a certificate that was made here. @throws Error where somebody else's is in its place: it is not overwritten */
async function readOwn(file: string): Promise<X509Certificate | undefined> {
  const certificate = await readCertificate(file);
  if (certificate === undefined || certificate.issuer.startsWith(`CN=${AUTHORITY_NAME} `)) return certificate;
  const advice = 'move it to another folder and name it in tls.certificates';
  throw new Error(`${file} is a certificate that Posthorn did not make and would overwrite: ${advice}`);
}

/** Whether a certificate is in force and will be for a while. */
function lasts(certificate: X509Certificate, nowMs: number): boolean {
  return Date.parse(certificate.validFrom) <= nowMs && Date.parse(certificate.validTo) - nowMs >= RENEW_BEFORE_MS;
}

async function isFit(
  { domain, certificateFile, keyFile }: MadeCertificate,
  authority: X509Certificate | undefined,
  nowMs: number,
  log: Pick<Log, 'warn'>,
): Promise<boolean> {
  const certificate = await readOwn(certificateFile);
  if (authority === undefined || certificate === undefined || !lasts(certificate, nowMs)) return false;
  return (
    hasNames(certificate.subjectAltName, namesOf(domain)) &&
    certificate.checkIssued(authority) &&
    certificate.verify(authority.publicKey) &&
    (await readKeyOf(certificate, keyFile, log)) !== undefined
  );
}

function authorityOf(certificate: X509Certificate, key: KeyObject): Authority {
  return {
    name: certificate.subject.replace(/^CN=/, ''),
    key,
    publicKey: certificate.publicKey,
    notAfterMs: Date.parse(certificate.validTo),
  };
}

async function makeAuthority(files: KeyPairFiles, nowMs: number): Promise<Authority> {
  const { makeCertificate } = await import('./x509.ts');
  const { privateKey: key, publicKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const notBeforeMs = nowMs - HOUR_MS;
  const notAfterMs = notBeforeMs + AUTHORITY_DAYS * DAY_MS;
  // Told apart from its predecessors in a list of authorities.
  const name = `${AUTHORITY_NAME} ${randomBytes(3).toString('hex')}`;
  const content = { subject: name, issuer: name, serial: newSerial(), notBeforeMs, notAfterMs, publicKey };
  await writeKeyPair(files, makeCertificate({ ...content, issuerPublicKey: publicKey, names: undefined }, key), key);
  return { name, key, publicKey, notAfterMs };
}

async function makeLeaf(files: MadeCertificate, authority: Authority, nowMs: number): Promise<void> {
  const { makeCertificate } = await import('./x509.ts');
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const names = namesOf(files.domain);
  const notBeforeMs = nowMs - HOUR_MS; // clients' clocks may be slow
  const content = {
    subject: subjectOf(names.dns[0] ?? names.ip[0] ?? ''),
    issuer: authority.name,
    serial: newSerial(),
    notBeforeMs,
    notAfterMs: Math.min(notBeforeMs + LEAF_DAYS * DAY_MS, authority.notAfterMs),
    publicKey,
    issuerPublicKey: authority.publicKey,
    names,
  };
  await writeKeyPair(files, makeCertificate(content, authority.key), privateKey);
}

/** RFC 6120 13.7.1.1: never empty; RFC 5280 appendix A: a common name has at most 64 characters. */
function subjectOf(name: string): string {
  return name.length <= 64 ? name : 'XMPP server';
}

/** RFC 5280 4.1.2.2: positive, at most 20 octets; unpredictable. */
function newSerial(): Buffer {
  const serial = randomBytes(16);
  serial[0] = ((serial[0] ?? 0) & 0x3f) | 0x40;
  return serial;
}

async function main([directory, ...domains]: readonly string[]): Promise<void> {
  if (directory === undefined || directory.startsWith('-') || domains.length === 0) {
    process.stderr.write('usage: make-certs DIRECTORY DOMAIN...\n');
    process.exitCode = 2;
    return;
  }
  const log = { info: say, warn: say };
  const { caFile, certificates, created } = await ensureCertificates({
    directory: resolve(directory),
    domains,
    now: () => Date.now(),
    log,
  });
  if (created.length === 0) process.stdout.write('nothing to do: every certificate is there and valid\n');
  for (const { domain, certificateFile, keyFile } of certificates) {
    process.stdout.write(`${domain}: certificate ${certificateFile}, key ${keyFile}\n`);
  }
  process.stdout.write(`let clients trust ${caFile}\n`);
}

function say(_fields: unknown, text: string): void {
  process.stderr.write(`${text}\n`);
}

if (process.argv[1] !== undefined && import.meta.filename === resolve(process.argv[1])) {
  try {
    await main(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`make-certs: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  }
}
