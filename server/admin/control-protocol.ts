import * as z from 'zod';

/** The longest request in bytes; an import sends its accounts in several. */
export const MAX_REQUEST_BYTES = 1024 * 1024;
/** The longest reply a client accepts. */
export const MAX_REPLY_BYTES = 16 * 1024 * 1024;

/** The longest path of a socket: sun_path of unix(7) has 108 bytes, the last of them zero. */
export const MAX_PATH_BYTES = 107;

/** A line a client writes. */
export const requestSchema = z.strictObject({ command: z.string().max(64), arguments: z.unknown() });

/** A line the server writes, one for each request, in their order. */
export const replySchema = z.union([
  z.strictObject({ result: z.unknown() }),
  z.strictObject({ error: z.strictObject({ code: z.string(), message: z.string() }) }),
]);

/** A reply before it is written. */
export type Reply =
  { readonly result: unknown } | { readonly error: { readonly code: string; readonly message: string } };

/** Cuts a stream of bytes into lines and never holds more than `maxBytes`. */
export class LineCutter {
  readonly #maxBytes: number;
  #parts: Buffer[] = [];
  #heldBytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** The lines this chunk completes, as text. @throws RangeError where one is too long */
  push(chunk: Buffer): string[] {
    const lines: string[] = [];
    let start = 0;
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, start)) {
      this.#hold(chunk.subarray(start, end));
      lines.push(Buffer.concat(this.#parts).toString('utf8'));
      this.#parts = [];
      this.#heldBytes = 0;
      start = end + 1;
    }
    if (start < chunk.length) this.#hold(chunk.subarray(start));
    return lines;
  }

  #hold(part: Buffer): void {
    this.#heldBytes += part.length;
    if (this.#heldBytes > this.#maxBytes) throw new RangeError(`a line is longer than ${this.#maxBytes} bytes`);
    this.#parts.push(part);
  }
}
