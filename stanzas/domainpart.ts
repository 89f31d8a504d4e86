import { createRequire } from 'node:module';
import { isIPv4, isIPv6 } from 'node:net';
import type * as Tr46 from 'tr46';
import { JidError, verifyOctets } from './jid-error.ts';
import { PrecisError, verifyStringClass } from './precis.ts';

// tr46 costs 10 ms and 4 MB, and most servers never meet a name that needs it: it is loaded by the first that does.
const require = createRequire(import.meta.url);

const LABEL_OCTETS = 63; // RFC 1034 3.1
const NAME_OCTETS = 253; // RFC 1034 3.1: 255 with the length octets of the first label and of the root

// What is not at once a prepared name of letters, digits, single hyphens and dots that ends in a letter.
const NOT_PLAIN = /[^a-z0-9.-]|^[.-]|[.-]{2}|[^a-z]$/;
const NOT_ASCII = /[^\x00-\x7f]/;
const A_LABEL = /(?:^|\.)xn--/;
const LDH_LABEL = /^(?!-)(?!..--)[a-z0-9-]*[a-z0-9]$/; // an NR-LDH label (RFC 5890 2.3.1): no -- in its third place
const NUMBER = /^(?:[0-9]+|0x[0-9a-f]*)$/;
const IPV4_MAPPED = /^\[::ffff:([0-9a-f]+):([0-9a-f]+)\]$/;
const IGNORABLE_BLOCKS = /[\u20D0-\u20FF\u{1D100}-\u{1D1FF}\u{1D200}-\u{1D24F}]/u; // RFC 5892 2.4

const UTS46_OPTIONS = { checkHyphens: true, checkBidi: true, checkJoiners: true, useSTD3ASCIIRules: true } as const;

/**
 * Prepares and enforces a domainpart (RFC 7622 3.2): an IP literal in its one form, or a name of lower-case NR-LDH
 * labels and U-labels. A-labels become U-labels, a final dot goes.
 * @throws JidError
 */
export function prepareDomainpart(text: string): string {
  if (text !== '' && text.length <= LABEL_OCTETS && !NOT_PLAIN.test(text)) return text;
  const name = text.endsWith('.') ? text.slice(0, -1) : text; // RFC 7622 3.2: before any other step
  verifyOctets('domainpart', name);
  if (name.startsWith('[')) return prepareIPv6(name);
  if (isIPv4(name)) return name;

  const lowerCase = name.toLowerCase();
  if (NOT_ASCII.test(name) || A_LABEL.test(lowerCase)) return prepareInternationalName(name);
  verifyName(lowerCase);
  return lowerCase;
}

/** RFC 3986 3.2.2 between the brackets, in the form of RFC 5952. */
function prepareIPv6(literal: string): string {
  const address = literal.slice(1, -1);
  // Deviation: no zone (RFC 6874), which means something on one host only, and no IPvFuture, of which there is none.
  if (!literal.endsWith(']') || !isIPv6(address) || address.includes('%')) {
    throw new JidError('domainpart', 'is not an IPv6 address in its brackets');
  }
  const canonical = new URL(`http://[${address}]`).hostname;
  const mapped = IPV4_MAPPED.exec(canonical);
  if (mapped === null) return canonical;
  const high = parseInt(mapped[1] ?? '', 16); // RFC 5952 5: an IPv4-mapped address shows the IPv4 address
  const low = parseInt(mapped[2] ?? '', 16);
  return `[::ffff:${high >> 8}.${high & 0xff}.${low >> 8}.${low & 0xff}]`;
}

/** RFC 7622 3.2.1 and 3.2.2, mapped by UTS 46 without its transitional processing, and then held to IDNA2008. */
function prepareInternationalName(name: string): string {
  const prepared = toUnicode(name);
  const aLabels = toASCII(prepared);
  verifyName(aLabels);
  for (const label of prepared.split('.')) verifyULabel(label);
  verifyOctets('domainpart', prepared);
  if (toUnicode(prepared) !== prepared) throw new JidError('domainpart', 'does not settle when mapped again');
  return prepared;
}

function toUnicode(name: string): string {
  const { domain, error } = tr46().toUnicode(name, UTS46_OPTIONS);
  if (error) throw new JidError('domainpart', 'is not a valid internationalised domain name (UTS 46)');
  return domain;
}

function toASCII(name: string): string {
  const aLabels = tr46().toASCII(name, UTS46_OPTIONS);
  if (aLabels === null) throw new JidError('domainpart', 'is not a valid internationalised domain name (UTS 46)');
  return aLabels;
}

function tr46(): typeof Tr46 {
  return require('tr46') as typeof Tr46;
}

/** UTS 46 lets symbols pass and checks no CONTEXTO; IDNA2008, which RFC 7622 5 asks for, differs (RFC 5892 3). */
function verifyULabel(label: string): void {
  if (IGNORABLE_BLOCKS.test(label)) throw new JidError('domainpart', 'holds a code point that IDNA2008 excludes');
  try {
    verifyStringClass(label, 'IdentifierClass'); // what it allows and UTS 46 leaves unmapped, RFC 5892 3 allows too
  } catch (error) {
    throw error instanceof PrecisError ? new JidError('domainpart', error.message) : error;
  }
}

/** Holds a name of lower-case LDH labels and A-labels to the rules of host names. */
function verifyName(name: string): void {
  if (name.length > NAME_OCTETS) throw new JidError('domainpart', `is longer than ${NAME_OCTETS} octets in DNS`);
  const labels = name.split('.');
  for (const label of labels) {
    if (label === '') throw new JidError('domainpart', 'has an empty label');
    if (label.length > LABEL_OCTETS) throw new JidError('domainpart', `has a label longer than ${LABEL_OCTETS} octets`);
    if (!label.startsWith('xn--') && !LDH_LABEL.test(label)) {
      throw new JidError('domainpart', 'has a label that is not letters, digits and inner hyphens');
    }
  }
  // RFC 1123 2.1: no host name ends in a number; resolvers would take one for an IPv4 address in another spelling.
  if (NUMBER.test(labels.at(-1) ?? '')) throw new JidError('domainpart', 'ends in a number and is not an IPv4 address');
}
