import { attributeValue } from './byte-string.ts';
import type { Frame, StreamHeader } from './frame.ts';
import { NS } from './namespaces.ts';
import { ATTRIBUTE } from './scanner-attributes.ts';
import type { LastAddress } from './scanner-address.ts';
import { checkNoncharacters, checkUtf8 } from './scanner-characters.ts';
import { insideStream, type Surroundings } from './scanner-namespaces.ts';
import type { ElementScan } from './scanner-element.ts';
import type { ElementRecord } from './scanner-record.ts';
import { wordOf } from './scanner-vocabulary.ts';
import { StreamError } from './stream-error.ts';

/**
 * A message up to this size becomes one string, of which everything else is a slice: one call of the engine less, and what
 * is written is a slice as well. Its address or id would keep a larger one in memory.
 */
const MAX_WHOLE_BYTES = 4096;
const NAME_END = '<message'.length;
const SPACE = 0x20;

/** The frame of a scanned element that ends before `end`. Throws StreamError where the bytes are not UTF-8. */
export function makeFrame(scan: ElementScan, bytes: Buffer, end: number, lastTo: LastAddress): Frame {
  const { record } = scan;
  const { base, attributes, contentStart, contentEnd } = record;
  const isWhole = record.name === 'message' && end - base <= MAX_WHOLE_BYTES;
  if (scan.unseenHigh === 0) checkText(bytes, base, end);
  /** The root's start tag, and whatever follows it where that is little. */
  const tag = bytes.toString('latin1', base, isWhole ? end : base + contentStart);
  let isRestAsItIs = isWhole && record.isRootPlain && contentEnd > contentStart;
  let to: string | undefined;
  let from: string | undefined;
  let id: string | undefined;
  let type: string | undefined;
  let lang: string | undefined;
  let others = '';
  for (let at = 0; at < record.rootAttributesEnd; at += ATTRIBUTE.SLOTS) {
    const nameStart = attributes[at]!;
    const nameEnd = attributes[at + ATTRIBUTE.NAME_END]!;
    const valueStart = attributes[at + ATTRIBUTE.VALUE]!;
    const valueEnd = attributes[at + ATTRIBUTE.VALUE_END]!;
    switch (wordOf(bytes, base + nameStart, base + nameEnd)) {
      case 'to':
        to =
          isWhole && record.isRootPlain
            ? lastTo.take(bytes, base + valueStart, base + valueEnd)
            : value(record, tag, valueStart, valueEnd);
        break;
      case 'from':
        from = value(record, tag, valueStart, valueEnd);
        isRestAsItIs = false;
        break;
      case 'id':
        id = value(record, tag, valueStart, valueEnd);
        break;
      case 'type':
        type = record.isRootPlain
          ? wordOf(bytes, base + valueStart, base + valueEnd)
          : value(record, tag, valueStart, valueEnd);
        break;
      case 'xml:lang':
        lang = value(record, tag, valueStart, valueEnd);
        break;
      case 'xmlns':
        isRestAsItIs = false;
        break;
      default:
        // the value with its quotes; no space around the equals sign
        others += ` ${tag.substring(nameStart, nameEnd)}=${tag.substring(valueStart - 1, valueEnd + 1)}`;
    }
  }
  return {
    name: record.name,
    namespace: record.namespace,
    to,
    from,
    id,
    type,
    lang,
    others,
    content: isWhole
      ? tag.substring(contentStart, contentEnd)
      : contentOf(bytes, base + contentStart, base + contentEnd),
    children: record.children,
    // With a prefix its name would go on there.
    rest: isRestAsItIs && tag.charCodeAt(NAME_END) === SPACE ? tag.substring(NAME_END) : undefined,
    byteLength: end - base,
  };
}

/** RFC 6120 4.8.2, XEP-0114; '' where each element declares its own. */
const CONTENT_NAMESPACES: ReadonlySet<string> = new Set(['', NS.CLIENT, NS.SERVER, NS.COMPONENT]);

/** What a stream header says, and what it means for the elements inside the stream. */
export interface OpenedStream {
  readonly header: StreamHeader;
  readonly surroundings: Surroundings;
}

/** The stream that a scanned header opens. Throws StreamError where it opens none that XMPP knows. */
export function makeOpenedStream(scan: ElementScan, bytes: Buffer, end: number): OpenedStream {
  const { record } = scan;
  if (scan.unseenHigh === 0) checkText(bytes, record.base, end);
  const tag = bytes.toString('latin1', record.base, record.base + record.contentStart);
  const qualifiedName = tag.substring(record.openNameStart, record.openNameEnd);
  if (record.namespace !== NS.STREAMS) {
    throw new StreamError('invalid-namespace', 'The stream namespace is wrong'); // RFC 6120 4.8.1
  }
  if (record.name !== 'stream') throw new StreamError('bad-format', 'The first element is no stream header'); // 4.9.3.1
  const isPrefixed = qualifiedName !== 'stream';
  if (isPrefixed && qualifiedName !== 'stream:stream') {
    // RFC 6120 4.8.5 allows to accept the prefix 'stream' only, and 4.9.3.2 has the error
    throw new StreamError('bad-namespace-prefix', 'The prefix of the stream namespace is not stream');
  }
  // RFC 6120 4.8.2: another default than the stream's own namespace, or none
  const declared = record.contentNamespace;
  const contentNamespace = isPrefixed ? declared : '';
  if (!CONTENT_NAMESPACES.has(contentNamespace)) {
    throw new StreamError('invalid-namespace', 'The content namespace is not supported'); // RFC 6120 4.9.3.10
  }
  const prefixes = record.bindings?.toMap() ?? new Map<string, string>();
  return {
    header: makeHeader(record, bytes, contentNamespace),
    surroundings: insideStream(declared, prefixes, qualifiedName),
  };
}

function makeHeader(record: ElementRecord, bytes: Buffer, contentNamespace: string): StreamHeader {
  const { base, attributes } = record;
  const values = new Map<string, string>();
  for (let at = 0; at < record.rootAttributesEnd; at += ATTRIBUTE.SLOTS) {
    const nameStart = base + attributes[at]!;
    const nameEnd = base + attributes[at + ATTRIBUTE.NAME_END]!;
    // A session keeps these: each a string of its own, not a slice that keeps the whole header
    const raw = bytes.toString(
      'latin1',
      base + attributes[at + ATTRIBUTE.VALUE]!,
      base + attributes[at + ATTRIBUTE.VALUE_END]!,
    );
    values.set(bytes.toString('latin1', nameStart, nameEnd), record.isRootPlain ? raw : attributeValue(raw));
  }
  return {
    contentNamespace,
    to: values.get('to'),
    from: values.get('from'),
    id: values.get('id'),
    version: values.get('version'),
    lang: values.get('xml:lang'),
  };
}

function contentOf(bytes: Buffer, start: number, end: number): string {
  return start === end ? '' : bytes.toString('latin1', start, end);
}

/** Makes sure that every byte is UTF-8 and all characters are XML's. */
function checkText(bytes: Buffer, start: number, end: number): void {
  checkUtf8(bytes, start, end);
  checkNoncharacters(bytes.toString('latin1', start, end));
}

/** The text of a root attribute. */
function value(record: ElementRecord, tag: string, start: number, end: number): string {
  const bytes = tag.substring(start, end);
  return record.isRootPlain ? bytes : attributeValue(bytes);
}
