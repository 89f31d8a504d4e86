import { BoundedCache } from './bounded-cache.ts';
import { attributeBytes } from './byte-string.ts';
import { prepareDomainpart } from './domainpart.ts';
import { JidError, type JidPart, verifyOctets, verifyUnprepared } from './jid-error.ts';
import { enforceOpaqueString, enforceUsernameCaseMapped, PrecisError } from './precis.ts';

export { prepareDomainpart } from './domainpart.ts';
export { JidError, type JidPart } from './jid-error.ts';

const PLAIN_OCTETS = 1023;
const NOT_PLAIN_LOCALPART = /[^!#$%()*+,\-.0-9;=?[\\\]^_`a-z{|}~]/; // ASCII7 less capitals and RFC 7622 3.3.1
const NOT_PLAIN_RESOURCEPART = /[^\x20-\x7e]/;
const EXCLUDED_FROM_LOCALPART = /["&'/:<>@]/; // RFC 7622 3.3.1
const LONGEST_TEXT = 3 * 4 * PLAIN_OCTETS + 2; // three parts that NFC shortens as far as it can, and two separators
const LONGEST_CACHED_TEXT = 512;

/**
 * An XMPP address (RFC 7622): immutable and prepared, so two that mean the same are the same text. XEP-0106 escapes
 * stay as they are. Its strings hold on to no string it was parsed from.
 */
export class Jid {
  /** Localpart, '' when absent. */
  readonly local: string;
  readonly domain: string;
  /** Resourcepart, '' when absent. */
  readonly resource: string;
  /** `local@domain` or `domain`. */
  readonly bare: string;
  /** The bare JID and, where there is a resourcepart, `/` and that. */
  readonly full: string;
  #toBare: Jid | undefined;
  #attributeBytes: string | undefined;

  private constructor(local: string, domain: string, resource: string, bare: string, full: string) {
    this.local = local;
    this.domain = domain;
    this.resource = resource;
    this.bare = bare;
    this.full = full;
    this.#toBare = undefined;
    this.#attributeBytes = undefined;
  }

  /** Parses and prepares an address of text, not of bytes. Time is linear in the length. @throws JidError */
  static parse(text: string): Jid {
    if (text.length > LONGEST_TEXT) throw new JidError('jid', 'is longer than 3071 octets');
    // RFC 7622 3.1, 3.2: first the first slash, then the first at sign before it, and both before any mapping
    const slash = text.indexOf('/');
    const bare = slash === -1 ? text : text.slice(0, slash);
    const at = bare.indexOf('@');
    const domain = prepareDomainpart(at === -1 ? bare : bare.slice(at + 1));
    const local = at === -1 ? '' : prepareLocalpart(bare.slice(0, at));
    const resource = slash === -1 ? '' : prepareResourcepart(text.slice(slash + 1));
    return Jid.#compose(local, domain, resource);
  }

  /** Makes a JID of parts that are prepared here; '' is an absent localpart or resourcepart. @throws JidError */
  static of(local: string, domain: string, resource = ''): Jid {
    return Jid.#compose(
      local === '' ? '' : prepareLocalpart(local),
      prepareDomainpart(domain),
      resource === '' ? '' : prepareResourcepart(resource),
    );
  }

  // A slice keeps its whole source alive, which may be a stanza, so the parts are cut from a string of the JID's own.
  static #compose(local: string, domain: string, resource: string): Jid {
    if (resource !== '') {
      const full = [local === '' ? domain : `${local}@${domain}`, resource].join('/'); // join() copies
      const bare = full.slice(0, -1 - resource.length);
      const ownLocal = full.slice(0, local.length);
      return new Jid(
        ownLocal,
        local === '' ? bare : bare.slice(-domain.length),
        full.slice(bare.length + 1),
        bare,
        full,
      );
    }
    const bare = local === '' ? copy(domain) : [local, domain].join('@');
    return new Jid(bare.slice(0, local.length), local === '' ? bare : bare.slice(-domain.length), '', bare, bare);
  }

  /** Whether there is no resourcepart. */
  get isBare(): boolean {
    return this.resource === '';
  }

  /** The JID without its resourcepart, the same object every time. */
  toBare(): Jid {
    if (this.resource === '') return this;
    this.#toBare ??= new Jid(this.local, this.domain, '', this.bare, this.bare);
    return this.#toBare;
  }

  /** The bare JID with this resourcepart, which is prepared here and may not be empty. @throws JidError */
  withResource(resource: string): Jid {
    return Jid.#compose(this.local, this.domain, prepareResourcepart(resource));
  }

  /** The full JID as the value of an attribute, escaped, a byte string. Made once: it stands in every stanza. */
  get attributeBytes(): string {
    if (this.#attributeBytes === undefined) {
      const bytes = attributeBytes(this.full);
      // Mostly they are the same: kept once.
      this.#attributeBytes = bytes === this.full ? this.full : bytes;
    }
    return this.#attributeBytes;
  }

  equals(other: Jid): boolean {
    return this === other || this.full === other.full;
  }

  toString(): string {
    return this.full;
  }
}

