import { NS } from '../../stanzas/namespaces.ts';
import type { ScramHash } from '../../storage/accounts.ts';
import { digestOf, SCRAM_HASHES } from './scram-keys.ts';
import type { PeerCertificate } from './peer-certificate.ts';
import { SaslError } from './sasl-error.ts';

/** What protects a connection, as far as SASL cares. */
export interface SecurityLayer {
  /** Whether TLS, or a proxy that we trust, keeps the stream confidential. */
  readonly encrypted: boolean;
  /** The version of TLS as OpenSSL writes it, `TLSv1.3`; absent or undefined where there is none, or a proxy has it. */
  readonly tlsVersion?: string | undefined;
  /** Channel binding data of RFC 9266; undefined where the connection has none. */
  readonly tlsExporter: Buffer | undefined;
  /** Channel binding data of RFC 5929 4; undefined where the connection has none. */
  readonly tlsServerEndPoint: Buffer | undefined;
  /** Channel binding data of RFC 5929 3; absent or undefined where the connection has none. */
  readonly tlsUnique?: Buffer | undefined;
  /** What the other side has shown of itself; absent or undefined where it was not asked, or showed nothing. */
  readonly peer?: PeerCertificate | undefined;
}

/** The layer of a plain TCP connection. */
export const NO_SECURITY: SecurityLayer = { encrypted: false, tlsExporter: undefined, tlsServerEndPoint: undefined };

/** A mechanism's registered name. */
type MechanismName = `SCRAM-${ScramHash}-PLUS` | `SCRAM-${ScramHash}` | 'PLAIN';

/** A SASL mechanism we implement. */
export type Mechanism =
  | { readonly name: MechanismName; readonly kind: 'scram'; readonly hash: ScramHash; readonly plus: boolean }
  | { readonly name: 'PLAIN'; readonly kind: 'plain' };

/** Every mechanism, in the order of preference in which they are offered (RFC 6120 6.3.3): strongest first. */
const MECHANISMS: readonly Mechanism[] = [
  ...SCRAM_HASHES.map((hash) => ({ name: `SCRAM-${hash}-PLUS`, kind: 'scram', hash, plus: true }) as const),
  ...SCRAM_HASHES.map((hash) => ({ name: `SCRAM-${hash}`, kind: 'scram', hash, plus: false }) as const),
  { name: 'PLAIN', kind: 'plain' },
];

/** What the operator allows. */
export interface MechanismPolicy {
  /** Lets a client authenticate on a stream that is not encrypted: for a benchmark on loopback, nothing else. */
  readonly allowPlaintext: boolean;
  /** The mechanisms that may be offered, by exact name (`SCRAM-SHA-256` does not imply its `-PLUS`); all by default. */
  readonly mechanisms?: readonly string[] | undefined;
}

/** What one connection is offered: fixed for the connection, so that what is announced and what is hashed agree. */
export class MechanismOffer {
  readonly mechanisms: readonly Mechanism[];
  /** The channel bindings by their IANA names, empty when no -PLUS mechanism is offered (XEP-0440, business rule 5). */
  readonly bindings: ReadonlyMap<string, Buffer>;
  readonly #security: SecurityLayer;

  constructor(security: SecurityLayer, { allowPlaintext, mechanisms }: MechanismPolicy) {
    const bindings = bindingsOf(security);
    // RFC 6120 6.3.4, 13.8.3: nothing that TLS must protect is advertised before TLS
    const open = security.encrypted || allowPlaintext;
    this.#security = security;
    this.mechanisms = MECHANISMS.filter(
      (mechanism) =>
        open &&
        (mechanisms === undefined || mechanisms.includes(mechanism.name)) &&
        (mechanism.kind === 'plain' || !mechanism.plus || bindings.size > 0),
    );
    this.bindings = this.bindsChannels ? bindings : new Map();
  }

  /** Whether a -PLUS mechanism is on offer: then a client that says `y` has been lied to (RFC 5802 6). */
  get bindsChannels(): boolean {
    return this.mechanisms.some((mechanism) => mechanism.kind === 'scram' && mechanism.plus);
  }

  /**
   * The offered mechanism of this name.
   * @throws SaslError invalid-mechanism, encryption-required or mechanism-too-weak
   */
  choose(name: string | undefined): Mechanism {
    const offered = this.mechanisms.find((mechanism) => mechanism.name === name);
    if (offered !== undefined) return offered;
    const place = MECHANISMS.findIndex((mechanism) => mechanism.name === name);
    const known = MECHANISMS[place];
    if (known === undefined) throw new SaslError('invalid-mechanism'); // RFC 6120 6.5.7
    if (!this.#security.encrypted && this.mechanisms.length === 0) throw new SaslError('encryption-required'); // 6.5.4
    // RFC 6120 6.5.9: we could, but policy asks for better; what lacks a channel to bind to is not weak but impossible
    const possible = known.kind === 'plain' || !known.plus || bindingsOf(this.#security).size > 0;
    const strongest = this.mechanisms[0];
    if (possible && strongest !== undefined && MECHANISMS.indexOf(strongest) < place) {
      throw new SaslError('mechanism-too-weak');
    }
    throw new SaslError('invalid-mechanism');
  }

  /** `<mechanism/>` for each, to stand in the features of either profile; a byte string. */
  mechanismBytes(): string {
    return this.mechanisms.map(({ name }) => `<mechanism>${name}</mechanism>`).join('');
  }

  /** `<sasl-channel-binding/>` as a byte string; '' where there is none (XEP-0440 3: one or more types). */
  bindingBytes(): string {
    if (this.bindings.size === 0) return '';
    const types = [...this.bindings.keys()].map((type) => `<channel-binding type='${type}'/>`).join('');
    return `<sasl-channel-binding xmlns='${NS.CHANNEL_BINDING}'>${types}</sasl-channel-binding>`;
  }

  /** The `h` attribute of XEP-0474, "Server Sends Downgrade Protection Hash", in base 64. */
  downgradeHash(hash: ScramHash): string {
    // Code unit order is "i;octet" order for ASCII.
    let advertised = this.mechanisms
      .map(({ name }) => name)
      .sort()
      .join('\x1e');
    if (this.bindings.size > 0) advertised += `\x1f${[...this.bindings.keys()].sort().join('\x1e')}`;
    return digestOf(hash, Buffer.from(advertised, 'latin1')).toString('base64');
  }
}

function bindingsOf({ tlsExporter, tlsServerEndPoint, tlsUnique }: SecurityLayer): Map<string, Buffer> {
  const bindings = new Map<string, Buffer>();
  if (tlsExporter !== undefined) bindings.set('tls-exporter', tlsExporter);
  if (tlsServerEndPoint !== undefined) bindings.set('tls-server-end-point', tlsServerEndPoint);
  if (tlsUnique !== undefined) bindings.set('tls-unique', tlsUnique);
  return bindings;
}
