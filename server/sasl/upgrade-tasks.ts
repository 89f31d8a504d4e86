import { parseElement } from '../../stanzas/element.ts';
import type { Frame } from '../../stanzas/frame.ts';
import { otherAttribute } from '../../stanzas/frame.ts';
import { NS } from '../../stanzas/namespaces.ts';
import { Scope } from '../../stanzas/scope.ts';
import type { Credentials, ScramHash, ScramKeys } from '../../storage/accounts.ts';
import { decodeBase64 } from './base64.ts';
import type { InlineRequest } from './inline-request.ts';
import type { Login } from './login.ts';
import { SaslError } from './sasl-error.ts';
import { HASHES, keysOf, SALT_BYTES, SCRAM_HASHES } from './scram-keys.ts';

/** Where the keys that clients bring are kept. */
export interface KeyStore {
  /** Adds keys to an account whose password is still that of `earlier`; resolves to false where it is not. */
  add(bareJid: string, earlier: Credentials, hash: ScramHash, keys: ScramKeys): Promise<boolean>;
}

export interface UpgradeContext {
  readonly keyStore: KeyStore;
  readonly random: (lengthBytes: number) => Buffer;
  readonly iterations: number;
}

/** What accounts are upgraded to: nobody is asked for keys of the weakest. */
const UPGRADES: readonly ScramHash[] = SCRAM_HASHES.slice(0, -1);

/** The same for everybody: what one account lacks is nobody's business before it is authenticated. */
export const UPGRADE_FEATURES: string = UPGRADES.map(
  (hash) => `<upgrade xmlns='${NS.SASL_UPGRADE}'>${taskOf(hash)}</upgrade>`,
).join('');

/**
 * The tasks of XEP-0480 behind one authentication: of an account that has no keys for a stronger hash, for instance because
 * it was imported, the client brings them.
 */
export class UpgradeTasks {
  readonly #context: UpgradeContext;
  readonly #login: Login;
  /** The one under way first. */
  readonly #hashes: ScramHash[];
  #salt: Uint8Array | undefined;

  private constructor(context: UpgradeContext, login: Login, hashes: ScramHash[]) {
    this.#context = context;
    this.#login = login;
    this.#hashes = hashes;
  }

  /** What the client asks for and the account lacks; undefined where that is nothing. */
  static of(context: UpgradeContext, login: Login, request: InlineRequest): UpgradeTasks | undefined {
    const asked = request.all('upgrade', NS.SASL_UPGRADE).map(({ text }) => text.trim());
    const hashes = UPGRADES.filter((hash, index) => {
      // Keys of a weaker hash stay the ones by which the password behind a token is known.
      const isUpgrade = SCRAM_HASHES.slice(index + 1).some((weaker) => login.has(weaker));
      return asked.includes(taskOf(hash)) && !login.has(hash) && isUpgrade;
    });
    return hashes.length === 0 ? undefined : new UpgradeTasks(context, login, hashes);
  }

  /**
   * Asks for the task that is due; '' when none is left.
   * @param additional `<additional-data/>` of what was before, a byte string
   */
  due(additional: string): string {
    const [hash] = this.#hashes;
    if (hash === undefined) return '';
    return `<continue xmlns='${NS.SASL2}'>${additional}<tasks><task>${taskOf(hash)}</task></tasks></continue>`;
  }

  /** The client begins the task (XEP-0480 3). Throws SaslError malformed-request. */
  begin(next: Frame): string {
    const [hash] = this.#hashes;
    if (hash === undefined || this.#salt !== undefined || otherAttribute(next, 'task') !== taskOf(hash)) {
      throw new SaslError('malformed-request', 'Another task is due');
    }
    this.#salt = Uint8Array.from(this.#context.random(SALT_BYTES));
    const salt = Buffer.from(this.#salt).toString('base64');
    const { iterations } = this.#context;
    return (
      `<task-data xmlns='${NS.SASL2}'>` +
      `<salt xmlns='${NS.SCRAM_UPGRADE}' iterations='${iterations}'>${salt}</salt></task-data>`
    );
  }

  /** The client brings what was asked for. Throws SaslError; rejects with StoreError. */
  async finish(data: Frame): Promise<void> {
    const [hash] = this.#hashes;
    if (hash === undefined || this.#salt === undefined)
      throw new SaslError('malformed-request', 'No task is under way');
    const child = data.children.find(({ name, namespace }) => name === 'hash' && namespace === NS.SCRAM_UPGRADE);
    if (child === undefined) throw new SaslError('malformed-request', 'There is no hash');
    const content = data.content.slice(child.start, child.end);
    const { text } = parseElement(content, Scope.of(NS.SCRAM_UPGRADE).within(data.others));
    const saltedPassword = decodeBase64(text.replace(/[ \t\r\n]+/g, ''));
    if (saltedPassword?.length !== HASHES[hash].lengthBytes)
      throw new SaslError('malformed-request', 'This is no hash');
    const { iterations, keyStore } = this.#context;
    const keys = { salt: this.#salt, iterations, ...keysOf(saltedPassword, hash) };
    const { bareJid, credentials } = this.#login;
    if (!(await keyStore.add(bareJid, credentials, hash, keys))) throw new SaslError('not-authorized');
    this.#hashes.shift();
    this.#salt = undefined;
  }
}

/** XEP-0480 2.1: channel binding makes no difference. */
function taskOf(hash: ScramHash): string {
  return `UPGR-SCRAM-${hash}`;
}
