import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto';

/** How a ScramClient logs in. */
export interface ScramClientOptions {
  readonly username: string;
  /** Hashed as it is: a test that wants it prepared prepares it. */
  readonly password: string;
  /** `SCRAM-SHA-256`, `SCRAM-SHA-1-PLUS`, ... */
  readonly mechanism: string;
  /** What a -PLUS mechanism binds to. */
  readonly channelBinding?: { readonly type: string; readonly data: Buffer };
  /** The gs2-cbind-flag without channel binding: `n` by default. */
  readonly flag?: 'n' | 'y';
  readonly authzid?: string;
  readonly nonce?: string;
  /** What the stream features showed; then the server's `h` is verified (XEP-0474). */
  readonly advertised?: { readonly mechanisms: readonly string[]; readonly bindings: readonly string[] };
}

/** A SCRAM client that shares no code with the server (RFC 5802 3 and 5). Messages are in base 64, as XMPP sends them. */
export class ScramClient {
  readonly #options: ScramClientOptions;
  readonly #digest: string;
  readonly #gs2Header: string;
  readonly #bare: string;
  readonly #nonce: string;
  #serverSignature: string | undefined;

  constructor(options: ScramClientOptions) {
    const { mechanism, channelBinding, flag = 'n', authzid, username } = options;
    this.#options = options;
    this.#digest = mechanism.replace(/^SCRAM-SHA-(\d+).*$/, 'sha$1');
    this.#nonce = options.nonce ?? randomBytes(18).toString('base64');
    const binding = channelBinding === undefined ? flag : `p=${channelBinding.type}`;
    this.#gs2Header = `${binding},${authzid === undefined ? '' : `a=${escape(authzid)}`},`;
    this.#bare = `n=${escape(username)},r=${this.#nonce}`;
  }

  /** The initial response. */
  first(): string {
    return encode(this.#gs2Header + this.#bare);
  }

  /** Answers the server-first-message. Throws an Error for one that a client must not accept. */
  respond(challenge: string): string {
    const serverFirst = Buffer.from(challenge, 'base64').toString('utf8');
    const attributes = new Map(serverFirst.split(',').map((part) => [part.slice(0, 2), part.slice(2)]));
    const nonce = attributes.get('r=') ?? '';
    const salt = Buffer.from(attributes.get('s=') ?? '', 'base64');
    const iterations = Number(attributes.get('i='));
    if (!nonce.startsWith(this.#nonce) || nonce === this.#nonce) throw new Error('not our nonce');
    if (!(iterations >= 4096)) throw new Error('too few iterations');
    this.#verifyDowngradeHash(attributes.get('h='));

    const data = this.#options.channelBinding?.data ?? Buffer.alloc(0);
    const bindingInput = Buffer.concat([Buffer.from(this.#gs2Header), data]).toString('base64');
    const withoutProof = `c=${bindingInput},r=${nonce}`;
    const authMessage = `${this.#bare},${serverFirst},${withoutProof}`;
    const length = createHash(this.#digest).digest().length;
    const saltedPassword = pbkdf2Sync(this.#options.password, salt, iterations, length, this.#digest);
    const clientKey = this.#hmac(saltedPassword, 'Client Key');
    const storedKey = createHash(this.#digest).update(clientKey).digest();
    const signature = this.#hmac(storedKey, authMessage);
    const proof = Buffer.from(clientKey.map((byte, index) => byte ^ signature[index]!));
    const serverKey = this.#hmac(saltedPassword, 'Server Key');
    this.#serverSignature = this.#hmac(serverKey, authMessage).toString('base64');
    return encode(`${withoutProof},p=${proof.toString('base64')}`);
  }

  /** Verifies the additional data of success. Throws an Error when the server does not know the password. */
  verify(success: string): void {
    const message = Buffer.from(success, 'base64').toString('utf8');
    if (this.#serverSignature === undefined || message !== `v=${this.#serverSignature}`) {
      throw new Error('the server has not proven itself');
    }
  }

  #verifyDowngradeHash(hash: string | undefined): void {
    const { advertised } = this.#options;
    if (advertised === undefined) return;
    const lists = [advertised.mechanisms, ...(advertised.bindings.length > 0 ? [advertised.bindings] : [])];
    const text = lists.map((list) => [...list].sort().join('\x1e')).join('\x1f');
    if (createHash(this.#digest).update(text).digest('base64') !== hash) throw new Error('the offer was tampered with');
  }

  #hmac(key: Buffer, text: string): Buffer {
    return createHmac(this.#digest, key).update(text).digest();
  }
}

function escape(name: string): string {
  return name.replaceAll('=', '=3D').replaceAll(',', '=2C');
}

function encode(message: string): string {
  return Buffer.from(message).toString('base64');
}
