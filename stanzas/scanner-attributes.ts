import { attributeValue } from './byte-string.ts';
import { NS } from './namespaces.ts';
import { checkDefaultNamespace, checkPrefixDeclaration, PrefixBindings, resolvePrefix } from './scanner-namespaces.ts';
import type { ElementRecord } from './scanner-record.ts';
import { notWellFormed } from './scanner-refusals.ts';
import { wordOf } from './scanner-vocabulary.ts';

/** Where the parts of an attribute lie: the slots it takes in `ElementRecord.attributes`. */
export const ATTRIBUTE = { NAME: 0, COLON: 1, NAME_END: 2, VALUE: 3, VALUE_END: 4, SLOTS: 5 } as const;

const { COLON, NAME_END, VALUE, VALUE_END, SLOTS } = ATTRIBUTE;
const XMLNS_LENGTH = 5;
const FEW_ATTRIBUTES = 8; // compared in pairs; more go through a set

/** Checks the attributes of a tag and binds its prefixes; returns its default namespace where it declares one. */
export function takeInAttributes(record: ElementRecord, bytes: Buffer, from: number): string | undefined {
  const { attributes, attributesEnd: end, base, isTagPlain } = record;
  if (end - from > SLOTS) refuseDuplicates(record, bytes, from);
  let defaultNamespace: string | undefined;
  let prefixed = 0;
  for (let at = from; at < end; at += SLOTS) {
    const start = base + attributes[at]!;
    const colon = attributes[at + COLON]!;
    const nameEnd = base + attributes[at + NAME_END]!;
    if ((colon === 0 ? nameEnd : base + colon) - start !== XMLNS_LENGTH || !isXmlns(bytes, start)) {
      if (colon !== 0) prefixed++;
      continue;
    }
    const value = wordOf(bytes, base + attributes[at + VALUE]!, base + attributes[at + VALUE_END]!);
    const namespace = isTagPlain ? value : attributeValue(value);
    if (colon === 0) {
      checkDefaultNamespace(namespace);
      defaultNamespace = namespace;
    } else {
      const prefix = bytes.toString('latin1', base + colon + 1, nameEnd);
      checkPrefixDeclaration(prefix, namespace);
      if (prefix !== 'xml') (record.bindings ??= new PrefixBindings()).bind(prefix, namespace);
    }
  }
  if (prefixed > 0) resolveAttributes(record, bytes, from, prefixed > 1);
  return defaultNamespace;
}

/** Refuses a name that comes twice (XML 1.0 3.1). */
function refuseDuplicates(record: ElementRecord, bytes: Buffer, from: number): void {
  const { attributes, attributesEnd: end, base } = record;
  if (end - from > FEW_ATTRIBUTES * SLOTS) {
    const names = new Set<string>();
    for (let at = from; at < end; at += SLOTS) {
      names.add(bytes.toString('latin1', base + attributes[at]!, base + attributes[at + NAME_END]!));
    }
    if (names.size * SLOTS < end - from) throw notWellFormed('An attribute comes twice');
    return;
  }
  for (let at = from + SLOTS; at < end; at += SLOTS) {
    const start = attributes[at]!;
    const length = attributes[at + NAME_END]! - start;
    for (let other = from; other < at; other += SLOTS) {
      const otherStart = attributes[other]!;
      if (attributes[other + NAME_END]! - otherStart !== length) continue;
      let index = 0;
      while (index < length && bytes[base + start + index] === bytes[base + otherStart + index]) index++;
      if (index === length) throw notWellFormed('An attribute comes twice');
    }
  }
}

/** Resolves the prefixes of attributes; refuses one expanded name twice (Namespaces in XML 1.0, section 6.3). */
function resolveAttributes(record: ElementRecord, bytes: Buffer, from: number, several: boolean): void {
  const { attributes, base } = record;
  const names = several ? new Set<string>() : undefined;
  for (let at = from; at < record.attributesEnd; at += SLOTS) {
    const start = attributes[at]!;
    const colon = attributes[at + COLON]!;
    if (colon === 0 || (colon - start === XMLNS_LENGTH && isXmlns(bytes, base + start))) continue;
    const namespace = resolveName(record, bytes, start, colon, false);
    if (names === undefined) continue;
    const local = bytes.toString('latin1', base + colon + 1, base + attributes[at + NAME_END]!);
    const expanded = `${local} ${namespace}`;
    if (names.has(expanded)) throw notWellFormed('An attribute comes twice by two prefixes');
    names.add(expanded);
  }
}

export function resolveName(
  record: ElementRecord,
  bytes: Buffer,
  start: number,
  colon: number,
  isFirstLevelName: boolean,
): string {
  const { base } = record;
  const at = base + start;
  if (colon - start === 3 && bytes[at] === 0x78 && bytes[at + 1] === 0x6d && bytes[at + 2] === 0x6c) return NS.XML;
  const prefix = bytes.toString('latin1', at, base + colon);
  return resolvePrefix(prefix, record.bindings, record.surroundings, isFirstLevelName);
}

/** Whether the five bytes from start spell `xmlns`. */
function isXmlns(bytes: Buffer, start: number): boolean {
  return (
    bytes[start] === 0x78 &&
    bytes[start + 1] === 0x6d &&
    bytes[start + 2] === 0x6c &&
    bytes[start + 3] === 0x6e &&
    bytes[start + 4] === 0x73
  );
}
