import { isUtf8 } from 'node:buffer';
import sax from 'sax';
import { SaxesParser } from 'saxes';
import type { Frame } from '../../stanzas/frame.ts';
import { scanDocument } from '../../stanzas/scanner.ts';
import { escapeAttribute, fromByteString } from '../../stanzas/byte-string.ts';
import { documentCondition } from './scanner-events.ts';

/*
 * Two XML parsers of the world as judges of the scanner. `saxes` is strict and judges in both directions; `sax` takes
 * much that is not XML, so it can only say that what the scanner accepts is accepted elsewhere, and means the same.
 * Wherever they and the scanner differ, one of the named reasons below has to explain it.
 */

/** What a document means: start tags with expanded names and attributes, text, end tags, one string each. */
export interface Reading {
  readonly events: readonly string[];
  /** Why the parser refuses it; undefined when it does not. */
  readonly refusal: string | undefined;
}

/** An expanded name without the white space that saxes trims off namespace names, and that sax does not normalise. */
function expanded(namespace: string, local: string): string {
  return `{${namespace.trim().replace(/\s/g, '_')}}${local}`;
}

/** A document as `saxes` reads it. */
export function readWithSaxes(document: string): Reading {
  const parser = new SaxesParser({ xmlns: true });
  const events: string[] = [];
  let text = '';
  let refusal: string | undefined;
  const flush = (): void => {
    if (text !== '') events.push(`text ${text}`);
    text = '';
  };
  parser.on('error', (error) => (refusal ??= error.message));
  parser.on('text', (more) => (text += more));
  parser.on('cdata', (more) => (text += more));
  parser.on('opentag', ({ uri, local, attributes }) => {
    flush();
    const values = Object.values(attributes)
      .filter(({ name }) => name !== 'xmlns')
      .map((attribute) => `${expanded(attribute.uri, attribute.local)}=${JSON.stringify(attribute.value)}`);
    events.push(`<${expanded(uri, local)} ${values.sort().join(' ')}`);
  });
  parser.on('closetag', () => {
    flush();
    events.push('>');
  });
  parser.write(document).close();
  return { events, refusal };
}

/** A document as `sax` reads it: expanded names only, for it leaves line ends in attributes as they are. */
export function readWithSax(document: string): Reading {
  const parser = sax.parser(true, { xmlns: true });
  const events: string[] = [];
  let refusal: string | undefined;
  parser.onerror = (error) => {
    refusal ??= error.message;
    parser.resume();
  };
  parser.onopentag = (tag) => {
    if ('uri' in tag) events.push(`<${expanded(tag.uri, tag.local)}`);
  };
  parser.onclosetag = () => events.push('>');
  parser.write(document).close();
  return { events, refusal };
}

const REASONS_TO_REFUSE: readonly (readonly [why: string, condition: string, shows: (document: string) => boolean])[] =
  [
    ['RFC 6120 11.1: comments', 'restricted-xml', (document) => document.includes('<!--')],
    ['RFC 6120 11.1: processing instructions', 'restricted-xml', (document) => /<\?(?!xml)/i.test(document)],
    ['RFC 6120 11.1: document type declarations', 'restricted-xml', (document) => document.includes('<!DOCTYPE')],
    [
      'RFC 6120 4.8.5: a prefix for a content namespace',
      'bad-namespace-prefix',
      (document) => document.includes('jabber:'),
    ],
    ['RFC 6120 11.6: UTF-8 only', 'unsupported-encoding', (document) => /<\?xml[^>]*encoding/.test(document)],
    ['RFC 6120 11.6: U+FEFF is no byte order mark', 'not-well-formed', (document) => document.startsWith('\ufeff')],
    [
      'Namespaces in XML 4: a local part is an NCName; saxes lets it begin with any NameChar',
      'not-well-formed',
      (document) => /:[-.0-9\u00b7\u0300-\u036f\u203f\u2040]/.test(document),
    ],
  ];

const REASONS_TO_ACCEPT: readonly (readonly [why: string, shows: (document: string, refusal: string) => boolean])[] = [
  [
    'Namespaces in XML 2.2: names are compared as they are; saxes trims them, and takes white space for none',
    (document, refusal) => refusal.includes('undefine prefix') && /xmlns:[^=]*=\s*(?:'\s+'|"\s+")/.test(document),
  ],
  [
    'the same, where names that differ in white space alone become one',
    (document, refusal) =>
      refusal.includes('duplicate attribute') && /xmlns:[^=]*=\s*(?:'(?:\s|[^']*\s')|"(?:\s|[^"]*\s"))/.test(document),
  ],
];

