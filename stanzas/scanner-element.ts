import { ATTRIBUTE } from './scanner-attributes.ts';
import {
  BYTE,
  checkForeignName,
  checkReference,
  CLASS,
  CLASSES as BYTE_CLASSES,
  endOfRun,
} from './scanner-characters.ts';
import type { Surroundings } from './scanner-namespaces.ts';
import { endOfPlainEndTag, takePlainTag } from './scanner-plain-tags.ts';
import { ElementRecord, type ScannerLimits } from './scanner-record.ts';
import {
  controlCharacter,
  malformedName,
  notUtf8,
  notWellFormed,
  strayEndTag,
  strayText,
  tooMuch,
} from './scanner-refusals.ts';
import { StreamError } from './stream-error.ts';

/** What a scan came to. */
export type Outcome = 'unfinished' | 'declaration' | 'header' | 'empty header' | 'element' | 'stream end';

// Constants of this module rather than imports, for speed (scanner-characters.ts).
const CLASSES = BYTE_CLASSES;
const { NAME, NAME_START, WHITE, STOPS_TEXT, STOPS_CDATA, STOPS_SINGLE_QUOTED, STOPS_DOUBLE_QUOTED, HIGH } = CLASS;
const { AMPERSAND, COLON, DOUBLE_QUOTE, EQUALS, EXCLAMATION_MARK, GREATER_THAN, HYPHEN, LEFT_BRACKET } = BYTE;
const { LESS_THAN, NUMBER_SIGN, QUESTION_MARK, RIGHT_BRACKET, SEMICOLON, SINGLE_QUOTE, SLASH } = BYTE;
const { SLOTS, VALUE: VALUE_SLOT, VALUE_END: VALUE_END_SLOT } = ATTRIBUTE;

// Where in the grammar the next byte is.
const MARKUP = 0; // behind <
const START_NAME = 1;
const IN_TAG = 2; // behind a name or a value
const BEFORE_ATTRIBUTE = 3; // behind white space
const ATTRIBUTE_NAME = 4;
const BEFORE_EQUALS = 5;
const BEFORE_VALUE = 6;
const VALUE = 7;
const TEXT = 8;
const END_NAME = 9;
const END_TAIL = 10; // behind the name in an end tag
const EMPTY_TAG = 11; // behind the / of an empty element
const REFERENCE = 12; // behind &
const TEXT_BRACKET = 13; // behind ] in text
const TEXT_BRACKETS = 14; // behind ]] in text
const EXCLAMATION = 15; // behind <!
const CDATA = 16;
const CDATA_BRACKET = 17;
const CDATA_BRACKETS = 18;
const INSTRUCTION = 19; // behind <?
const DECLARATION = 20; // behind <?xml and white space
const STREAM_END_NAME = 21; // behind </ outside any element

/**
 * Checks one element byte by byte against XML 1.0 and Namespaces in XML, and records where its parts lie. May be given
 * the bytes in any pieces, as long as what came before stays in front of them.
 */
export class ElementScan {
  readonly record = new ElementRecord();
  outcome: Outcome = 'unfinished';
  /** HIGH until the first byte from 0x80 has been seen, then 0. */
  unseenHigh: number = HIGH;
  private mayDeclare = false;
  private state = MARKUP;
  private nameStart = 0;
  private colon = 0;
  private nameEnd = 0;
  private foreignName = false;
  private valueStops = 0;
  private referenceStart = 0;
  private afterReference = TEXT;

  /**
   * Expects an element whose `<` is at `base`.
   * @param isFirst whether nothing came before, so that an XML declaration may stand here
   */
  begin(base: number, surroundings: Surroundings, limits: ScannerLimits, isFirst: boolean): void {
    this.record.begin(base, surroundings, limits);
    this.outcome = 'unfinished';
    this.unseenHigh = HIGH;
    this.mayDeclare = isFirst;
    this.state = MARKUP;
  }

