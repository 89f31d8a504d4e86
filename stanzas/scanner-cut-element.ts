import type { ElementScan } from './scanner-element.ts';
import { tooBig } from './scanner-refusals.ts';

const FIRST_CAPACITY_BYTES = 256;
const PIECE_BYTES = 4096; // copied at once, lest a long chunk be copied for an element that ends at its beginning
const FEW_BYTES = 16; // copied faster by a loop than by a call

/** An element that the end of a chunk cut: its scan, and a copy of its bytes that doubles as it grows. */
export class CutElement {
  readonly scan: ElementScan;
  bytes: Buffer;
  /** How many bytes of the element are held; once it is complete, where it ends. */
  end: number;

  /** Keeps what `scan` has seen of the element, up to the end of `chunk`. */
  constructor(scan: ElementScan, chunk: Buffer) {
    this.scan = scan;
    const { base } = scan.record;
    this.end = chunk.length - base;
    this.bytes = Buffer.allocUnsafeSlow(Math.max(FIRST_CAPACITY_BYTES, this.end));
    chunk.copy(this.bytes, 0, base);
    scan.record.base = 0;
  }

  /** Scans on over `chunk` from `at`; returns how much of it is consumed. Nothing is scanned twice. Throws StreamError. */
  advance(chunk: Buffer, at: number): number {
    const { scan } = this;
    const { maxBytes } = scan.record.limits;
    let from = at;
    while (from < chunk.length) {
      const held = this.end;
      const count = Math.min(PIECE_BYTES, chunk.length - from, maxBytes - held);
      this.append(chunk, from, count);
      this.end = scan.advance(this.bytes, held, held + count);
      from += this.end - held;
      if (scan.outcome !== 'unfinished') break;
      if (this.end >= maxBytes) throw tooBig();
    }
    return from;
  }

  private append(chunk: Buffer, from: number, count: number): void {
    const { end } = this;
    if (end + count > this.bytes.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(2 * this.bytes.length, end + count));
      this.bytes.copy(grown, 0, 0, end);
      this.bytes = grown;
    }
    if (count > FEW_BYTES) chunk.copy(this.bytes, end, from, from + count);
    else for (let index = 0; index < count; index++) this.bytes[end + index] = chunk[from + index]!;
  }
}
