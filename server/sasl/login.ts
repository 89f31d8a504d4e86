import { createHmac } from 'node:crypto';

import { Jid, JidError, tryParseJid } from '../../stanzas/jid.ts';
import type { AccountShape, Credentials, ScramHash, ScramKeys } from '../../storage/accounts.ts';
import { whenThere, type Eventual } from '../eventual.ts';
import type { FailureThrottle } from './failure-throttle.ts';
import type { KeyShapes } from './key-shapes.ts';
import { PasswordWorkRefused, type PasswordWork } from './password-work.ts';
import { SaslError } from './sasl-error.ts';
import { HASHES, SALT_BYTES } from './scram-keys.ts';

/** What is kept of an account for its logins. */
export interface StoredCredentials {
  readonly credentials: Credentials;
  readonly disabled: boolean;
}

/** Where keys come from: the accounts, as far as SASL may see them. */
export interface CredentialSource {
  /**
   * The keys of a prepared bare JID; undefined when there is no such account.
   * @param isStranger whether nothing may be sooner because the account was asked for lately: that would tell who was here
   */
  credentials(bareJid: string, isStranger: boolean): Eventual<StoredCredentials | undefined>;
}

/** What a login is checked against. */
export interface LoginContext {
  /** The prepared domain that the stream was opened to. */
  readonly domain: string;
  /** The remote address, as a string without a port. */
  readonly address: string;
  readonly accounts: CredentialSource;
  readonly throttle: FailureThrottle;
  readonly work: PasswordWork;
  /** The server's own, the same after every restart: an unknown user's salt must never change. */
  readonly secret: Uint8Array;
  /** Iterations of new keys. */
  readonly iterations: number;
  /** What an unknown user's keys look like; undefined: like new ones. */
  readonly keyShapes?: Pick<KeyShapes, 'shapeOf'> | undefined;
}

/**
 * One attempt to log in as somebody. An unknown user, a user without keys for the mechanism and a name that cannot be
 * one all look like a wrong password: decoy keys, the same steps, the same answer (RFC 6120 6.5.10).
 */
export class Login {
  /** The prepared localpart, or the claimed name where it cannot be prepared. */
  readonly username: string;
  readonly bareJid: string;
  readonly #context: LoginContext;
  readonly #found: StoredCredentials | undefined;
  /** Of its keys, where there is no such account. */
  readonly #shape: AccountShape | undefined;

