import type { Frame, StreamHeader } from '../../stanzas/frame.ts';
import { Scanner, scanDocument, type ScannerLimits } from '../../stanzas/scanner.ts';
import { StreamError } from '../../stanzas/stream-error.ts';

export const LIMITS: ScannerLimits = { maxBytes: 10_000, maxDepth: 20, maxAttributes: 20 };

export const HEADER =
  "<stream:stream to='montague.example' version='1.0' xmlns='jabber:client' " +
  "xmlns:stream='http://etherx.jabber.org/streams'>";

/** What a scanner told its sink, and how it ended. */
export interface Heard {
  readonly headers: StreamHeader[];
  readonly frames: Frame[];
  closings: number;
  /** The condition of the stream error, if any. */
  condition: string | undefined;
  text: string;
}

/** Feeds the chunks to a new scanner. */
export function hear(chunks: readonly Buffer[], limits: ScannerLimits = LIMITS): Heard {
  const heard: Heard = { headers: [], frames: [], closings: 0, condition: undefined, text: '' };
  const scanner = new Scanner(limits);
  const sink = {
    streamOpened: (header: StreamHeader) => heard.headers.push(header) > 0,
    elementScanned: (frame: Frame) => heard.frames.push(frame) > 0,
    streamClosed: () => ++heard.closings > 0,
  };
  for (const chunk of chunks) {
    // a copy that is spoilt afterwards, as a socket's read buffer is
    const read = Buffer.from(chunk);
    try {
      const consumed = scanner.scan(read, sink);
      if (consumed !== chunk.length) throw new Error(`${consumed} of ${chunk.length} bytes consumed`);
    } catch (error) {
      if (!(error instanceof StreamError)) throw error;
      heard.condition = error.condition;
      heard.text = error.text;
      break;
    }
    read.fill(0x2a);
  }
  return heard;
}

/** Feeds a whole stream in one piece; a string is sent as UTF-8. */
export function hearAll(stream: string | Buffer, limits: ScannerLimits = LIMITS): Heard {
  return hear([typeof stream === 'string' ? Buffer.from(stream) : stream], limits);
}

/** The frames of elements inside a client's stream. Throws where they are refused. */
export function framesOf(elements: string, limits: ScannerLimits = LIMITS): Frame[] {
  const { frames, condition, text } = hearAll(HEADER + elements, limits);
  if (condition !== undefined) throw new Error(`${condition}: ${text}`);
  return frames;
}

/** The only frame of an element inside a client's stream. */
export function frameOf(element: string): Frame {
  const [frame] = framesOf(element);
  if (frame === undefined) throw new Error('no frame');
  return frame;
}

/** The condition that a document is refused with; undefined when it is accepted. */
export function documentCondition(document: string | Buffer, limits: ScannerLimits = LIMITS): string | undefined {
  try {
    scanDocument(typeof document === 'string' ? Buffer.from(document) : document, limits);
    return undefined;
  } catch (error) {
    if (!(error instanceof StreamError)) throw error;
    return error.condition;
  }
}