  /**
   * Scans on over the bytes in [from, to); returns how far it came: `to`, or less when the outcome is known, which is
   * then one past the last byte of what was expected. Throws StreamError.
   */
  advance(bytes: Buffer, from: number, to: number): number {
    const { record } = this;
    const { base } = record;
    let { state, unseenHigh } = this;
    let at = from;
    scan: while (at < to) {
      let byte = bytes[at]!;
      switch (state) {
        case TEXT: {
          at = endOfRun(bytes, at, to, STOPS_TEXT | unseenHigh);
          if (at >= to) break scan;
          byte = bytes[at++]!;
          if (byte === LESS_THAN) state = MARKUP;
          else if (byte >= 0x80) unseenHigh = 0;
          else if (byte === AMPERSAND) {
            this.referenceStart = at - base;
            this.afterReference = TEXT;
            state = REFERENCE;
          } else if (byte === RIGHT_BRACKET) state = TEXT_BRACKET;
          else throw controlCharacter();
          break;
        }
        case MARKUP:
          if (byte === SLASH) {
            at++;
            this.nameStart = at - base;
            const end = record.depth > 1 ? endOfPlainEndTag(record, bytes, at, to) : 0;
            if (end !== 0) {
              record.elementEnded(this.nameStart - 2, end - base);
              at = end;
              state = TEXT;
              break;
            }
            state = record.depth > 0 ? END_NAME : STREAM_END_NAME;
            if (record.depth === 0 && record.surroundings.closingName === '') throw strayEndTag();
          } else if ((CLASSES[byte]! & (NAME_START | HIGH)) !== 0) {
            if (record.depth >= record.limits.maxDepth) throw tooMuch('Elements are nested too deep');
            this.nameStart = at - base;
            this.colon = 0;
            this.foreignName = false;
            record.isTagPlain = true;
            record.attributesEnd = record.tagAttributesStart;
            const end = (CLASSES[byte]! & HIGH) === 0 ? takePlainTag(record, bytes, at, to) : 0;
            if (end !== 0) {
              at = end;
              state = IN_TAG;
            } else {
              record.attributesEnd = record.tagAttributesStart;
              state = START_NAME;
            }
          } else {
            at++;
            this.nameStart = at - base;
            if (byte === EXCLAMATION_MARK) state = EXCLAMATION;
            else if (byte === QUESTION_MARK) state = INSTRUCTION;
            else throw this.noMarkup(byte);
          }
          break;
        case START_NAME:
        case ATTRIBUTE_NAME:
          while ((CLASSES[byte]! & NAME) !== 0) {
            if (++at >= to) break scan;
            byte = bytes[at]!;
          }
          if (byte === COLON) {
            // Namespaces in XML 1.0, section 4: one colon, with a name on each side
            if (this.colon !== 0 || at - base === this.nameStart) throw malformedName();
            this.colon = at - base;
            at++;
          } else if (byte >= 0x80) {
            unseenHigh = 0;
            record.isTagPlain = false;
            this.foreignName = true;
            at++;
          } else {
            this.nameEnd = at - base;
            this.checkName(bytes);
            if (state === START_NAME) {
              record.nameTag(this.nameStart, this.colon, this.nameEnd);
              state = IN_TAG;
            } else {
              record.addAttribute(this.nameStart, this.colon, this.nameEnd, 0, 0);
              if (byte === EQUALS) {
                at++;
                state = BEFORE_VALUE;
              } else state = BEFORE_EQUALS;
            }
          }
          break;
        case IN_TAG:
        case BEFORE_ATTRIBUTE:
          if ((CLASSES[byte]! & WHITE) !== 0) {
            at++;
            state = BEFORE_ATTRIBUTE;
          } else if (byte === GREATER_THAN) {
            at++;
            record.startTagEnded(bytes, at - base);
            if (record.surroundings.expectsHeader) {
              this.outcome = 'header';
              break scan;
            }
            state = TEXT;
          } else if (byte === SLASH) {
            at++;
            state = EMPTY_TAG;
          } else if (state === BEFORE_ATTRIBUTE && (CLASSES[byte]! & (NAME_START | HIGH)) !== 0) {
            this.nameStart = at - base;
            this.colon = 0;
            this.foreignName = false;
            state = ATTRIBUTE_NAME;
          } else throw notWellFormed('A start tag is malformed');
          break;
        case BEFORE_EQUALS:
          if (byte === EQUALS) state = BEFORE_VALUE;
          else if ((CLASSES[byte]! & WHITE) === 0) throw notWellFormed('An attribute has no value');
          at++;
          break;
        case BEFORE_VALUE:
          at++;
          if (byte === SINGLE_QUOTE || byte === DOUBLE_QUOTE) {
            record.attributes[record.attributesEnd - SLOTS + VALUE_SLOT] = at - base;
            this.valueStops = byte === SINGLE_QUOTE ? STOPS_SINGLE_QUOTED : STOPS_DOUBLE_QUOTED;
            state = VALUE;
          } else if ((CLASSES[byte]! & WHITE) === 0) throw notWellFormed('An attribute value is not in quotes');
          break;
        case VALUE: {
          at = endOfRun(bytes, at, to, this.valueStops | HIGH);
          if (at >= to) break scan;
          byte = bytes[at++]!;
          if (byte === SINGLE_QUOTE || byte === DOUBLE_QUOTE) {
            record.attributes[record.attributesEnd - SLOTS + VALUE_END_SLOT] = at - 1 - base;
            state = IN_TAG;
          } else if (byte >= 0x80) {
            unseenHigh = 0;
            record.isTagPlain = false;
          } else if (byte === AMPERSAND) {
            record.isTagPlain = false;
            this.referenceStart = at - base;
            this.afterReference = VALUE;
            state = REFERENCE;
          } else if ((CLASSES[byte]! & WHITE) !== 0) record.isTagPlain = false;
          else if (byte === LESS_THAN) throw notWellFormed('An attribute value holds <');
          else throw controlCharacter();
          break;
        }
        case EMPTY_TAG:
          if (byte !== GREATER_THAN) throw notWellFormed('A start tag is malformed');
          at++;
          record.startTagEnded(bytes, at - base);
          if (record.surroundings.expectsHeader) {
            this.outcome = 'empty header';
            break scan;
          }
          record.elementEnded(at - base, at - base);
          if (record.depth === 0) {
            this.outcome = 'element';
            break scan;
          }
          state = TEXT;
          break;
        case END_NAME: {
          const expected = record.openNameStart - this.nameStart;
          const end = base + this.nameStart + record.openNameEnd - record.openNameStart;
          while (at < end && bytes[at] === bytes[at + expected]) {
            if (++at >= to) break scan;
          }
          if (at < end) throw strayEndTag();
          state = END_TAIL;
          break;
        }
        case STREAM_END_NAME: {
          const name = record.surroundings.closingName;
          const index = at - base - this.nameStart;
          if (index === name.length) state = END_TAIL;
          else if (byte === name.charCodeAt(index)) at++;
          else throw strayEndTag();
          break;
        }
        case END_TAIL:
          at++;
          if (byte === GREATER_THAN) {
            if (record.depth === 0) {
              this.outcome = 'stream end';
              break scan;
            }
            record.elementEnded(this.nameStart - 2, at - base);
            if (record.depth === 0) {
              this.outcome = 'element';
              break scan;
            }
            state = TEXT;
          } else if ((CLASSES[byte]! & WHITE) === 0) throw strayEndTag();
          break;
        case REFERENCE:
          at++;
          if (byte === SEMICOLON) {
            checkReference(bytes.toString('latin1', base + this.referenceStart, at - 1));
            state = this.afterReference;
          } else if (byte >= 0x80) unseenHigh = 0;
          else if ((CLASSES[byte]! & NAME) === 0 && byte !== NUMBER_SIGN)
            throw notWellFormed('A reference is malformed');
          break;
        case TEXT_BRACKET:
          if (byte === RIGHT_BRACKET) {
            at++;
            state = TEXT_BRACKETS;
          } else state = TEXT;
          break;
        case TEXT_BRACKETS:
          if (byte === GREATER_THAN) throw notWellFormed('Text holds ]]>'); // XML 1.0 2.4
          if (byte === RIGHT_BRACKET) at++;
          else state = TEXT;
          break;
        case CDATA: {
          at = endOfRun(bytes, at, to, STOPS_CDATA | unseenHigh);
          if (at >= to) break scan;
          byte = bytes[at++]!;
          if (byte === RIGHT_BRACKET) state = CDATA_BRACKET;
          else if (byte >= 0x80) unseenHigh = 0;
          else throw controlCharacter();
          break;
        }
        case CDATA_BRACKET:
          if (byte === RIGHT_BRACKET) {
            at++;
            state = CDATA_BRACKETS;
          } else state = CDATA;
          break;
        case CDATA_BRACKETS:
          if (byte === GREATER_THAN) {
            at++;
            state = TEXT;
          } else if (byte === RIGHT_BRACKET) at++;
          else state = CDATA;
          break;
        case EXCLAMATION:
          at++;
          if (this.isSectionOpen(bytes, at - base)) state = CDATA;
          break;
        case INSTRUCTION:
          if ((CLASSES[byte]! & (NAME | HIGH)) === 0) {
            this.refuseInstruction(bytes, at - base, byte);
            state = DECLARATION;
          }
          at++;
          break;
        case DECLARATION:
          at++;
          if (byte === GREATER_THAN) {
            this.outcome = 'declaration';
            break scan;
          }
          break;
      }
    }
    this.state = state;
    this.unseenHigh = unseenHigh;
    return at;
  }

