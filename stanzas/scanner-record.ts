import { fromByteString } from './byte-string.ts';
import type { Child } from './frame.ts';
import { NS } from './namespaces.ts';
import { ATTRIBUTE, resolveName, takeInAttributes } from './scanner-attributes.ts';
import { AROUND_DOCUMENT, type PrefixBindings, type Surroundings } from './scanner-namespaces.ts';
import { tooMuch } from './scanner-refusals.ts';
import { wordOf } from './scanner-vocabulary.ts';
import { StreamError } from './stream-error.ts';

/** What a peer may send at most. A first-level element and a stream header are measured alike. */
export interface ScannerLimits {
  /** Bytes of one first-level element, from its `<` to its last `>`. */
  readonly maxBytes: number;
  /** Elements inside each other; the first-level element is the first. */
  readonly maxDepth: number;
  /** Attributes of one element, its namespace declarations among them. */
  readonly maxAttributes: number;
}

const { COLON, NAME_END, VALUE, VALUE_END, SLOTS } = ATTRIBUTE;
const NO_LIMITS: ScannerLimits = Object.freeze({ maxBytes: 0, maxDepth: 0, maxAttributes: 0 });
const OPEN_SLOTS = 3; // start and end of the name, prefixes bound outside

/**
 * What is known of the element being scanned: its open elements, the attributes of its root and of the current tag,
 * its children. All positions are counted from the element's first byte, so that they hold when the bytes move.
 */
export class ElementRecord {
  limits: ScannerLimits = NO_LIMITS;
  surroundings: Surroundings = AROUND_DOCUMENT;
  /** Index of the element's first byte in the bytes given to each method. */
  base = 0;
  /** Open elements. */
  depth = 0;
  name = '';
  namespace = '';
  /** Whether the root's attributes are their own text: ASCII, no reference, no tab or line end. */
  isRootPlain = true;
  /** The same of the current tag. */
  isTagPlain = true;
  /** ATTRIBUTE.SLOTS numbers for each attribute: the root's first, then those of the current tag. */
  readonly attributes: number[] = [];
  rootAttributesEnd = 0;
  attributesEnd = 0;
  contentStart = 0;
  contentEnd = 0;
  /** The namespace of children that declare none. */
  contentNamespace = '';
  children: { -readonly [Key in keyof Child]: Child[Key] }[] = [];
  bindings: PrefixBindings | undefined = undefined;
  private tagNameStart = 0;
  private tagColon = 0;
  private tagNameEnd = 0;
  private readonly open: number[] = [];

  /** Forgets the last element; `base` is where the next one starts. */
  begin(base: number, surroundings: Surroundings, limits: ScannerLimits): void {
    this.limits = limits;
    this.surroundings = surroundings;
    this.base = base;
    this.depth = 0;
    this.rootAttributesEnd = 0;
    this.attributesEnd = 0;
    this.children = [];
    this.bindings = undefined;
  }

  get tagAttributesStart(): number {
    return this.depth === 0 ? 0 : this.rootAttributesEnd;
  }

  /** Notes the name of the current tag; `colon` is 0 where it has no prefix. */
  nameTag(start: number, colon: number, end: number): void {
    this.tagNameStart = start;
    this.tagColon = colon;
    this.tagNameEnd = end;
  }

  /** Notes an attribute of the current tag. Throws StreamError policy-violation where it is one too many. */
  addAttribute(nameStart: number, colon: number, nameEnd: number, value: number, valueEnd: number): void {
    const { attributes, attributesEnd: at } = this;
    if (at - this.tagAttributesStart >= this.limits.maxAttributes * SLOTS) {
      throw tooMuch('An element has too many attributes');
    }
    attributes[at] = nameStart;
    attributes[at + COLON] = colon;
    attributes[at + NAME_END] = nameEnd;
    attributes[at + VALUE] = value;
    attributes[at + VALUE_END] = valueEnd;
    this.attributesEnd = at + SLOTS;
  }

  /** Takes in the current start tag, which is whole. Throws StreamError for what its attributes or prefixes breach. */
  startTagEnded(bytes: Buffer, tagEnd: number): void {
    const { base, depth, tagNameStart: nameStart, tagColon: colon, tagNameEnd: nameEnd, isTagPlain } = this;
    const boundOutside = this.bindings === undefined ? 0 : this.bindings.count;
    const from = this.tagAttributesStart;
    const declared = this.attributesEnd === from ? undefined : takeInAttributes(this, bytes, from);
    if (depth < 2) {
      const inherited = depth === 0 ? this.surroundings.defaultNamespace : this.contentNamespace;
      const namespace = colon === 0 ? (declared ?? inherited) : resolveName(this, bytes, nameStart, colon, depth === 0);
      const local = wordOf(bytes, base + (colon === 0 ? nameStart : colon + 1), base + nameEnd);
      const name = isTagPlain ? local : fromByteString(local);
      if (depth === 0) {
        if (this.surroundings.isStream && namespace === NS.STREAMS && name === 'stream') {
          // RFC 6120 4.3.3 wants it after the old stream is flushed (reset), never inside it
          throw new StreamError('bad-format', 'A stream header came inside a stream');
        }
        this.name = name;
        this.namespace = namespace;
        this.isRootPlain = isTagPlain;
        this.contentNamespace = declared ?? inherited;
        this.rootAttributesEnd = this.attributesEnd;
        this.contentStart = tagEnd;
      } else {
        this.children.push({ name, namespace, start: nameStart - 1 - this.contentStart, end: 0 });
      }
    } else if (colon !== 0) resolveName(this, bytes, nameStart, colon, false);
    const slot = depth * OPEN_SLOTS;
    this.open[slot] = nameStart;
    this.open[slot + 1] = nameEnd;
    this.open[slot + 2] = boundOutside;
    this.depth = depth + 1;
  }

  /** Closes the innermost element, whose end tag starts and ends here (for an empty element, where its tag ends). */
  elementEnded(endTagStart: number, endTagEnd: number): void {
    const depth = --this.depth;
    if (this.bindings !== undefined) this.bindings.truncate(this.open[depth * OPEN_SLOTS + 2]!);
    if (depth === 1) this.children[this.children.length - 1]!.end = endTagEnd - this.contentStart;
    else if (depth === 0) this.contentEnd = endTagStart;
  }

  /** Start of the innermost element's name. */
  get openNameStart(): number {
    return this.open[(this.depth - 1) * OPEN_SLOTS]!;
  }

  get openNameEnd(): number {
    return this.open[(this.depth - 1) * OPEN_SLOTS + 1]!;
  }
}
