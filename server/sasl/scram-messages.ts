import { isUtf8 } from 'node:buffer';

import { decodeBase64 } from './base64.ts';
import { SaslError } from './sasl-error.ts';

/** What the gs2-cbind-flag of RFC 5802 7 says: binds (`p`), cannot (`n`), could but believes the server cannot (`y`). */
type BindingFlag = { readonly flag: 'n' } | { readonly flag: 'y' } | { readonly flag: 'p'; readonly type: string };

/** A parsed client-first-message. */
export interface ClientFirst {
  readonly binding: BindingFlag;
  readonly authzid: string | undefined;
  readonly username: string;
  readonly nonce: string;
  /** gs2-header as sent, comma included: the channel binding input starts with it (RFC 5802 7, cbind-input). */
  readonly gs2Header: string;
  /** client-first-message-bare as sent: the AuthMessage starts with it. */
  readonly bare: string;
}

/** A parsed client-final-message. */
export interface ClientFinal {
  /** Decoded value of `c`. */
  readonly bindingInput: Buffer;
  readonly nonce: string;
  readonly proof: Buffer;
  /** client-final-message-without-proof as sent: the AuthMessage ends with it. */
  readonly withoutProof: string;
}

const CBIND_FLAG = /^(?:[ny]|p=[A-Za-z0-9.-]+)$/;
// RFC 5802 names no limit; clients send 16 to 64 characters.
const NONCE = /^[\x21-\x2b\x2d-\x7e]{1,512}$/;
const ATTRIBUTE = /^[A-Za-z]=[^\0]+$/;
// The attributes of RFC 5802 5.1 have fixed places; in the place of an extension they are an attempt to confuse.
const KNOWN_ATTRIBUTES = 'anmrcsipve';

/**
 * Parses a client-first-message by the grammar of RFC 5802 7.
 * @throws SaslError malformed-request
 */
export function parseClientFirst(message: Buffer): ClientFirst {
  const text = decode(message);
  const [flag = '', authzid = '', username = '', nonce = '', ...extensions] = text.split(',');
  if (!CBIND_FLAG.test(flag)) throw malformed('gs2-cbind-flag');
  if (authzid !== '' && !authzid.startsWith('a=')) throw malformed('authzid');
  // RFC 5802 5.1: the presence of a mandatory extension must cause authentication failure
  if (username.startsWith('m=')) throw new SaslError('malformed-request', 'Mandatory extensions are not supported');
  if (!username.startsWith('n=')) throw malformed('username');
  checkExtensions(extensions);
  const gs2Header = `${flag},${authzid},`;
  return {
    binding: flag === 'n' || flag === 'y' ? { flag } : { flag: 'p', type: flag.slice(2) },
    authzid: authzid === '' ? undefined : saslname(authzid.slice(2), 'authzid'),
    username: saslname(username.slice(2), 'username'),
    nonce: nonceOf(nonce),
    gs2Header,
    bare: text.slice(gs2Header.length),
  };
}

/**
 * Parses a client-final-message by the grammar of RFC 5802 7.
 * @throws SaslError malformed-request
 */
export function parseClientFinal(message: Buffer): ClientFinal {
  const text = decode(message);
  const [binding = '', nonce = '', ...extensions] = text.split(',');
  const proof = extensions.pop() ?? '';
  if (!binding.startsWith('c=')) throw malformed('channel-binding');
  if (!proof.startsWith('p=')) throw malformed('proof');
  checkExtensions(extensions);
  return {
    bindingInput: base64(binding.slice(2), 'channel-binding'),
    nonce: nonceOf(nonce),
    proof: base64(proof.slice(2), 'proof'),
    withoutProof: text.slice(0, -(proof.length + 1)),
  };
}

function decode(message: Buffer): string {
  if (!isUtf8(message)) throw malformed('encoding');
  return message.toString('utf8');
}

/** RFC 5802 7, saslname: a comma travels as `=2C`, an equals sign as `=3D`, any other `=` is an error. */
function saslname(escaped: string, part: string): string {
  if (escaped === '' || escaped.includes('\0')) throw malformed(part);
  if (!escaped.includes('=')) return escaped;
  if (/=(?!2c|3d)/i.test(escaped)) throw malformed(part);
  return escaped.replace(/=2c/gi, ',').replace(/=3d/gi, '=');
}

function nonceOf(attribute: string): string {
  const nonce = attribute.slice(2);
  if (!attribute.startsWith('r=') || !NONCE.test(nonce)) throw malformed('nonce');
  return nonce;
}

/** Unknown extensions are ignored, as RFC 5802 5.1 asks; `m` and misplaced attributes are not unknown. */
function checkExtensions(extensions: readonly string[]): void {
  for (const extension of extensions) {
    if (!ATTRIBUTE.test(extension) || KNOWN_ATTRIBUTES.includes(extension.charAt(0))) throw malformed('extension');
  }
}

function base64(text: string, part: string): Buffer {
  const bytes = text === '' ? undefined : decodeBase64(text);
  if (bytes === undefined) throw malformed(part);
  return bytes;
}

function malformed(part: string): SaslError {
  return new SaslError('malformed-request', `SCRAM ${part} violates RFC 5802`);
}
