import { createHash, sign, type KeyObject } from 'node:crypto';
import { createRequire } from 'node:module';
import type forge from 'node-forge';

import { ipOctets, type CertificateNames } from './certificate-names.ts';

// node-forge builds certificates with RSA keys only, so its ASN.1 is used alone: two thirds of its memory, and no key of
// ours in its hands. Whoever imports this file pays for it, so only who makes a certificate does.
const asn1 = createRequire(import.meta.url)('node-forge/lib/asn1.js') as Pick<
  typeof forge.asn1,
  'toDer' | 'oidToDer' | 'dateToUtcTime' | 'dateToGeneralizedTime'
> & { create(tagClass: number, tag: number, constructed: boolean, value: string | Asn1[]): Asn1 };
type Asn1 = forge.asn1.Asn1;

const UNIVERSAL = 0x00;
const CONTEXT_SPECIFIC = 0x80;
/** Universal tags (X.680 8.4). */
const TAG = {
  BOOLEAN: 1,
  INTEGER: 2,
  BIT_STRING: 3,
  OCTET_STRING: 4,
  OBJECT_IDENTIFIER: 6,
  UTF8_STRING: 12,
  SEQUENCE: 16,
  SET: 17,
  IA5_STRING: 22,
  UTC_TIME: 23,
  GENERALIZED_TIME: 24,
} as const;

/** What a certificate is to say (RFC 5280 4.1.2). Its keys are ECDSA P-256. */
export interface CertificateContent {
  readonly subject: string;
  readonly issuer: string;
  /** At most 20 octets, the first neither zero nor above 0x7f. */
  readonly serial: Buffer;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  readonly publicKey: KeyObject;
  readonly issuerPublicKey: KeyObject;
  /** The names of a server; undefined makes a certification authority. */
  readonly names: CertificateNames | undefined;
}

/** Makes an X.509 version 3 certificate, signed with the issuer's key. Returns PEM. */
export function makeCertificate(content: CertificateContent, issuerKey: KeyObject): string {
  const toBeSigned = sequence([
    tagged(0, true, [integer(Buffer.from([2]))]),
    integer(content.serial),
    ECDSA_WITH_SHA256,
    name(content.issuer),
    sequence([time(content.notBeforeMs), time(content.notAfterMs)]),
    name(content.subject),
    sequence([sequence([oid('1.2.840.10045.2.1'), oid('1.2.840.10045.3.1.7')]), bits(0, point(content.publicKey))]),
    tagged(3, true, [sequence(extensions(content))]),
  ]);
  const signature = sign('sha256', der(toBeSigned), issuerKey);
  return pem('CERTIFICATE', der(sequence([toBeSigned, ECDSA_WITH_SHA256, bits(0, signature)])));
}

function extensions({ names, publicKey, issuerPublicKey }: CertificateContent): Asn1[] {
  const identifiers = [
    extension('2.5.29.14', false, octets(keyIdentifier(publicKey))),
    extension('2.5.29.35', false, sequence([tagged(0, false, binary(keyIdentifier(issuerPublicKey)))])),
  ];
  if (names === undefined) {
    return [
      // RFC 6120 13.7.1.1: an authority has cA and, among its key usages, digitalSignature
      extension('2.5.29.19', true, sequence([boolean(true), integer(Buffer.from([0]))])),
      extension('2.5.29.15', true, bits(1, Buffer.from([0x86]))), // digitalSignature, keyCertSign, cRLSign
      ...identifiers,
    ];
  }
  return [
    extension('2.5.29.19', true, sequence([])),
    extension('2.5.29.15', true, bits(7, Buffer.from([0x80]))), // digitalSignature
    // Servers are clients of other servers.
    extension('2.5.29.37', false, sequence([oid('1.3.6.1.5.5.7.3.1'), oid('1.3.6.1.5.5.7.3.2')])),
    ...identifiers,
    extension('2.5.29.17', false, sequence(generalNames(names))),
  ];
}

function generalNames({ dns, ip, srv }: CertificateNames): Asn1[] {
  return [
    ...dns.map((text) => tagged(2, false, text)),
    ...ip.map((address) => tagged(7, false, binary(Buffer.from(ipOctets(address))))),
    // RFC 4985 2: id-on-dnsSRV
    ...srv.map((text) =>
      tagged(0, true, [oid('1.3.6.1.5.5.7.8.7'), tagged(0, true, [primitive(TAG.IA5_STRING, text)])]),
    ),
  ];
}

/** RFC 7093 2 (1): the first 160 bits of the SHA-256 of the public key. */
function keyIdentifier(publicKey: KeyObject): Buffer {
  return createHash('sha256').update(point(publicKey)).digest().subarray(0, 20);
}

/** The public key as an uncompressed point (RFC 5480 2.2). */
function point(publicKey: KeyObject): Buffer {
  const { x = '', y = '' } = publicKey.export({ format: 'jwk' });
  return Buffer.concat([Buffer.from([4]), Buffer.from(x, 'base64url'), Buffer.from(y, 'base64url')]);
}

function name(commonName: string): Asn1 {
  const attribute = sequence([oid('2.5.4.3'), primitive(TAG.UTF8_STRING, binary(Buffer.from(commonName)))]);
  return sequence([asn1.create(UNIVERSAL, TAG.SET, true, [attribute])]);
}

/** RFC 5280 4.1.2.5: UTCTime through 2049, GeneralizedTime from then on. */
function time(ms: number): Asn1 {
  const date = new Date(ms);
  return date.getUTCFullYear() < 2050
    ? primitive(TAG.UTC_TIME, asn1.dateToUtcTime(date))
    : primitive(TAG.GENERALIZED_TIME, asn1.dateToGeneralizedTime(date));
}

function extension(identifier: string, critical: boolean, value: Asn1): Asn1 {
  return sequence([oid(identifier), ...(critical ? [boolean(true)] : []), octets(der(value))]);
}

function sequence(parts: Asn1[]): Asn1 {
  return asn1.create(UNIVERSAL, TAG.SEQUENCE, true, parts);
}

function tagged(tag: number, constructed: boolean, value: string | Asn1[]): Asn1 {
  return asn1.create(CONTEXT_SPECIFIC, tag, constructed, value);
}

function primitive(tag: number, value: string): Asn1 {
  return asn1.create(UNIVERSAL, tag, false, value);
}

function oid(dotted: string): Asn1 {
  return primitive(TAG.OBJECT_IDENTIFIER, asn1.oidToDer(dotted).getBytes());
}

function integer(value: Buffer): Asn1 {
  return primitive(TAG.INTEGER, binary(value));
}

function boolean(value: boolean): Asn1 {
  return primitive(TAG.BOOLEAN, value ? '\xff' : '\0');
}

function octets(value: Buffer): Asn1 {
  return primitive(TAG.OCTET_STRING, binary(value));
}

function bits(unused: number, value: Buffer): Asn1 {
  return primitive(TAG.BIT_STRING, binary(Buffer.concat([Buffer.from([unused]), value])));
}

const ECDSA_WITH_SHA256 = sequence([oid('1.2.840.10045.4.3.2')]);

function der(value: Asn1): Buffer {
  return Buffer.from(asn1.toDer(value).getBytes(), 'latin1');
}

function binary(value: Buffer): string {
  return value.toString('latin1');
}

function pem(label: string, value: Buffer): string {
  const lines = value.toString('base64').match(/.{1,64}/g) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ''].join('\n');
}
