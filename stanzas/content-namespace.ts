import { attributeValue } from './byte-string.ts';
import type { Child } from './frame.ts';
import { NS } from './namespaces.ts';
import { rawAttributes, type RawAttribute } from './raw-attributes.ts';

/*
 * Re-scoping between the content namespaces (RFC 6120 4.8.3). Inside the server every stanza is of jabber:client. What
 * inherits its namespace from the root changes with it by itself; what declares it is rewritten here.
 */

// A first look that is cheap: the rest is done for the few stanzas that name a content namespace at all.
const MAY_DECLARE_SERVER = /xmlns\s*=\s*["'](?:jabber:(?:server|component:accept)["']|[^"']*&)/;
const MAY_DECLARE_CLIENT = /xmlns\s*=\s*["'](?:jabber:client["']|[^"']*&)/;

/** What a stream that is none of a client's may have as its content namespace. */
type ServerNamespace = typeof NS.SERVER | typeof NS.COMPONENT;

/** Content and child table of a stanza. */
export interface Scoped {
  readonly content: string;
  readonly children: readonly Child[];
}

/**
 * The content of a stanza of another server's or a component's stream as content of jabber:client. Embedded copies that
 * declare the namespace of that stream declare jabber:client afterwards.
 */
export function fromServerContent({ content, children }: Scoped, namespace: ServerNamespace = NS.SERVER): Scoped {
  const edits = MAY_DECLARE_SERVER.test(content) ? declarations(content, namespace, NS.CLIENT, false) : [];
  const renamed = children.map((child) => (child.namespace === namespace ? { ...child, namespace: NS.CLIENT } : child));
  return apply(edits, content, renamed);
}

/**
 * The content of a stanza as it goes to another server or a component: a child that declares jabber:client is one of the stanza's
 * own and re-scoped; an embedded copy inside an extension keeps what it declares.
 */
export function toServerContent(content: string, namespace: ServerNamespace = NS.SERVER): string {
  if (!MAY_DECLARE_CLIENT.test(content)) return content;
  return apply(declarations(content, NS.CLIENT, namespace, true), content, []).content;
}

interface Edit {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

const NAME_END = /[\s/]|$/;

/** Finds the default namespace declarations of one namespace in verified bytes. */
function declarations(bytes: string, from: string, to: string, onlyOwn: boolean): Edit[] {
  const edits: Edit[] = [];
  /** For each open element, whether it and everything around it belongs to the content namespace. */
  const own: boolean[] = [];
  let position = 0;
  for (;;) {
    const tag = bytes.indexOf('<', position);
    if (tag < 0) return edits;
    if (bytes.startsWith('<![CDATA[', tag)) {
      position = bytes.indexOf(']]>', tag) + 3;
      continue;
    }
    const end = tagEnd(bytes, tag);
    position = end + 1;
    if (bytes[tag + 1] === '/') {
      own.pop();
      continue;
    }
    const isAround = own.at(-1) ?? true;
    const startTag = bytes.slice(tag, end);
    const declared = defaultNamespace(startTag);
    const namespace = declared === undefined ? undefined : attributeValue(declared.value);
    const isPrefixed = startTag.slice(0, startTag.search(NAME_END)).includes(':');
    if (declared !== undefined && namespace === from && (!onlyOwn || isAround)) {
      const start = tag + declared.start;
      edits.push({ start, end: start + declared.value.length, text: to });
    }
    const isOwn = isAround && !isPrefixed && (namespace === undefined || namespace === from);
    if (bytes[end - 1] !== '/') own.push(isOwn);
  }
}

/** The value of `xmlns` as it is written in a start tag, and where. */
function defaultNamespace(startTag: string): RawAttribute | undefined {
  return rawAttributes(startTag, startTag.search(NAME_END)).find(({ name }) => name === 'xmlns');
}

/** Index of the `>` that ends the tag at `start`; one inside quotes does not. */
function tagEnd(bytes: string, start: number): number {
  let position = start + 1;
  for (;;) {
    const character = bytes[position];
    if (character === undefined || character === '>') return position;
    if (character === '"' || character === "'") position = bytes.indexOf(character, position + 1);
    if (position < 0) return bytes.length;
    position++;
  }
}

function apply(edits: readonly Edit[], content: string, children: readonly Child[]): Scoped {
  if (edits.length === 0) return { content, children };
  let edited = '';
  let copied = 0;
  for (const { start, end, text } of edits) {
    edited += content.slice(copied, start) + text;
    copied = end;
  }
  let next = 0;
  let by = 0;
  // Called for growing offsets only, as children follow each other.
  const moved = (offset: number): number => {
    for (let edit = edits[next]; edit !== undefined && edit.start < offset; edit = edits[++next]) {
      by += edit.text.length - (edit.end - edit.start);
    }
    return offset + by;
  };
  return {
    content: edited + content.slice(copied),
    children: children.map((child) => ({ ...child, start: moved(child.start), end: moved(child.end) })),
  };
}
