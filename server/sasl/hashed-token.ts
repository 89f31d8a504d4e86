import { isUtf8 } from 'node:buffer';
import { createHmac } from 'node:crypto';

import { SaslError } from './sasl-error.ts';
import { bindingDataOf, bindingTypesOf, type BindingType, type SecurityLayer } from './mechanisms.ts';

/** A mechanism of the HT family (draft-schmaus-kitten-sasl-ht-09): a token in place of a password, one round trip. */
export type HashedTokenMechanism = 'HT-SHA-256-EXPR' | 'HT-SHA-256-ENDP' | 'HT-SHA-256-UNIQ' | 'HT-SHA-256-NONE';

/** Every mechanism with the type of channel binding data it takes from a connection; the strongest binding first. */
const BINDINGS: Readonly<Record<HashedTokenMechanism, BindingType | undefined>> = {
  'HT-SHA-256-EXPR': 'tls-exporter',
  'HT-SHA-256-ENDP': 'tls-server-end-point',
  // Last of those that bind: a resumed TLS session has none, so a token for it is good on a full handshake alone.
  'HT-SHA-256-UNIQ': 'tls-unique',
  // For clients that see nothing of their TLS, such as a web page.
  'HT-SHA-256-NONE': undefined,
};

/** Longest authcid in bytes: a localpart (RFC 7622 3.3.1); section 3.1 of the draft asks for 255 at least. */
const MAX_AUTHCID_BYTES = 1023;
const PROOF_BYTES = 32;

/** The mechanisms a connection is fit for, in the order of preference; none without TLS (1.2 of the draft). */
export function hashedTokenMechanisms(security: SecurityLayer): readonly HashedTokenMechanism[] {
  if (!security.encrypted) return [];
  const types = bindingTypesOf(security);
  const all = Object.keys(BINDINGS) as HashedTokenMechanism[];
  return all.filter((mechanism) => {
    const type = BINDINGS[mechanism];
    return type === undefined || types.includes(type);
  });
}

/** The channel binding data of a mechanism on this connection; undefined where it has none. */
export function tokenBindingOf(mechanism: HashedTokenMechanism, security: SecurityLayer): Buffer | undefined {
  const type = BINDINGS[mechanism];
  return type === undefined ? Buffer.alloc(0) : bindingDataOf(security, type);
}

/** A parsed initiator message. */
export interface InitiatorMessage {
  readonly username: string;
  /** initiator-hashed-token */
  readonly proof: Buffer;
}

/**
 * Parses `authcid NUL initiator-hashed-token` (3.1 of the draft).
 * @throws SaslError malformed-request
 */
export function parseInitiatorMessage(message: Buffer): InitiatorMessage {
  const end = message.indexOf(0);
  const authcid = message.subarray(0, Math.max(end, 0));
  const proof = message.subarray(end + 1);
  const isNamed = authcid.length > 0 && authcid.length <= MAX_AUTHCID_BYTES && isUtf8(authcid);
  if (!isNamed || proof.length !== PROOF_BYTES) {
    throw new SaslError('malformed-request', 'The message violates draft-schmaus-kitten-sasl-ht');
  }
  return { username: authcid.toString('utf8'), proof };
}

/** What the client proves its token with (3.1 of the draft). */
export function initiatorProof(token: string, bindingData: Buffer): Buffer {
  return createHmac('sha256', token).update('Initiator', 'latin1').update(bindingData).digest();
}

/** What we prove with that we know the token too (3.3 of the draft). */
export function responderProof(token: string, bindingData: Buffer): Buffer {
  return createHmac('sha256', token).update('Responder', 'latin1').update(bindingData).digest();
}
