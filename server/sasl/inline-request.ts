import { parseElement, type Element } from '../../stanzas/element.ts';
import type { Child, Frame } from '../../stanzas/frame.ts';
import { NS } from '../../stanzas/namespaces.ts';
import { Scope } from '../../stanzas/scope.ts';
import { SaslError } from './sasl-error.ts';
import type { UserAgent } from './tokens.ts';

/** What a client asks for together with its authentication (XEP-0388, "Initiation"). */
export interface InlineRequest {
  /** Undefined where the client gives no id. */
  readonly agent: UserAgent | undefined;
  /** The first child of this expanded name; undefined where there is none. */
  readonly find: (name: string, namespace: string) => Element | undefined;
  /** All of them. */
  readonly all: (name: string, namespace: string) => readonly Element[];
}

/** Children one `<authenticate/>` may have; a client of today sends six. */
const MAX_CHILDREN = 32;
/** A UUID has 36; others are taken too, since only their hash is kept. */
const MAX_ID_LENGTH = 128;
const MAX_TEXT_LENGTH = 100;

/** The children of `<authenticate/>`. Throws SaslError malformed-request for more than anybody needs. */
export function inlineRequestOf(frame: Frame): InlineRequest {
  if (frame.children.length > MAX_CHILDREN) throw new SaslError('malformed-request', 'Too many elements');
  const parse = ({ namespace, start, end }: Child): Element =>
    parseElement(frame.content.slice(start, end), Scope.of(namespace).within(frame.others));
  const isOf = (name: string, namespace: string) => (child: Child) =>
    child.name === name && child.namespace === namespace;
  const find = (name: string, namespace: string): Element | undefined => {
    const child = frame.children.find(isOf(name, namespace));
    return child === undefined ? undefined : parse(child);
  };
  const all = (name: string, namespace: string): readonly Element[] =>
    frame.children.filter(isOf(name, namespace)).map(parse);
  return { agent: agentOf(find('user-agent', NS.SASL2)), find, all };
}

function agentOf(element: Element | undefined): UserAgent | undefined {
  const id = element?.attribute('id');
  if (element === undefined || id === undefined || id === '') return undefined;
  if (id.length > MAX_ID_LENGTH) throw new SaslError('malformed-request', 'The id of the user agent is too long');
  return {
    id,
    software: shownText(element.child('software')?.text),
    device: shownText(element.child('device')?.text),
  };
}

/** Text that a stranger chose and an operator's terminal shows: one line, without control or format characters. */
function shownText(text = ''): string {
  const line = text.replace(/[\p{C}\p{Zl}\p{Zp}]+/gu, ' ').trim();
  return line.slice(0, MAX_TEXT_LENGTH).replace(/[\ud800-\udbff]$/, ''); // no half of a character
}
