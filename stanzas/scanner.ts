import type { Frame, StreamHeader } from './frame.ts';
import { LastAddress } from './scanner-address.ts';
import { BYTE, CLASS, CLASSES } from './scanner-characters.ts';
import { CutElement } from './scanner-cut-element.ts';
import { checkDeclaration } from './scanner-declaration.ts';
import { ElementScan } from './scanner-element.ts';
import { makeFrame, makeOpenedStream } from './scanner-frame.ts';
import type { ScannerLimits } from './scanner-record.ts';
import { notUtf8, notWellFormed, strayText, tooBig } from './scanner-refusals.ts';
import { AROUND_DOCUMENT, AROUND_HEADER, type Surroundings } from './scanner-namespaces.ts';

export type { ScannerLimits };

/** Hears what a scanner finds, in order. Each callback returns whether to go on; false stops right behind what it heard. */
export interface ScannerSink {
  streamOpened(header: StreamHeader): boolean;
  elementScanned(frame: Frame): boolean;
  /** The end tag of the stream has come. */
  streamClosed(): boolean;
}

const { GREATER_THAN, LESS_THAN } = BYTE;
const { WHITE } = CLASS;

// Where in the stream the next byte is.
const START = 0; // nothing came yet: an XML declaration may
const PROLOG = 1; // before the header
const OPEN = 2;
const CLOSING = 3; // the header was an empty element: its > ends the stream
const CLOSED = 4;
const FAILED = 5;

/**
 * Takes the stream of a TCP connection apart into its header, first-level elements and end tag, refusing whatever XML
 * 1.0, Namespaces in XML and RFC 6120 4.8 and 11 do not allow. Between elements it holds no bytes.
 */
export class Scanner {
  private limits: ScannerLimits;
  private place = START;
  private surroundings: Surroundings = AROUND_HEADER;
  /** The element that the last chunk cut, and its bytes so far. */
  private cut: CutElement | undefined = undefined;

  private lastTo: LastAddress | undefined = undefined;

  constructor(limits: ScannerLimits) {
    this.limits = limits;
  }

  /** Replaces the limits from the next element on, for instance once the peer is authenticated. */
  setLimits(limits: ScannerLimits): void {
    this.limits = limits;
  }

  /** Expects a new stream header next and forgets everything before it (RFC 6120 4.3.3). */
  reset(): void {
    this.place = START;
    this.surroundings = AROUND_HEADER;
    this.cut = undefined;
  }

  /** Whether an element, header or end tag has begun and not ended. */
  get midElement(): boolean {
    return this.cut !== undefined || this.place === CLOSING;
  }

  /**
   * Scans `chunk` from `offset`; returns the index up to which it is consumed: its length, or less where a callback
   * stopped the scan. Keeps nothing of the chunk. A callback may call reset and setLimits. Throws StreamError for what
   * the peer must not send, and then for every further byte.
   */
  scan(chunk: Buffer, sink: ScannerSink, offset = 0): number {
    try {
      return this.scanOn(chunk, sink, offset);
    } catch (error) {
      this.place = FAILED;
      this.cut = undefined;
      throw error;
    }
  }

  private scanOn(chunk: Buffer, sink: ScannerSink, offset: number): number {
    let at = offset;
    let scan: ElementScan | undefined;
    if (this.cut !== undefined) {
      const { cut } = this;
      at = cut.advance(chunk, at);
      if (cut.scan.outcome === 'unfinished') return at;
      this.cut = undefined;
      scan = cut.scan;
      if (!this.deliver(scan, cut.bytes, cut.end, sink)) return this.stoppedAt(at);
      at = this.stoppedAt(at);
    }
    while (at < chunk.length) {
      const byte = chunk[at]!;
      if (byte !== LESS_THAN || this.place > OPEN) {
        at++;
        if (!this.passBetween(byte, sink)) return at;
        continue;
      }
      const { maxBytes } = this.limits;
      scan ??= new ElementScan();
      scan.begin(at, this.surroundings, this.limits, this.place === START);
      const end = scan.advance(chunk, at + 1, Math.min(chunk.length, at + maxBytes));
      if (scan.outcome === 'unfinished') {
        if (end - at >= maxBytes) throw tooBig();
        this.cut = new CutElement(scan, chunk);
        return chunk.length;
      }
      at = end;
      const goesOn = this.deliver(scan, chunk, end, sink);
      at = this.stoppedAt(at);
      if (!goesOn) return at;
    }
    return at;
  }

