/**
 * On which line of a TOML document each key and each item of a list stands. The parser reports lines of syntax errors
 * only; this finds those of the values it accepted, so it may take the document to be well-formed.
 */
export class KeyLines {
  readonly #text: string;
  readonly #lines = new Map<string, number>();
  /** How many tables each list of tables has so far. */
  readonly #tables = new Map<string, number>();
  #at = 0;
  #line = 1;
  #countedTo = 0;

  constructor(text: string) {
    this.#text = text;
    this.#document();
  }

  /** The line of a path, or of the nearest part of it that has one; undefined where nothing of it is written down. */
  lineOf(path: readonly PropertyKey[]): number | undefined {
    for (let length = path.length; length > 0; length -= 1) {
      const line = this.#lines.get(keyOf(path.slice(0, length)));
      if (line !== undefined) return line;
    }
    return undefined;
  }

  #document(): void {
    let table: readonly PropertyKey[] = [];
    this.#skipSpace();
    while (this.#at < this.#text.length) {
      if (this.#text[this.#at] === '[') table = this.#header();
      else this.#pair(table);
      this.#skipSpace();
    }
  }

  /** `[a.b]` or `[[a.b]]`; returns the table that follows. */
  #header(): readonly PropertyKey[] {
    const list = this.#text.startsWith('[[', this.#at);
    this.#at += list ? 2 : 1;
    const names = this.#dottedKey();
    this.#at += list ? 2 : 1;
    let path: PropertyKey[] = [];
    for (const [index, name] of names.entries()) {
      path = [...path, name];
      this.#note(path);
      const key = keyOf(path);
      const last = index === names.length - 1;
      if (list && last) this.#tables.set(key, (this.#tables.get(key) ?? 0) + 1);
      const count = this.#tables.get(key);
      // [a.b] below [[a]] is about the last table of a
      if (count !== undefined) path = [...path, count - 1];
    }
    this.#note(path);
    return path;
  }

  #pair(table: readonly PropertyKey[]): void {
    let path = table;
    for (const name of this.#dottedKey()) {
      path = [...path, name];
      this.#note(path);
    }
    this.#at += 1; // =
    this.#value(path);
  }

  #dottedKey(): string[] {
    const names: string[] = [];
    do {
      if (this.#text[this.#at] === '.') this.#at += 1;
      this.#skipBlanks();
      const start = this.#at;
      const quoted = this.#text[start] === '"' || this.#text[start] === "'";
      if (quoted) this.#string();
      else this.#skip(/[^\s.=\]#]*/y);
      names.push(quoted ? unquote(this.#text.slice(start, this.#at)) : this.#text.slice(start, this.#at));
      this.#skipBlanks();
    } while (this.#text[this.#at] === '.');
    return names;
  }

  #value(path: readonly PropertyKey[]): void {
    this.#skipBlanks();
    this.#note(path);
    const first = this.#text[this.#at];
    if (first === '[') this.#items(']', (index) => this.#value([...path, index]));
    else if (first === '{') this.#items('}', () => this.#pair(path));
    else if (first === '"' || first === "'") this.#string();
    else this.#skip(/[^,\]}#\n]*/y);
  }

  #items(close: string, item: (index: number) => void): void {
    this.#at += 1;
    for (let index = 0; this.#at < this.#text.length; index += 1) {
      this.#skipSpace();
      if (this.#text[this.#at] === close) break;
      item(index);
      this.#skipSpace();
      if (this.#text[this.#at] === ',') this.#at += 1;
    }
    this.#at += 1;
  }

  #string(): void {
    const quote = this.#text[this.#at] === '"' ? '"' : "'";
    const long = this.#text.startsWith(quote.repeat(3), this.#at);
    if (quote === '"') this.#skip(long ? /"""(?:[^\\]|\\[^])*?"{3,5}(?!")/y : /"(?:[^"\\\n]|\\.)*"/y);
    else this.#skip(long ? /'''[^]*?'{3,5}(?!')/y : /'[^'\n]*'/y);
  }

  #skipBlanks(): void {
    this.#skip(/[ \t]*/y);
  }

  #skipSpace(): void {
    this.#skip(/(?:\s|#[^\n]*)*/y);
  }

  /** Moves behind what the sticky expression matches; by one character where it matches nothing but must. */
  #skip(pattern: RegExp): void {
    pattern.lastIndex = this.#at;
    this.#at += pattern.exec(this.#text)?.[0].length ?? 1;
  }

  /** Remembers the current line for a path that has none yet. */
  #note(path: readonly PropertyKey[]): void {
    for (; this.#countedTo < this.#at; this.#countedTo += 1) if (this.#text[this.#countedTo] === '\n') this.#line += 1;
    const key = keyOf(path);
    if (!this.#lines.has(key)) this.#lines.set(key, this.#line);
  }
}

function keyOf(path: readonly PropertyKey[]): string {
  return JSON.stringify(path);
}

function unquote(quoted: string): string {
  if (quoted.startsWith("'") || !quoted.includes('\\')) return quoted.slice(1, -1);
  try {
    return JSON.parse(quoted) as string;
  } catch {
    return quoted; // an escape that only TOML knows
  }
}
