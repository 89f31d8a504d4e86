import { attributeValue } from './byte-string.ts';
import { rawAttributes } from './raw-attributes.ts';

/** A top-level child of a frame: its expanded name and where it lies in the frame's `content`. */
export interface Child {
  /** Local name. */
  readonly name: string;
  /** Namespace URI; '' for none. */
  readonly namespace: string;
  /** First byte of the start tag in `content`. */
  readonly start: number;
  /** One past the last byte of the end tag in `content`. */
  readonly end: number;
}

/** One whole first-level element of a stream, verified by the scanner and kept as its bytes (docs/architecture.md). */
export interface Frame {
  /** Local name of the root. */
  readonly name: string;
  /** Namespace URI of the root. */
  readonly namespace: string;
  // The common attributes of RFC 6120 8.1, decoded to text; undefined when absent.
  readonly to: string | undefined;
  readonly from: string | undefined;
  readonly id: string | undefined;
  readonly type: string | undefined;
  readonly lang: string | undefined;
  /**
   * Every other attribute of the root as raw bytes, each with one leading space (` h='3' xmlns:x='urn:x'`): prefix
   * declarations the content may rely on among them, the default namespace never. '' when there is none.
   */
  readonly others: string;
  /** The bytes between the root's start tag and its end tag; '' for an empty element. A byte string. */
  readonly content: string;
  readonly children: readonly Child[];
  /**
   * Everything behind the root's name as it came, end tag and all, where it can stand behind `<message from='...'` as it is:
   * a small message with content, whose start tag needs no change but that. Undefined otherwise.
   */
  readonly rest: string | undefined;
  /** Bytes of the whole element as received: what limits and acknowledgement queues count. */
  readonly byteLength: number;
}

/** The opening tag of a stream (RFC 6120 4.7), or `<open/>` of RFC 7395. */
export interface StreamHeader {
  /** The default namespace of the stream: `jabber:client`, `jabber:server` or `jabber:component:accept`. */
  readonly contentNamespace: string;
  readonly to: string | undefined;
  readonly from: string | undefined;
  readonly id: string | undefined;
  readonly version: string | undefined;
  readonly lang: string | undefined;
}

/** The value of one of `others`' attributes by its qualified name, as text; undefined when absent. */
export function otherAttribute(frame: Pick<Frame, 'others'>, name: string): string | undefined {
  if (frame.others === '') return undefined;
  const found = rawAttributes(frame.others).find((attribute) => attribute.name === name);
  return found === undefined ? undefined : attributeValue(found.value);
}