  /** Where the scan goes on after an outcome that ended before `end`. */
  private stoppedAt(end: number): number {
    return this.place === CLOSING ? end - 1 : end;
  }

  /** Takes a byte outside any element; returns whether to go on. */
  private passBetween(byte: number, sink: ScannerSink): boolean {
    if (this.place === CLOSING && byte === GREATER_THAN) {
      this.place = CLOSED;
      return sink.streamClosed();
    }
    if (this.place === FAILED) throw notWellFormed('The stream has failed before');
    if ((CLASSES[byte]! & WHITE) !== 0) {
      if (this.place === START) this.place = PROLOG; // XML 1.0 2.8: no declaration behind white space
      return true; // RFC 6120 11.7
    }
    if (this.place > OPEN) throw notWellFormed('There is more behind the end of the stream');
    // RFC 6120 11.6: UTF-16 shows by its byte order mark or by a zero before the first character
    if (this.place === START && (byte === 0 || byte === 0xfe || byte === 0xff)) throw notUtf8();
    throw strayText(this.surroundings.isStream);
  }

  /** Acts on what a scan came to; returns whether to go on. */
  private deliver(scan: ElementScan, bytes: Buffer, end: number, sink: ScannerSink): boolean {
    switch (scan.outcome) {
      case 'element':
        return sink.elementScanned(makeFrame(scan, bytes, end, (this.lastTo ??= new LastAddress())));
      case 'declaration':
        checkDeclaration(bytes.toString('latin1', scan.record.base, end));
        this.place = PROLOG;
        return true;
      case 'stream end':
        this.place = CLOSED;
        return sink.streamClosed();
      default: {
        const { header, surroundings } = makeOpenedStream(scan, bytes, end);
        this.place = scan.outcome === 'header' ? OPEN : CLOSING;
        this.surroundings = surroundings;
        return sink.streamOpened(header);
      }
    }
  }
}

/**
 * Scans one whole element with nothing but white space and an XML declaration around it: a WebSocket message of RFC
 * 7395 or a stored stanza. There is no default namespace but what it declares. Throws StreamError.
 */
export function scanDocument(bytes: Buffer, limits: ScannerLimits): Frame {
  const scan = new ElementScan();
  let at = 0;
  let isFirst = true;
  for (;;) {
    const start = afterWhiteSpace(bytes, at);
    const byte = bytes[start];
    if (byte !== LESS_THAN) {
      if (isFirst && start === 0 && (byte === 0 || byte === 0xfe || byte === 0xff)) throw notUtf8();
      throw strayText(false);
    }
    scan.begin(start, AROUND_DOCUMENT, limits, isFirst && start === 0);
    at = scan.advance(bytes, start + 1, Math.min(bytes.length, start + limits.maxBytes));
    if (scan.outcome === 'unfinished') {
      if (at - start >= limits.maxBytes) throw tooBig();
      throw notWellFormed('The document ends inside an element');
    }
    if (scan.outcome !== 'declaration') break;
    checkDeclaration(bytes.toString('latin1', 0, at));
    isFirst = false;
  }
  const frame = makeFrame(scan, bytes, at, new LastAddress());
  const rest = afterWhiteSpace(bytes, at);
  if (rest < bytes.length) {
    scan.begin(rest, AROUND_DOCUMENT, limits, false);
    if (bytes[rest] === LESS_THAN) scan.advance(bytes, rest + 1, bytes.length); // RFC 6120 11.1: a comment has its own error
    throw notWellFormed('There is more behind the element');
  }
  return frame;
}

function afterWhiteSpace(bytes: Buffer, from: number): number {
  let at = from;
  while (at < bytes.length && (CLASSES[bytes[at]!]! & WHITE) !== 0) at++;
  return at;
}