/** How the scanner and saxes differ about a document without a reason that explains it; undefined where they do not. */
export function unexplainedDifference(bytes: Buffer): string | undefined {
  const limits = { maxBytes: 1_000_000, maxDepth: 1000, maxAttributes: 1000 };
  const condition = documentCondition(bytes, limits);
  if (!isUtf8(bytes)) return condition === undefined ? 'the scanner accepts what is not UTF-8' : undefined;
  const document = bytes.toString();
  const saxes = readWithSaxes(document);
  if (condition !== undefined) {
    if (saxes.refusal !== undefined) return undefined;
    if (REASONS_TO_REFUSE.some(([, which, shows]) => which === condition && shows(document))) return undefined;
    return `the scanner refuses (${condition}) what saxes accepts`;
  }
  if (saxes.refusal !== undefined) {
    const { refusal } = saxes;
    if (REASONS_TO_ACCEPT.some(([, shows]) => shows(document, refusal))) return undefined;
    return `the scanner accepts what saxes refuses: ${saxes.refusal}`;
  }
  const sax = readWithSax(document);
  if (sax.refusal !== undefined) return `the scanner accepts what sax refuses: ${sax.refusal}`;
  if (sax.events.join('\n') !== saxes.events.filter(isTag).map(withoutAttributes).join('\n'))
    return 'sax reads other elements';
  return differenceOfMeaning(scanDocument(bytes, limits), saxes.events);
}

function isTag(event: string): boolean {
  return !event.startsWith('text');
}

function withoutAttributes(event: string): string {
  const [name] = event.split(' ', 1);
  return name ?? '';
}

/** How a frame differs from what saxes read, when it is written as a document again; undefined where it does not. */
function differenceOfMeaning(frame: Frame, events: readonly string[]): string | undefined {
  const root = withoutAttributes(events[0] ?? '');
  if (`<${expanded(frame.namespace, frame.name)}` !== root) return `the root is ${frame.name}`;
  const children = childrenIn(events);
  const found = frame.children.map(({ name, namespace }) => `<${expanded(namespace, name)}`);
  if (found.join('\n') !== children.join('\n')) return `the children are ${found.join(' ')}`;
  const others = fromByteString(frame.others);
  const content = fromByteString(frame.content);
  const declared = [...others.matchAll(/ ([^\s=]+)=(?:'[^']*'|"[^"]*")/g)]
    .filter(([, name]) => name?.startsWith('xmlns:'))
    .map(([attribute]) => attribute)
    .join('');
  for (const { start, end } of frame.children) {
    const child = fromByteString(frame.content.slice(start, end));
    const { events: inside, refusal } = readWithSaxes(`<r${declared}>${child}</r>`);
    if (refusal !== undefined || childrenIn(inside).length !== 1 || inside.at(-2) !== '>') return `no child: ${child}`;
  }
  let between = '';
  let last = 0;
  for (const { start, end } of [...frame.children, { start: frame.content.length, end: 0 }]) {
    between += frame.content.slice(last, start);
    last = end;
  }
  if (readWithSaxes(`<r>${fromByteString(between)}</r>`).events.filter(isTag).length !== 2) return 'a child is missing';
  // A prefixed root has another default namespace than its own, which a frame does not keep: only stanzas are sent on.
  if (frame.namespace !== '' && !frame.children.every(({ namespace }) => namespace === frame.namespace))
    return undefined;
  const common = (['to', 'from', 'id', 'type'] as const).map((name) => written(name, frame[name])).join('');
  const again = `<${frame.name} xmlns='${escapeAttribute(frame.namespace)}'${common}${written('xml:lang', frame.lang)}${others}>${content}</${frame.name}>`;
  const reread = readWithSaxes(again);
  if (reread.refusal !== undefined) return `written again, it is refused: ${reread.refusal}`;
  if (reread.events.join('\n') !== events.join('\n')) return `written again, it means something else: ${again}`;
  return undefined;
}

function written(name: string, value: string | undefined): string {
  return value === undefined ? '' : ` ${name}='${escapeAttribute(value)}'`;
}

/** The start tags of the root's children. */
function childrenIn(events: readonly string[]): string[] {
  const children: string[] = [];
  let depth = 0;
  for (const event of events.filter(isTag)) {
    if (event === '>') depth--;
    else if (depth++ === 1) children.push(withoutAttributes(event));
  }
  return children;
}
