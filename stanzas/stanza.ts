import { attributeBytes } from './byte-string.ts';
import { parseElement, type Element } from './element.ts';
import type { Child, Frame } from './frame.ts';
import type { Jid } from './jid.ts';
import { NS } from './namespaces.ts';
import { rawAttributes } from './raw-attributes.ts';
import { Scope } from './scope.ts';
import type { StanzaError } from './stanza-error.ts';

/** The three kinds of RFC 6120 8. */
export type StanzaKind = 'message' | 'presence' | 'iq';

/** The common attributes of RFC 6120 8.1. */
export interface StanzaHeader {
  readonly to?: Jid | undefined;
  readonly from?: Jid | undefined;
  readonly id?: string | undefined;
  readonly type?: string | undefined;
  readonly lang?: string | undefined;
}

const NO_CHILDREN: readonly Child[] = [];
const CLIENT_SCOPE = Scope.of(NS.CLIENT);

/** The kind of a first-level element, or undefined when it is no stanza. */
export function stanzaKind(frame: Pick<Frame, 'name' | 'namespace'>): StanzaKind | undefined {
  if (frame.namespace !== NS.CLIENT && frame.namespace !== NS.SERVER) return undefined;
  const { name } = frame;
  return name === 'message' || name === 'presence' || name === 'iq' ? name : undefined;
}

/**
 * A stanza as it travels: a header, the bytes between its tags, and a table of its top-level children. Immutable; the
 * root tag is written anew for whoever receives it, unless it is known as it has to be (asWritten), and the content is never
 * parsed on the way.
 */
export class Stanza {
  readonly kind: StanzaKind;
  readonly to: Jid | undefined;
  readonly from: Jid | undefined;
  readonly id: string | undefined;
  readonly type: string | undefined;
  readonly lang: string | undefined;
  /** Raw bytes of the root's other attributes, each after one space; prefix declarations among them. */
  readonly others: string;
  /** The bytes between the root's tags, a byte string. */
  readonly content: string;
  readonly children: readonly Child[];
  #bytes: string | undefined;
  /** The attributes of the root in bytes, written once for a stanza and what differs from it only in content. */
  #attributes: string | undefined;

  private constructor(
    kind: StanzaKind,
    header: StanzaHeader,
    others: string,
    content: string,
    children: readonly Child[],
  ) {
    this.kind = kind;
    this.to = header.to;
    this.from = header.from;
    this.id = header.id;
    this.type = header.type;
    this.lang = header.lang;
    this.others = others;
    this.content = content;
    this.children = children;
    this.#bytes = undefined;
    this.#attributes = undefined;
  }

  /** A stanza out of a verified frame, with the addresses the receiver has prepared. */
  static fromFrame(kind: StanzaKind, frame: Frame, header: StanzaHeader): Stanza {
    return new Stanza(kind, header, frame.others, frame.content, frame.children);
  }

  /** The same, of which the bytes are known. */
  static asWritten(kind: StanzaKind, frame: Frame, header: StanzaHeader, bytes: string): Stanza {
    const stanza = new Stanza(kind, header, frame.others, frame.content, frame.children);
    stanza.#bytes = bytes;
    return stanza;
  }

  /** A new stanza with these elements as its content. */
  static create(kind: StanzaKind, header: StanzaHeader, elements: readonly Element[] = []): Stanza {
    let content = '';
    const children: Child[] = [];
    for (const child of elements) {
      const start = content.length;
      content += child.toBytes(NS.CLIENT);
      children.push({ name: child.name, namespace: child.namespace, start, end: content.length });
    }
    return new Stanza(kind, header, '', content, elements.length === 0 ? NO_CHILDREN : children);
  }

