const NONE = new Uint8Array();
/** Beyond, the engine keeps the bytes outside its heap, at a price. */
const LONGEST_BYTES = 64;

/**
 * The address that stood in the last `to` of a stream. Nearly always the next is the same: it is found again by its bytes,
 * and becomes the same string, so that whoever compares it compares pointers.
 */
export class LastAddress {
  private text = '';
  private bytes = NONE;

  /** The string of the bytes from start to end. */
  take(bytes: Buffer, start: number, end: number): string {
    const known = this.bytes;
    const { length } = known;
    if (length === end - start) {
      let index = 0;
      while (index < length && bytes[start + index] === known[index]) index++;
      if (index === length) return this.text;
    }
    const text = bytes.toString('latin1', start, end);
    if (end - start <= LONGEST_BYTES) {
      this.text = text;
      this.bytes = Uint8Array.from(bytes.subarray(start, end));
    }
    return text;
  }
}