/** Parses an address; undefined when it is none. */
export function tryParseJid(text: string): Jid | undefined {
  try {
    return Jid.parse(text);
  } catch (error) {
    if (error instanceof JidError) return undefined;
    throw error;
  }
}

/** Prepares and enforces a localpart: UsernameCaseMapped less eight characters (RFC 7622 3.3). @throws JidError */
export function prepareLocalpart(text: string): string {
  if (text !== '' && text.length <= PLAIN_OCTETS && !NOT_PLAIN_LOCALPART.test(text)) return text;
  const prepared = enforce('localpart', text, enforceUsernameCaseMapped);
  const excluded = EXCLUDED_FROM_LOCALPART.exec(prepared); // after the mapping, which makes some of these
  if (excluded !== null) throw new JidError('localpart', `holds ${excluded[0]}, which RFC 7622 3.3.1 excludes`);
  return prepared;
}

/** Prepares and enforces a resourcepart: OpaqueString (RFC 7622 3.4), not beginning with a space. @throws JidError */
export function prepareResourcepart(text: string): string {
  const plain = text !== '' && text.length <= PLAIN_OCTETS && !NOT_PLAIN_RESOURCEPART.test(text);
  const prepared = plain ? text : enforce('resourcepart', text, enforceOpaqueString);
  // RFC 7622 3.5 example 18, though no rule of the profile says so: " romeo" could be taken for "romeo".
  if (prepared.startsWith(' ')) throw new JidError('resourcepart', 'begins with a space');
  return prepared;
}

function enforce(part: JidPart, text: string, profile: (text: string) => string): string {
  verifyUnprepared(part, text);
  let prepared: string;
  try {
    prepared = profile(text);
  } catch (error) {
    throw error instanceof PrecisError ? new JidError(part, error.message) : error;
  }
  verifyOctets(part, prepared); // RFC 7622 3.3, 3.4: after the mapping
  return prepared;
}

/** A string of its own with the same text; join() of less than two parts that are not empty would copy nothing. */
function copy(text: string): string {
  return [text.slice(0, 1), text.slice(1)].join('');
}

/** Remembers the addresses parsed lately: most stanzas go to few. Bounded, and what is no JID is not remembered. */
export class JidCache {
  readonly #jids: BoundedCache<string, Jid>;

  /** @param capacity the most addresses it holds; at least 2. @throws RangeError */
  constructor(capacity: number) {
    this.#jids = new BoundedCache(capacity);
  }

  /** As Jid.parse. @throws JidError */
  parse(text: string): Jid {
    const known = this.#jids.get(text);
    if (known !== undefined) return known;
    const jid = Jid.parse(text);
    // The key is the JID's own string or a copy: a slice would keep a whole stanza alive.
    if (text.length <= LONGEST_CACHED_TEXT) this.#jids.set(text === jid.full ? jid.full : copy(text), jid);
    return jid;
  }
}