  private constructor(context: LoginContext, username: string, found: StoredCredentials | undefined) {
    this.#context = context;
    this.username = username;
    this.bareJid = `${username}@${context.domain}`;
    this.#found = found;
    // Chosen for everybody, as decoys are made.
    const shape = context.keyShapes?.shapeOf(context.domain, () => this.#secretOf('shape'));
    if (found === undefined) this.#shape = shape;
  }

  /**
   * Looks up who the client says it is.
   * @param authzid may only name the user itself (RFC 6120 6.3.8); '' is none (RFC 6120 6.6)
   * @throws SaslError invalid-authzid, which depends on nothing that the server keeps
   */
  static claim(context: LoginContext, username: string, authzid: string | undefined): Eventual<Login> {
    const jid = prepare(username, context.domain);
    if (authzid !== undefined && authzid !== '') {
      // a full JID is not equal to the bare one either
      if (jid === undefined || tryParseJid(authzid)?.equals(jid) !== true) throw new SaslError('invalid-authzid');
    }
    if (jid === undefined) return new Login(context, username, undefined);
    const { local, bare } = jid;
    const { accounts, throttle, address } = context;
    const isStranger = !throttle.hasLoggedIn(address, bare);
    return whenThere(accounts.credentials(bare, isStranger), (found) => new Login(context, local, found));
  }

  /** The account's keys for this hash, or decoys that are the same every time and belong to no password. */
  keys(hash: ScramHash): ScramKeys {
    const decoy = this.#decoy(hash); // made for everybody, so that the time it takes tells nothing
    return this.#found?.credentials[hash] ?? decoy;
  }

  /** Whether the account has keys for this hash, or would have, if it existed. */
  has(hash: ScramHash): boolean {
    if (this.#found !== undefined) return this.#found.credentials[hash] !== undefined;
    return this.#shape === undefined || this.#shape[hash] !== undefined;
  }

  /** All the account's keys; none for an unknown user. */
  get credentials(): Credentials {
    return this.#found?.credentials ?? {};
  }

  /**
   * Judges the attempt when its turn has come; a wrong one is answered late.
   * @param hash whose keys `check` looks at; undefined where it looks at none
   * @param check what the mechanism found; undefined is wrong
   * @throws SaslError not-authorized, account-disabled (only after a correct password), temporary-auth-failure
   */
  judge<T>(hash: ScramHash | undefined, check: () => Eventual<T | undefined>): Eventual<T> {
    const { throttle, address } = this.#context;
    return whenThere(throttle.admit(address, this.bareJid), (isAdmitted) => {
      if (!isAdmitted) throw new SaslError('temporary-auth-failure');
      return whenThere(unlessRefused(check()), (result) => this.#answer(hash, result));
    });
  }

  #answer<T>(hash: ScramHash | undefined, result: T | undefined): Eventual<T> {
    const { throttle, address } = this.#context;
    const found = this.#found;
    const isKnown = found !== undefined && (hash === undefined || found.credentials[hash] !== undefined);
    if (result === undefined || !isKnown) {
      return throttle.failed(address, this.bareJid).then(() => {
        throw new SaslError('not-authorized');
      });
    }
    throttle.succeeded(address, this.bareJid);
    if (found.disabled) throw new SaslError('account-disabled');
    return result;
  }

  /**
   * Looks once more at what the attempt was judged by: while it waited for its turn, the password may have been changed, or
   * the account disabled, and whoever did that was told that nobody is left who came in by the old one.
   * @throws SaslError not-authorized, account-disabled
   */
  confirm(): Eventual<void> {
    return whenThere(this.#context.accounts.credentials(this.bareJid, false), (now) => {
      if (now === undefined || !isSameLogin(this.credentials, now.credentials)) throw new SaslError('not-authorized');
      if (now.disabled) throw new SaslError('account-disabled');
    });
  }

  /** Its keys share their bytes: judge refuses them whatever the proof, and only the salt is ever seen. */
  #decoy(hash: ScramHash): ScramKeys {
    const { iterations, saltBytes } = this.#shape?.[hash] ?? {
      iterations: this.#context.iterations,
      saltBytes: SALT_BYTES,
    };
    // With other iterations comes another salt, as with a new password.
    const bytes = this.#secretOf(`${hash} ${iterations} ${saltBytes}`);
    const key = bytes.subarray(0, HASHES[hash].lengthBytes);
    let salt = bytes;
    while (salt.length < saltBytes) salt = Buffer.concat([salt, this.#secretOf(`${hash} salt ${salt.length}`)]);
    return { salt: salt.subarray(0, saltBytes), iterations, storedKey: key, serverKey: key };
  }

  /** 64 bytes that only the server can know. */
  #secretOf(purpose: string): Buffer {
    return createHmac('sha512', this.#context.secret).update(`${purpose}\0${this.bareJid}`, 'utf8').digest();
  }
}

/** Work with passwords is refused only later, by a promise. */
function unlessRefused<T>(result: Eventual<T>): Eventual<T> {
  if (!(result instanceof Promise)) return result;
  return result.catch((error: unknown) => {
    throw error instanceof PasswordWorkRefused ? new SaslError('temporary-auth-failure') : error;
  });
}

/** Whether the password is still the one it was earlier; keys for a further hash may have come since (XEP-0480). */
export function isSameLogin(earlier: Credentials, now: Credentials): boolean {
  if (earlier === now) return true;
  return Object.keys(HASHES).every((name) => {
    const [key, keyNow] = [earlier[name as ScramHash]?.storedKey, now[name as ScramHash]?.storedKey];
    return key === undefined || (keyNow !== undefined && Buffer.compare(key, keyNow) === 0);
  });
}

function prepare(username: string, domain: string): Jid | undefined {
  try {
    return Jid.of(username, domain);
  } catch (error) {
    if (error instanceof JidError) return undefined; // no account can have it: as unknown as any other
    throw error;
  }
}
