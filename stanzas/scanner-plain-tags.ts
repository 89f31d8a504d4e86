import { BYTE, CLASS, CLASSES as BYTE_CLASSES, endOfRun } from './scanner-characters.ts';
import type { ElementRecord } from './scanner-record.ts';

/*
 * A short cut through the grammar for tags that are whole and plain, as nearly all are. Whatever is not, or is wrong, is
 * left to ElementScan, which starts the tag again and alone decides about it.
 */

const CLASSES = BYTE_CLASSES;
const { NAME, NAME_START, STOPS_SINGLE_QUOTED, STOPS_DOUBLE_QUOTED, HIGH } = CLASS;
const { DOUBLE_QUOTE, EQUALS, GREATER_THAN, SINGLE_QUOTE, SLASH, SPACE } = BYTE;

/**
 * Takes a start tag, from its name up to the `>` or `/` that ends it, if it is in [from, to) and has no prefix, reference,
 * line end or byte from 0x80, and one space before each attribute. Returns where it ends; 0 if it is no such tag.
 */
export function takePlainTag(record: ElementRecord, bytes: Buffer, from: number, to: number): number {
  const { base } = record;
  let at = from;
  while (at < to && (CLASSES[bytes[at]!]! & NAME) !== 0) at++;
  record.nameTag(from - base, 0, at - base);
  while (at < to && bytes[at] === SPACE) {
    const nameStart = ++at;
    while (at < to && (CLASSES[bytes[at]!]! & NAME) !== 0) at++;
    if (at === nameStart) break;
    const valueStart = at + 2;
    if (valueStart >= to || bytes[at] !== EQUALS || (CLASSES[bytes[nameStart]!]! & NAME_START) === 0) return 0;
    const quote = bytes[at + 1]!;
    if (quote !== SINGLE_QUOTE && quote !== DOUBLE_QUOTE) return 0;
    const stops = quote === SINGLE_QUOTE ? STOPS_SINGLE_QUOTED : STOPS_DOUBLE_QUOTED;
    const valueEnd = endOfRun(bytes, valueStart, to, stops | HIGH);
    if (valueEnd >= to || bytes[valueEnd] !== quote) return 0;
    record.addAttribute(nameStart - base, 0, at - base, valueStart - base, valueEnd - base);
    at = valueEnd + 1;
  }
  return at < to && (bytes[at] === GREATER_THAN || bytes[at] === SLASH) ? at : 0;
}

/** Where the end tag of the innermost element ends, whose name is at `from`; 0 if it is cut, longer or another's. */
export function endOfPlainEndTag(record: ElementRecord, bytes: Buffer, from: number, to: number): number {
  const { base } = record;
  const openEnd = base + record.openNameEnd;
  let open = base + record.openNameStart;
  let at = from;
  if (at + openEnd - open >= to) return 0;
  while (open < openEnd && bytes[at] === bytes[open]) {
    at++;
    open++;
  }
  return open === openEnd && bytes[at] === GREATER_THAN ? at + 1 : 0;
}
