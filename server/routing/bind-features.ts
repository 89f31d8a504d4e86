import type { Element } from '../../stanzas/element.ts';
import { attributeBytes } from '../../stanzas/byte-string.ts';
import type { Account } from './account.ts';
import type { Session } from './session.ts';

/** What a client may switch on while it binds (XEP-0386, "Performing the bind"). */
export interface BindFeature {
  /** As announced, and the namespace of the element that asks for it. */
  readonly namespace: string;
  /**
   * Takes the element that the client sent, before anything is delivered to the session. What is returned stands in
   * `<bound/>`. It cannot refuse: what it does not understand it ignores.
   */
  readonly enable: (session: Session, request: Element) => Element | void;
}

/** What a client finds in the account when it binds. */
export interface BoundState {
  /** Stands in `<bound/>`. */
  readonly element: Element;
  /** The last position of the log that an archive of the account holds: waiting messages up to there are read in it. */
  readonly archivedUpTo?: number | undefined;
}

/** Describes what a client finds in the account when it binds; undefined: nothing. */
export type BindMetadata = (account: Account) => BoundState | undefined | Promise<BoundState | undefined>;

/** What modules have to do with Bind 2 (XEP-0386), in the order of the modules. */
export class BindFeatures {
  readonly #features = new Map<string, BindFeature>();
  readonly #metadata: BindMetadata[] = [];

  /** @throws Error for a namespace that another module has */
  add(feature: BindFeature): void {
    if (this.#features.has(feature.namespace)) throw new Error(`two bind features ${feature.namespace}`);
    this.#features.set(feature.namespace, feature);
  }

  addMetadata(metadata: BindMetadata): void {
    this.#metadata.push(metadata);
  }

  /** `<feature/>` for each, a byte string. */
  announcement(): string {
    return [...this.#features.keys()].map((namespace) => `<feature var='${attributeBytes(namespace)}'/>`).join('');
  }

  /** Switches on what the request asks for, each at most once; what is not known is ignored. */
  enable(session: Session, request: Element): readonly Element[] {
    const answers: Element[] = [];
    for (const { namespace, enable } of this.#features.values()) {
      const asked = request.children.find((child) => child.namespace === namespace);
      const answer = asked === undefined ? undefined : enable(session, asked);
      if (answer !== undefined) answers.push(answer);
    }
    return answers;
  }

  /** What every module has to say about the account. */
  async metadataOf(account: Account): Promise<readonly BoundState[]> {
    const all = await Promise.all(this.#metadata.map(async (metadata) => metadata(account)));
    return all.filter((state) => state !== undefined);
  }
}
