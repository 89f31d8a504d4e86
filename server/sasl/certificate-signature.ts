/*
 * The digest of a certificate's signature algorithm, out of its DER: Certificate ::= SEQUENCE { tbsCertificate,
 * signatureAlgorithm, signatureValue } (RFC 5280 4.1). Node's X509Certificate names it only in later versions.
 */

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

interface Value {
  readonly tag: number;
  readonly content: Buffer;
}

/** The values that lie in DER one after the other; ends at what is not DER. */
function valuesOf(der: Buffer): Value[] {
  const values: Value[] = [];
  let offset = 0;
  while (offset + 2 <= der.length) {
    const tag = der[offset]!;
    let length = der[offset + 1]!;
    offset += 2;
    if (length >= 0x80) {
      const bytes = length & 0x7f;
      if (bytes === 0 || bytes > 4 || offset + bytes > der.length) return values;
      length = der.readUIntBE(offset, bytes);
      offset += bytes;
    }
    if (offset + length > der.length) return values;
    values.push({ tag, content: der.subarray(offset, offset + length) });
    offset += length;
  }
  return values;
}

/** X.690 8.19: base 128, the first two arcs in one. */
function objectIdentifier(content: Buffer): string {
  const arcs: number[] = [];
  let arc = 0;
  for (const byte of content) {
    arc = arc * 128 + (byte & 0x7f);
    if (byte < 0x80) {
      arcs.push(arc);
      arc = 0;
    }
  }
  const [head = 0, ...rest] = arcs;
  const first = Math.min(2, Math.floor(head / 40));
  return [first, head - first * 40, ...rest].join('.');
}