  private checkName(bytes: Buffer): void {
    const { nameStart, nameEnd, colon } = this;
    const { base } = this.record;
    if (this.foreignName) checkForeignName(bytes, base + nameStart, base + nameEnd);
    else if (colon !== 0 && (colon + 1 === nameEnd || (CLASSES[bytes[base + colon + 1]!]! & NAME_START) === 0)) {
      throw malformedName();
    }
  }

  /** Follows `<!` by what it may begin; returns whether that is a CDATA section, now open. */
  private isSectionOpen(bytes: Buffer, end: number): boolean {
    const { base, depth } = this.record;
    const first = bytes[base + this.nameStart];
    const keyword = first === LEFT_BRACKET ? '[CDATA[' : first === HYPHEN ? '--' : 'DOCTYPE';
    const length = end - this.nameStart;
    if (bytes[base + end - 1] !== keyword.charCodeAt(length - 1)) throw notWellFormed('Unknown markup');
    if (length < keyword.length) return false;
    // RFC 6120 11.1
    if (keyword === '--') throw new StreamError('restricted-xml', 'Comments are not allowed');
    if (keyword === 'DOCTYPE') throw new StreamError('restricted-xml', 'Document type declarations are not allowed');
    if (depth === 0) throw strayText(this.record.surroundings.isStream);
    return true;
  }

  /** Refuses `<?` and what follows, unless it is an XML declaration in its place. */
  private refuseInstruction(bytes: Buffer, end: number, next: number): void {
    const target = bytes.toString('latin1', this.record.base + this.nameStart, this.record.base + end);
    if (target === 'xml' && this.mayDeclare && (CLASSES[next]! & WHITE) !== 0) return;
    // XML 1.0 2.6 keeps this target for declarations, and 2.8 those for the very beginning
    if (/^xml$/i.test(target)) throw notWellFormed('An XML declaration is out of place');
    if (!/^[A-Za-z_\x80-\xff]/.test(target)) throw notWellFormed('A processing instruction has no target');
    throw new StreamError('restricted-xml', 'Processing instructions are not allowed'); // RFC 6120 11.1
  }

  private noMarkup(byte: number): StreamError {
    // RFC 6120 11.6: little-endian UTF-16 gives itself away
    if (byte === 0 && this.mayDeclare) return notUtf8();
    return notWellFormed('A < begins no tag');
  }
}