  /** The same content under another header; what the given header leaves out stays as it is. */
  withHeader(header: StanzaHeader): Stanza {
    return new Stanza(this.kind, { ...this.#header(), ...header }, this.others, this.content, this.children);
  }

  /** The same stanza around other bytes, into which nobody looks any more: its table of children is empty. */
  withContent(content: string): Stanza {
    const stanza = new Stanza(this.kind, this, this.others, content, NO_CHILDREN);
    stanza.#attributes = this.#attributes;
    return stanza;
  }

  /** With one more child at the end. `bytes` must be the serialised element, well-formed by itself. */
  withChild(name: string, namespace: string, bytes: string): Stanza {
    const start = this.content.length;
    const child = { name, namespace, start, end: start + bytes.length };
    return new Stanza(this.kind, this, this.others, this.content + bytes, [...this.children, child]);
  }

  /** Without the children that match; itself when none does. */
  withoutChildren(matches: (child: Child) => boolean): Stanza {
    if (!this.children.some(matches)) return this;
    let content = '';
    const children: Child[] = [];
    let copied = 0;
    for (const child of this.children) {
      content += this.content.slice(copied, child.start);
      copied = child.end;
      if (matches(child)) continue;
      const start = content.length;
      content += this.bytesOf(child);
      children.push({ ...child, start, end: content.length });
    }
    return new Stanza(this.kind, this, this.others, content + this.content.slice(copied), children);
  }

  findChild(name: string, namespace: string): Child | undefined {
    return this.children.find((child) => child.name === name && child.namespace === namespace);
  }

  hasChild(name: string, namespace: string): boolean {
    return this.findChild(name, namespace) !== undefined;
  }

  bytesOf(child: Child): string {
    return this.content.slice(child.start, child.end);
  }

  /** Parses one child of the table. */
  parse(child: Child): Element {
    return parseElement(this.bytesOf(child), CLIENT_SCOPE.within(this.others));
  }

  /** Parses the first child of that name; undefined when there is none. */
  child(name: string, namespace: string): Element | undefined {
    const found = this.findChild(name, namespace);
    return found === undefined ? undefined : this.parse(found);
  }

  /** The payload of an IQ: its first child that is no `<error/>` (RFC 6120 8.2.3). */
  get payload(): Child | undefined {
    return this.children.find((child) => child.name !== 'error' || child.namespace !== NS.CLIENT);
  }

  /** About how many bytes it takes, for the bounds of what is kept: senders choose not only the content. */
  get size(): number {
    const { to, from, id, type, lang } = this;
    const header = (to?.full.length ?? 0) + (from?.full.length ?? 0) + (id?.length ?? 0);
    return this.content.length + this.others.length + header + (type?.length ?? 0) + (lang?.length ?? 0);
  }

  /** The stanza as a byte string for a stream whose default namespace is its content namespace. Written once, kept. */
  toBytes(): string {
    return (this.#bytes ??= this.#write(''));
  }

  /** The stanza as a byte string that stands alone or inside another element (RFC 7395 3.3, XEP-0297). */
  toDocument(): string {
    return this.#write(` xmlns='${NS.CLIENT}'`);
  }

  /** The answer to this stanza: addresses swapped, id kept (RFC 6120 8.2.3, 8.3.1). */
  reply(type: string, elements: readonly Element[] = []): Stanza {
    return Stanza.create(this.kind, { to: this.from, from: this.to, id: this.id, type }, elements);
  }

  /** The error that answers this stanza. An IQ's payload is given back: clients look into it (Interop: OMEMO in profanity). */
  errorReply(error: StanzaError): Stanza {
    const reply = this.reply('error', [error.toElement()]);
    const payload = this.kind === 'iq' ? this.payload : undefined;
    if (payload === undefined || payload.end - payload.start > MAX_ECHOED_BYTES) return reply;
    const echoed = this.bytesOf(payload);
    const children = [
      { ...payload, start: 0, end: echoed.length },
      ...reply.children.map((child) => ({
        ...child,
        start: child.start + echoed.length,
        end: child.end + echoed.length,
      })),
    ];
    return new Stanza('iq', reply, prefixDeclarations(this.others), echoed + reply.content, children);
  }

  #header(): StanzaHeader {
    return { to: this.to, from: this.from, id: this.id, type: this.type, lang: this.lang };
  }

  #write(namespace: string): string {
    const tag = `<${this.kind}${namespace}${(this.#attributes ??= this.#writeAttributes())}`;
    return this.content === '' ? `${tag}/>` : `${tag}>${this.content}</${this.kind}>`;
  }

  #writeAttributes(): string {
    let attributes = '';
    if (this.to !== undefined) attributes += ` to='${this.to.attributeBytes}'`;
    if (this.from !== undefined) attributes += ` from='${this.from.attributeBytes}'`;
    if (this.id !== undefined) attributes += ` id='${attributeBytes(this.id)}'`;
    if (this.type !== undefined) attributes += ` type='${attributeBytes(this.type)}'`;
    if (this.lang !== undefined) attributes += ` xml:lang='${attributeBytes(this.lang)}'`;
    return attributes + this.others;
  }
}

/** `<message from='juliet@example.com/balcony' xml:lang='en'`, to which a start tag's other attributes can be added. */
export function openingOf(kind: StanzaKind, from: Jid, lang: string | undefined): string {
  const language = lang === undefined ? '' : ` xml:lang='${attributeBytes(lang)}'`;
  return [`<${kind} from='${from.attributeBytes}'`, language, ''].join('');
}

/** An error never grows into an amplifier: a larger payload is not given back (RFC 6120 8.3.1 rule 6). */
const MAX_ECHOED_BYTES = 4096;

function prefixDeclarations(others: string): string {
  return rawAttributes(others)
    .filter(({ name }) => name.startsWith('xmlns:'))
    .map(({ name, value, start }) => ` ${name}=${others.slice(start - 1, start + value.length + 1)}`)
    .join('');
}

/** RFC 6121 5.2.2: an unknown or absent message type is handled as normal. */
export type MessageType = 'normal' | 'chat' | 'groupchat' | 'headline' | 'error';

export function messageType(stanza: Pick<Stanza, 'type'>): MessageType {
  switch (stanza.type) {
    case 'chat':
    case 'groupchat':
    case 'headline':
    case 'error':
      return stanza.type;
    default:
      return 'normal';
  }
}
