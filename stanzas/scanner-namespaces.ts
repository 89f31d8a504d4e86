import { NS } from './namespaces.ts';
import { notWellFormed } from './scanner-refusals.ts';
import { StreamError } from './stream-error.ts';

/** What surrounds an element: the declarations of the stream header, or nothing. */
export interface Surroundings {
  /** The default namespace outside the element; '' for none. */
  readonly defaultNamespace: string;
  /** What the header binds, by prefix; a stanza may not rely on it (RFC 6120 4.8.5). */
  readonly prefixes: ReadonlyMap<string, string>;
  /** The name in the end tag that closes the stream; '' where none can. */
  readonly closingName: string;
  /** Whether the start tag of a stream is expected rather than an element. */
  readonly expectsHeader: boolean;
  /** Where text between elements is an error of XML (a document) or of the stream. */
  readonly isStream: boolean;
}

const NONE: ReadonlyMap<string, string> = new Map();

/** Around a document: RFC 7395 messages and stored stanzas. */
export const AROUND_DOCUMENT: Surroundings = Object.freeze({
  defaultNamespace: '',
  prefixes: NONE,
  closingName: '',
  expectsHeader: false,
  isStream: false,
});

/** Around a stream header. */
export const AROUND_HEADER: Surroundings = Object.freeze({ ...AROUND_DOCUMENT, expectsHeader: true });

// One object each for nearly every stream there is.
const COMMON: readonly Surroundings[] = [NS.CLIENT, NS.SERVER, NS.COMPONENT].map((defaultNamespace) =>
  Object.freeze({
    defaultNamespace,
    prefixes: new Map([['stream', NS.STREAMS]]),
    closingName: 'stream:stream',
    expectsHeader: false,
    isStream: true,
  }),
);

/** Around the first-level elements of a stream whose header declared these. */
export function insideStream(
  defaultNamespace: string,
  prefixes: ReadonlyMap<string, string>,
  closingName: string,
): Surroundings {
  if (prefixes.size === 1 && prefixes.get('stream') === NS.STREAMS) {
    for (const common of COMMON) {
      if (common.defaultNamespace === defaultNamespace && common.closingName === closingName) return common;
    }
  }
  return { defaultNamespace, prefixes, closingName, expectsHeader: false, isStream: true };
}

/** The prefixes bound by the open elements of one stanza; looking one up costs the same however many there are. */
export class PrefixBindings {
  private readonly newest = new Map<string, number>();
  private readonly bound: {
    readonly prefix: string;
    readonly namespace: string;
    readonly outer: number | undefined;
  }[] = [];

  get count(): number {
    return this.bound.length;
  }

  bind(prefix: string, namespace: string): void {
    this.bound.push({ prefix, namespace, outer: this.newest.get(prefix) });
    this.newest.set(prefix, this.bound.length - 1);
  }

  find(prefix: string): string | undefined {
    const index = this.newest.get(prefix);
    return index === undefined ? undefined : this.bound[index]?.namespace;
  }

  /** Forgets what was bound after the first `count` bindings: their elements have ended. */
  truncate(count: number): void {
    while (this.bound.length > count) {
      const { prefix, outer } = this.bound.pop()!;
      if (outer === undefined) this.newest.delete(prefix);
      else this.newest.set(prefix, outer);
    }
  }

  toMap(): Map<string, string> {
    return new Map(this.bound.map(({ prefix, namespace }) => [prefix, namespace]));
  }
}

/** Refuses a default namespace that is reserved (Namespaces in XML 1.0, section 3). */
export function checkDefaultNamespace(namespace: string): void {
  if (namespace === NS.XML || namespace === NS.XMLNS) throw notWellFormed('A reserved namespace is declared');
}

/** Refuses a declaration `xmlns:prefix='namespace'` that Namespaces in XML 1.0, section 3, forbids. */
export function checkPrefixDeclaration(prefix: string, namespace: string): void {
  if (namespace === '') throw notWellFormed('A prefix is bound to no namespace');
  if (prefix === 'xmlns' || namespace === NS.XMLNS || (prefix === 'xml') !== (namespace === NS.XML)) {
    throw notWellFormed('A reserved prefix or namespace is declared');
  }
}

/** The namespace of a prefix inside a stanza or document. Throws StreamError where it has none to rely on. */
export function resolvePrefix(
  prefix: string,
  bindings: PrefixBindings | undefined,
  surroundings: Surroundings,
  isFirstLevelName: boolean,
): string {
  if (prefix === 'xml') return NS.XML;
  if (prefix === 'xmlns') throw notWellFormed('The prefix xmlns names no element'); // Namespaces in XML 1.0, section 3
  const namespace = bindings?.find(prefix);
  if (namespace !== undefined) {
    if (!surroundings.expectsHeader) refuseContentNamespace(namespace);
    return namespace;
  }
  const outside = surroundings.prefixes.get(prefix);
  if (outside === undefined) throw notWellFormed('A prefix is not declared'); // RFC 6120 4.9.3.13
  refuseContentNamespace(outside);
  // A first-level name is written anew wherever it goes, so it may use the header's prefix: <stream:error/>, and
  // XEP-0220 2 demands it of <db:result/>.
  if (isFirstLevelName && (outside === NS.STREAMS || outside === NS.DIALBACK)) return outside;
  // RFC 6120 4.8.5: a stanza loses the header's declarations on its way
  throw new StreamError('invalid-namespace', 'A prefix is declared in the stream header only');
}

function refuseContentNamespace(namespace: string): void {
  // RFC 6120 4.8.5
  if (namespace === NS.CLIENT || namespace === NS.SERVER || namespace === NS.COMPONENT) {
    throw new StreamError('bad-namespace-prefix', 'The content namespace is bound to a prefix');
  }
}
