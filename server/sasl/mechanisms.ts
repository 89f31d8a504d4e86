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
  /** The types of the data above, where those are computed only when they are asked for; absent where they are at hand. */
  readonly bindingTypes?: readonly BindingType[];
  /** What the other side has shown of itself; absent or undefined where it was not asked, or showed nothing. */
  readonly peer?: PeerCertificate | undefined;
}

/** The types of channel binding data we know, by their IANA names, the best first. */
const BINDING_PROPERTIES = {
  'tls-exporter': 'tlsExporter',
  'tls-server-end-point': 'tlsServerEndPoint',
  'tls-unique': 'tlsUnique',
} as const satisfies Record<string, keyof SecurityLayer>;
export type BindingType = keyof typeof BINDING_PROPERTIES;
const BINDING_TYPES = Object.keys(BINDING_PROPERTIES) as readonly BindingType[];

/** The types of channel binding data a connection has. */
export function bindingTypesOf(security: SecurityLayer): readonly BindingType[] {
  return security.bindingTypes ?? BINDING_TYPES.filter((type) => bindingDataOf(security, type) !== undefined);
}

/** A connection's channel binding data of one type; undefined where it has none. */
export function bindingDataOf(security: SecurityLayer, type: BindingType): Buffer | undefined {
  return security[BINDING_PROPERTIES[type]];
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

/**
 * What connections are offered that are secured alike: fixed, so that what is announced and what is hashed agree. It holds
 * nothing of any one connection.
 */
export class MechanismOffer {
  readonly mechanisms: readonly Mechanism[];
  /** The types of channel binding, none when no -PLUS mechanism is offered (XEP-0440, business rule 5). */
  readonly bindingTypes: readonly BindingType[];
  /** Whether a -PLUS mechanism is on offer: then a client that says `y` has been lied to (RFC 5802 6). */
  readonly bindsChannels: boolean;
  readonly #isEncrypted: boolean;
  /** Whether there is a channel to bind to, whatever the policy. */
  readonly #isBindable: boolean;
  readonly #downgradeHashes = new Map<ScramHash, string>();

  constructor(security: SecurityLayer, { allowPlaintext, mechanisms }: MechanismPolicy) {
    const types = bindingTypesOf(security);
    // RFC 6120 6.3.4, 13.8.3: nothing that TLS must protect is advertised before TLS
    const open = security.encrypted || allowPlaintext;
    this.#isEncrypted = security.encrypted;
    this.#isBindable = types.length > 0;
    this.mechanisms = MECHANISMS.filter(
      (mechanism) =>
        open &&
        (mechanisms === undefined || mechanisms.includes(mechanism.name)) &&
        (mechanism.kind === 'plain' || !mechanism.plus || this.#isBindable),
    );
    this.bindsChannels = this.mechanisms.some((mechanism) => mechanism.kind === 'scram' && mechanism.plus);
    this.bindingTypes = this.bindsChannels ? types : [];
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
    if (!this.#isEncrypted && this.mechanisms.length === 0) throw new SaslError('encryption-required'); // 6.5.4
    // RFC 6120 6.5.9: we could, but policy asks for better; what lacks a channel to bind to is not weak but impossible
    const possible = known.kind === 'plain' || !known.plus || this.#isBindable;
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
    if (this.bindingTypes.length === 0) return '';
    const types = this.bindingTypes.map((type) => `<channel-binding type='${type}'/>`).join('');
    return `<sasl-channel-binding xmlns='${NS.CHANNEL_BINDING}'>${types}</sasl-channel-binding>`;
  }

  /** The `h` attribute of XEP-0474, "Server Sends Downgrade Protection Hash", in base 64. */
  downgradeHash(hash: ScramHash): string {
    let known = this.#downgradeHashes.get(hash);
    if (known === undefined) this.#downgradeHashes.set(hash, (known = this.#computeDowngradeHash(hash)));
    return known;
  }

  #computeDowngradeHash(hash: ScramHash): string {
    // Code unit order is "i;octet" order for ASCII.
    let advertised = this.mechanisms
      .map(({ name }) => name)
      .sort()
      .join('\x1e');
    if (this.bindingTypes.length > 0) advertised += `\x1f${[...this.bindingTypes].sort().join('\x1e')}`;
    return digestOf(hash, Buffer.from(advertised, 'latin1')).toString('base64');
  }
}

/** The offers of a server: connections that are secured alike share one. There are as many as ways to be secured: a few. */
export class MechanismOffers {
  readonly #policy: MechanismPolicy;
  readonly #known = new Map<string, MechanismOffer>();

  constructor(policy: MechanismPolicy) {
    this.#policy = policy;
  }

  for(security: SecurityLayer): MechanismOffer {
    const key = `${security.encrypted} ${bindingTypesOf(security).join(' ')}`;
    let offer = this.#known.get(key);
    if (offer === undefined) this.#known.set(key, (offer = new MechanismOffer(security, this.#policy)));
    return offer;
  }
}
