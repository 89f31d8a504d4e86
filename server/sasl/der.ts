/** A value in DER: its identifier octet and its content. */
export interface Value {
  readonly tag: number;
  readonly content: Buffer;
}

/** The values that lie in DER one after the other; ends at what is not DER. */
export function valuesOf(der: Buffer): Value[] {
  const values: Value[] = [];
  let offset = 0;
  while (offset + 2 <= der.length) {
    const tag = der[offset]!;
    let length = der[offset + 1]!;
    offset += 2;
    if (length >= 0x80) {
      const bytes = length & 0x7f;
      if (bytes === 0 || bytes > 4 || offset + bytes > der.length) return values;
      length = der.readUIntBE(offset, bytes);
      offset += bytes;
    }
    if (offset + length > der.length) return values;
    values.push({ tag, content: der.subarray(offset, offset + length) });
    offset += length;
  }
  return values;
}

/** X.690 8.19: base 128, the first two arcs in one. */
export function objectIdentifier(content: Buffer): string {
  const arcs: number[] = [];
  let arc = 0;
  for (const byte of content) {
    arc = arc * 128 + (byte & 0x7f);
    if (byte < 0x80) {
      arcs.push(arc);
      arc = 0;
    }
  }
  const [head = 0, ...rest] = arcs;
  const first = Math.min(2, Math.floor(head / 40));
  return [first, head - first * 40, ...rest].join('.');
}
