import { timingSafeEqual } from 'node:crypto';

import type { ScramHash, ScramKeys } from '../../storage/accounts.ts';
import { SaslError } from './sasl-error.ts';
import { digestOf, HASHES, hmac } from './scram-keys.ts';
import { parseClientFinal, parseClientFirst, type ClientFirst } from './scram-messages.ts';

/** What one SCRAM exchange runs with. */
export interface ScramOptions {
  readonly hash: ScramHash;
  /** Whether the client chose the -PLUS variant. */
  readonly plus: boolean;
  readonly offer: {
    /** The channel binding data of each type that is on offer. */
    readonly bindings: { get(type: string): Buffer | undefined };
    /** Whether -PLUS mechanisms are on offer. */
    readonly bindsChannels: boolean;
  };
  /** Our part of the nonce: printable, without a comma, new for every exchange (RFC 5802 5.1, `r`). */
  readonly nonce: string;
  /** The `h` attribute (XEP-0474); undefined leaves it out. */
  readonly downgradeHash: string | undefined;
}

/** Who the client says it is, not prepared and not yet proven. */
export interface ScramClaim {
  readonly username: string;
  readonly authzid: string | undefined;
}

/**
 * The server's side of one SCRAM exchange (RFC 5802, RFC 7677): start, challenge, judge, in this order. It neither
 * waits nor looks anything up, so that an unknown user, given decoy keys, takes exactly the same steps.
 *
 * Deviation: RFC 6120 has no place for the server-error of RFC 5802 7 (`e=`); its conditions stand in for it.
 */
export class ScramExchange {
  readonly #options: ScramOptions;
  #first: ClientFirst | undefined;
  #bindingInput: Buffer | undefined;
  #serverFirst: string | undefined;
  #keys: ScramKeys | undefined;

  constructor(options: ScramOptions) {
    this.#options = options;
  }

  /**
   * Takes the client-first-message.
   * @throws SaslError malformed-request, or not-authorized for a downgrade
   */
  start(message: Buffer): ScramClaim {
    const first = parseClientFirst(message);
    // RFC 5802 7, cbind-input: the gs2-header, then the channel binding data when `p`
    const header = Buffer.from(first.gs2Header, 'utf8');
    this.#bindingInput = Buffer.concat([header, this.#bindingData(first)]);
    this.#first = first;
    return { username: first.username, authzid: first.authzid };
  }

  /** The channel binding data that the client's flag asks for (RFC 5802 6). */
  #bindingData({ binding }: ClientFirst): Buffer {
    const { plus, offer } = this.#options;
    if (binding.flag === 'p') {
      const data = offer.bindings.get(binding.type);
      // RFC 5802 5.1: with `p` the mechanism is the -PLUS one
      if (!plus) throw new SaslError('malformed-request', 'Channel binding needs the -PLUS mechanism');
      if (data === undefined) throw new SaslError('malformed-request', 'Channel binding type is not supported');
      return data;
    }
    if (plus) throw new SaslError('malformed-request', 'The -PLUS mechanism needs channel binding');
    // RFC 5802 6: we offered -PLUS and the client never saw it, so somebody in between removed it
    if (binding.flag === 'y' && offer.bindsChannels) {
      throw new SaslError('not-authorized', 'Server does support channel binding');
    }
    return Buffer.alloc(0);
  }

  /** The server-first-message for the claimed user's keys, or for decoys (RFC 5802 5). */
  challenge(keys: Pick<ScramKeys, 'salt' | 'iterations' | 'storedKey' | 'serverKey'>): string {
    if (this.#first === undefined) throw new Error('challenge before start');
    const { nonce, downgradeHash } = this.#options;
    const salt = Buffer.from(keys.salt).toString('base64');
    let message = `r=${this.#first.nonce}${nonce},s=${salt},i=${keys.iterations}`;
    if (downgradeHash !== undefined) message += `,h=${downgradeHash}`;
    this.#keys = keys;
    this.#serverFirst = message;
    return message;
  }

  /**
   * Judges the client-final-message: the server-final-message when the proof is right, undefined when it is wrong.
   * @throws SaslError malformed-request
   */
  judge(message: Buffer): string | undefined {
    const first = this.#first;
    const keys = this.#keys;
    if (first === undefined || keys === undefined || this.#serverFirst === undefined) {
      throw new Error('judge before challenge');
    }
    const { hash, nonce } = this.#options;
    const final = parseClientFinal(message);
    if (final.proof.length !== HASHES[hash].lengthBytes) {
      throw new SaslError('malformed-request', 'SCRAM proof violates RFC 5802');
    }
    const authMessage = `${first.bare},${this.#serverFirst},${final.withoutProof}`;
    // RFC 5802 3: ClientKey = ClientProof XOR ClientSignature; StoredKey = H(ClientKey)
    const clientKey = exclusiveOr(final.proof, hmac(hash, keys.storedKey, authMessage));
    const proven = equal(digestOf(hash, clientKey), keys.storedKey);
    const bound = equal(final.bindingInput, this.#bindingInput ?? Buffer.alloc(0));
    const fresh = final.nonce === first.nonce + nonce;
    // One answer for every mismatch: which of them it was is nobody's business.
    if (!proven || !bound || !fresh) return undefined;
    return `v=${hmac(hash, keys.serverKey, authMessage).toString('base64')}`;
  }
}

function exclusiveOr(left: Buffer, right: Buffer): Buffer {
  const result = Buffer.allocUnsafe(left.length);
  for (let index = 0; index < left.length; index++) result[index] = left[index]! ^ right[index]!;
  return result;
}

function equal(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && timingSafeEqual(left, right);
}
