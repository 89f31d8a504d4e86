import { otherAttribute, type Frame, type StreamHeader } from '../../stanzas/frame.ts';
import { NS } from '../../stanzas/namespaces.ts';
import { StreamError } from '../../stanzas/stream-error.ts';

/** What a WebSocket message is to its stream. */
export type FramedMessage =
  { readonly kind: 'open'; readonly header: StreamHeader } | { readonly kind: 'close' } | { readonly kind: 'element' };

const CLOSE: FramedMessage = { kind: 'close' };
const ELEMENT: FramedMessage = { kind: 'element' };

/**
 * Tells the framing of RFC 7395 3.3 from what it frames.
 * @param isOpening whether a stream header comes next (3.4, 3.7)
 * @throws StreamError
 */
export function readMessage(frame: Frame, isOpening: boolean): FramedMessage {
  if (frame.namespace !== NS.FRAMING) {
    if (!isOpening) return ELEMENT;
    if (frame.name === 'open' || frame.name === 'close') {
      throw new StreamError('invalid-namespace', 'The namespace of the framing is wrong'); // RFC 7395 3.3.2
    }
    throw new StreamError('not-authorized', 'A stream begins with <open/>'); // RFC 6120 4.9.3.12
  }
  switch (frame.name) {
    case 'open': {
      const { to, from, id, lang } = frame;
      const version = otherAttribute(frame, 'version');
      return { kind: 'open', header: { contentNamespace: NS.CLIENT, to, from, id, version, lang } };
    }
    case 'close':
      return CLOSE;
    default:
      throw new StreamError('bad-format', 'Only <open/> and <close/> belong to the framing');
  }
}
