import { attributeValue } from './byte-string.ts';
import { rawAttributes } from './raw-attributes.ts';

const NO_PREFIXES: ReadonlyMap<string, string> = new Map();

/** The namespaces in scope where an element begins: what is declared around it, the nearest first. Immutable. */
export class Scope {
  readonly #own: ReadonlyMap<string, string>;
  // Not a copy: a stranger may declare thousands of prefixes around thousands of elements that declare one.
  readonly #outer: Scope | undefined;

  private constructor(own: ReadonlyMap<string, string>, outer: Scope | undefined) {
    this.#own = own;
    this.#outer = outer;
  }

  /** A scope without prefixes. */
  static of(defaultNamespace: string): Scope {
    return new Scope(defaultNamespace === '' ? NO_PREFIXES : new Map([['', defaultNamespace]]), undefined);
  }

  /**
   * The scope within an element.
   * @param bytes its start tag, or the `others` of a frame
   * @param from where the name of the tag ends
   */
  within(bytes: string, from = 0): Scope {
    if (!bytes.includes('xmlns', from)) return this;
    const own = new Map<string, string>();
    for (const { name, value } of rawAttributes(bytes, from)) {
      if (name === 'xmlns') own.set('', attributeValue(value));
      else if (name.startsWith('xmlns:')) own.set(name.slice('xmlns:'.length), attributeValue(value));
    }
    return own.size === 0 ? this : new Scope(own, this);
  }

  /** The namespace of a prefix, in bytes as they are written; of '' the default one. */
  find(prefix: string): string | undefined {
    return this.#own.get(prefix) ?? this.#outer?.find(prefix);
  }
}
