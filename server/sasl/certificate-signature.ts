/*
 * The digest of a certificate's signature algorithm, out of its DER: Certificate ::= SEQUENCE { tbsCertificate,
 * signatureAlgorithm, signatureValue } (RFC 5280 4.1). Node's X509Certificate names it only in later versions.
 */
import { objectIdentifier, valuesOf, type Value } from './der.ts';

// RFC 5929 4.1: MD5 and SHA-1 are replaced by SHA-256.
const DIGESTS: Readonly<Record<string, string>> = {
  '1.2.840.113549.1.1.4': 'sha256', // md5WithRSAEncryption
  '1.2.840.113549.1.1.5': 'sha256', // sha1WithRSAEncryption
  '1.2.840.113549.1.1.14': 'sha224',
  '1.2.840.113549.1.1.11': 'sha256',
  '1.2.840.113549.1.1.12': 'sha384',
  '1.2.840.113549.1.1.13': 'sha512',
  '1.2.840.10045.4.1': 'sha256', // ecdsa-with-SHA1
  '1.2.840.10045.4.3.1': 'sha224',
  '1.2.840.10045.4.3.2': 'sha256',
  '1.2.840.10045.4.3.3': 'sha384',
  '1.2.840.10045.4.3.4': 'sha512',
  '1.2.840.10040.4.3': 'sha256', // dsa-with-sha1
  '2.16.840.1.101.3.4.3.1': 'sha224', // dsa
  '2.16.840.1.101.3.4.3.2': 'sha256', // dsa
  // The hashes themselves, as RSASSA-PSS names them.
  '1.3.14.3.2.26': 'sha256', // SHA-1
  '2.16.840.1.101.3.4.2.4': 'sha224',
  '2.16.840.1.101.3.4.2.1': 'sha256',
  '2.16.840.1.101.3.4.2.2': 'sha384',
  '2.16.840.1.101.3.4.2.3': 'sha512',
};

const RSASSA_PSS = '1.2.840.113549.1.1.10';

const SEQUENCE = 0x30;
const OBJECT_IDENTIFIER = 0x06;
const HASH_ALGORITHM = 0xa0; // [0] EXPLICIT of RSASSA-PSS-params

/**
 * The digest by which RFC 5929 4.1 hashes this certificate, as node:crypto calls it; undefined when its signature has
 * none (Ed25519), an unknown one, or the DER cannot be read.
 */
export function signatureDigest(certificate: Buffer): string | undefined {
  const [outer] = valuesOf(certificate);
  const [, algorithm] = outer?.tag === SEQUENCE ? valuesOf(outer.content) : [];
  const [identifier, parameters] = algorithm?.tag === SEQUENCE ? valuesOf(algorithm.content) : [];
  if (identifier?.tag !== OBJECT_IDENTIFIER) return undefined;
  const name = objectIdentifier(identifier.content);
  return name === RSASSA_PSS ? pssDigest(parameters) : DIGESTS[name];
}

/** RFC 4055 3.1: hashAlgorithm, SHA-1 where it is left out. */
function pssDigest(parameters: Value | undefined): string | undefined {
  if (parameters?.tag !== SEQUENCE) return undefined;
  const hash = valuesOf(parameters.content).find(({ tag }) => tag === HASH_ALGORITHM);
  if (hash === undefined) return 'sha256';
  const [algorithm] = valuesOf(hash.content);
  const [identifier] = algorithm === undefined ? [] : valuesOf(algorithm.content);
  return identifier?.tag === OBJECT_IDENTIFIER ? DIGESTS[objectIdentifier(identifier.content)] : undefined;
}
