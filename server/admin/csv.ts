/** One record of a CSV file and the line it begins on. */
export interface CsvRecord {
  readonly line: number;
  readonly fields: readonly string[];
  /** What breaks RFC 4180 in it; the fields are then not to be trusted. */
  readonly flaw?: string;
}

/** The longest record in characters. */
const MAX_RECORD_LENGTH = 16_384;

type Place = 'start' | 'plain' | 'quoted' | 'quote';

/** Cuts text into CSV records (RFC 4180), whatever pieces it comes in. Empty lines are no records. */
export class CsvReader {
  #place: Place = 'start';
  #fields: string[] = [];
  #field = '';
  #length = 0;
  #line = 1;
  #startLine = 1;
  #flaw: string | undefined;

  /** The records these characters complete. @throws RangeError where one is longer than 16384 characters */
  push(text: string): CsvRecord[] {
    const records: CsvRecord[] = [];
    for (const character of text) this.#take(character, records);
    return records;
  }

  /** The last record, where no line break ends it. */
  end(): CsvRecord[] {
    const records: CsvRecord[] = [];
    if (this.#place === 'quoted') this.#flaw = 'a quoted field does not end';
    this.#endRecord(records);
    return records;
  }

  #take(character: string, records: CsvRecord[]): void {
    this.#length += 1;
    if (this.#length > MAX_RECORD_LENGTH) {
      const message = `line ${this.#startLine}: a record is longer than ${MAX_RECORD_LENGTH} characters`;
      throw new RangeError(`${message}; does a quoted field not end?`);
    }
    if (character === '\n') this.#line += 1;
    if (this.#place === 'quoted') {
      if (character === '"') this.#place = 'quote';
      else this.#field += character;
      return;
    }
    switch (character) {
      case '\n':
        this.#endRecord(records);
        return;
      case '\r': // RFC 4180 2.1: CRLF ends a record; LF alone, as Unix writes it, does so too
        return;
      case ',':
        this.#endField();
        return;
      case '"':
        this.#takeQuote();
        return;
      default:
        if (this.#place === 'quote') this.#flaw = 'something follows a quoted field';
        else this.#place = 'plain';
        this.#field += character;
    }
  }

  #takeQuote(): void {
    if (this.#place === 'start') this.#place = 'quoted';
    else if (this.#place === 'quote') {
      this.#field += '"'; // RFC 4180 2.7: two stand for one
      this.#place = 'quoted';
    } else this.#flaw = 'a quote stands within a field that is not quoted'; // RFC 4180 2.5
  }

  #endField(): void {
    this.#fields.push(this.#field);
    this.#field = '';
    this.#place = 'start';
  }

  #endRecord(records: CsvRecord[]): void {
    const isEmpty = this.#fields.length === 0 && this.#field === '' && this.#place === 'start';
    this.#endField();
    if (!isEmpty) {
      const flaw = this.#flaw;
      records.push({ line: this.#startLine, fields: this.#fields, ...(flaw !== undefined && { flaw }) });
    }
    this.#fields = [];
    this.#flaw = undefined;
    this.#length = 0;
    this.#startLine = this.#line;
  }
}

/** One record as a line, with the line break of RFC 4180 2.1. */
export function csvLine(fields: readonly string[]): string {
  const quoted = fields.map((field) => (/[",\r\n]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field));
  return `${quoted.join(',')}\r\n`;
}
