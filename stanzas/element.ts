import { attributeValue, escapeAttribute, escapeText, fromByteString, textValue, toByteString } from './byte-string.ts';
import { NS } from './namespaces.ts';
import { rawAttributes } from './raw-attributes.ts';
import { Scope } from './scope.ts';

/** What an element may contain: elements and text. */
export type Node = Element | string;

/** Attributes by qualified name (`xml:lang`), or by `{namespace}name` where a foreign prefix qualified them. */
export type Attributes = Readonly<Record<string, string | undefined>>;

/**
 * An XML element as a small immutable tree, for the few stanzas whose content is read or made here; everything else
 * travels as bytes. Names are expanded: prefixes are resolved when parsing and never written.
 */
export class Element {
  readonly name: string;
  readonly namespace: string;
  readonly attributes: Attributes;
  readonly nodes: readonly Node[];

  constructor(name: string, namespace: string, attributes: Attributes = {}, nodes: readonly Node[] = []) {
    this.name = name;
    this.namespace = namespace;
    this.attributes = attributes;
    this.nodes = nodes;
  }

  attribute(name: string): string | undefined {
    return Object.hasOwn(this.attributes, name) ? this.attributes[name] : undefined;
  }

  /** The child elements in document order. */
  get children(): Element[] {
    return this.nodes.filter((node) => typeof node !== 'string');
  }

  /** The first child with this expanded name; the namespace is this element's own unless given. */
  child(name: string, namespace = this.namespace): Element | undefined {
    return this.children.find((child) => child.name === name && child.namespace === namespace);
  }

  childrenNamed(name: string, namespace = this.namespace): Element[] {
    return this.children.filter((child) => child.name === name && child.namespace === namespace);
  }

  /** The character data directly inside this element. */
  get text(): string {
    return this.nodes.filter((node) => typeof node === 'string').join('');
  }

  /** Serialises as a byte string, declaring the namespace where it differs from the surrounding one. */
  toBytes(surroundingNamespace = ''): string {
    return toByteString(this.#toText(surroundingNamespace));
  }

  #toText(surroundingNamespace: string): string {
    let tag = `<${this.name}`;
    if (this.namespace !== surroundingNamespace) tag += ` xmlns='${escapeAttribute(this.namespace)}'`;
    let prefixes = 0;
    for (const [name, value] of Object.entries(this.attributes)) {
      if (value === undefined) continue;
      const end = name.startsWith('{') ? name.lastIndexOf('}') : -1;
      if (end < 0) {
        tag += ` ${name}='${escapeAttribute(value)}'`;
      } else {
        const prefix = `ns${String(prefixes++)}`;
        tag += ` xmlns:${prefix}='${escapeAttribute(name.slice(1, end))}' ${prefix}:${name.slice(end + 1)}='${escapeAttribute(value)}'`;
      }
    }
    if (this.nodes.length === 0) return `${tag}/>`;
    let content = '';
    for (const node of this.nodes)
      content += typeof node === 'string' ? escapeText(node) : node.#toText(this.namespace);
    return `${tag}>${content}</${this.name}>`;
  }
}

/** Shorthand for a new element; undefined attributes are left out when it is written. */
export function element(name: string, namespace: string, attributes?: Attributes, ...nodes: Node[]): Element {
  return new Element(name, namespace, attributes, nodes);
}

const NO_SCOPE = Scope.of('');

/**
 * Parses one element out of bytes that the scanner has already verified; on anything else the result is unspecified.
 *
 * @param bytes a byte string that begins with the element's start tag
 * @param scope the namespaces in scope around it; none for what stands alone
 */
export function parseElement(bytes: string, scope = NO_SCOPE): Element {
  interface Open {
    name: string;
    namespace: string;
    attributes: Record<string, string>;
    nodes: Node[];
    scope: Scope;
  }
  const open: Open[] = [];
  let position = 0;
  for (;;) {
    const tag = bytes.indexOf('<', position);
    const parent = open.at(-1);
    if (tag > position && parent !== undefined) appendText(parent.nodes, textValue(bytes.slice(position, tag)));
    if (tag < 0) throw new Error('parseElement was given bytes the scanner has not verified');
    if (bytes.startsWith('<![CDATA[', tag)) {
      const end = bytes.indexOf(']]>', tag);
      // Inside CDATA nothing is a reference: escape ampersands so that the shared decoder leaves them alone.
      appendText(parent!.nodes, textValue(bytes.slice(tag + 9, end).replaceAll('&', '&amp;')));
      position = end + 3;
      continue;
    }
    const end = tagEnd(bytes, tag);
    position = end + 1;
    if (bytes[tag + 1] !== '/') {
      const empty = bytes[end - 1] === '/';
      const startTag = bytes.slice(tag + 1, empty ? end - 1 : end);
      open.push(startElement(startTag, parent?.scope ?? scope));
      if (!empty) continue;
    }
    const closed = open.pop()!;
    const finished = new Element(closed.name, closed.namespace, closed.attributes, closed.nodes);
    const outer = open.at(-1);
    if (outer === undefined) return finished;
    outer.nodes.push(finished);
  }

  function startElement(startTag: string, outer: Scope): Open {
    const nameEnd = /[\s]/.exec(startTag)?.index ?? startTag.length;
    const inner = outer.within(startTag, nameEnd);
    const [prefix, name] = splitName(startTag.slice(0, nameEnd));
    // Without a prototype: `__proto__` is a name like any other.
    const attributes = Object.create(null) as Record<string, string>;
    for (const { name: qualified, value } of rawAttributes(startTag, nameEnd)) {
      if (qualified === 'xmlns' || qualified.startsWith('xmlns:')) continue;
      const [attributePrefix, local] = splitName(qualified);
      const key =
        attributePrefix === '' || attributePrefix === 'xml'
          ? fromByteString(qualified)
          : `{${inner.find(attributePrefix) ?? ''}}${local}`;
      attributes[key] = attributeValue(value);
    }
    const namespace = prefix === 'xml' ? NS.XML : (inner.find(prefix) ?? '');
    return { name, namespace, attributes, nodes: [], scope: inner };
  }
}

/** Index of the `>` that ends the tag at `start`; a `>` inside quotes does not. */
function tagEnd(bytes: string, start: number): number {
  let position = start + 1;
  for (;;) {
    const character = bytes.charCodeAt(position);
    if (character === 0x3e) return position;
    if (character === 0x22) position = bytes.indexOf('"', position + 1);
    else if (character === 0x27) position = bytes.indexOf("'", position + 1);
    if (position < 0 || position >= bytes.length)
      throw new Error('parseElement was given bytes the scanner has not verified');
    position++;
  }
}

/** The prefix as it is written, '' where there is none, and the local name as text: names hold no references. */
function splitName(qualified: string): [prefix: string, local: string] {
  const colon = qualified.indexOf(':');
  return colon < 0
    ? ['', fromByteString(qualified)]
    : [qualified.slice(0, colon), fromByteString(qualified.slice(colon + 1))];
}

function appendText(nodes: Node[], text: string): void {
  const last = nodes.length - 1;
  const before = nodes[last];
  if (typeof before === 'string') nodes[last] = before + text;
  else nodes.push(text);
}
