import { domainToASCII } from 'node:url';

/** Finds what belongs to a domain, by its name or by a wildcard one level above. */
export class DomainTable<T> {
  readonly #values = new Map<string, T>();

  /** Enters a value for a domain, or for `*.` and a domain; the first to come stays. */
  add(name: string, value: T): void {
    const key = name.startsWith('*.') ? `*.${lookupName(name.slice(2))}` : lookupName(name);
    if (!this.#values.has(key)) this.#values.set(key, value);
  }

  /** What belongs to a domain; strangers may name anything. */
  find(domain: string): T | undefined {
    const name = lookupName(domain);
    if (name === '') return undefined;
    // RFC 6120 13.7.1.2.1: a wildcard stands for the whole left-most label and nothing else
    return this.#values.get(name) ?? this.#values.get(name.replace(/^[^.]+/, '*'));
  }
}

/** A domain as names are compared: A-labels in lower case, without the final dot; '' where it is none. */
function lookupName(domain: string): string {
  if (domain.startsWith('[') || (/^[a-z0-9.-]+$/.test(domain) && !domain.endsWith('.'))) return domain;
  return domainToASCII(domain.replace(/\.$/, ''));
}
