import type { Stanza } from '../../stanzas/stanza.ts';
import { StanzaError } from '../../stanzas/stanza-error.ts';
import type { DomainPair } from '../../storage/outboxes.ts';
import { DomainPath, type PathContext } from './domain-path.ts';
import type { WaitingSummary } from './federation-summary.ts';
import { Shares } from './shares.ts';

const MAX_PATHS = 20_000;
/** Domains that one account has us look for, or speak to. */
const MAX_PATHS_OF_SENDER = 1000;

/** The paths that are in use: one for each pair of domains, as many as there is room for. */
export class DomainPaths {
  readonly #context: PathContext;
  readonly #paths = new Map<string, DomainPath>();
  /** Whose stanzas have made a path, by its key. */
  readonly #founders = new Map<string, string>();
  readonly #pathsOfSender = new Shares(MAX_PATHS_OF_SENDER);

  constructor(context: PathContext) {
    this.#context = context;
  }

  /** The path of the pair, if it is in use. */
  get(pair: DomainPair): DomainPath | undefined {
    return this.#paths.get(keyOf(pair));
  }

  /** The path of the pair. @param stanza for which it is wanted, if it is for one @throws StanzaError where there are too many */
  of(pair: DomainPair, stanza?: Stanza): DomainPath {
    const key = keyOf(pair);
    const known = this.#paths.get(key);
    if (known !== undefined) return known;
    if (this.#paths.size >= MAX_PATHS) {
      throw new StanzaError('resource-constraint', 'This server talks to too many others already');
    }
    const founder = stanza && founderOf(stanza);
    if (founder !== undefined) {
      if (!this.#pathsOfSender.take(founder)) {
        throw new StanzaError('resource-constraint', 'You talk to too many other servers already');
      }
      this.#founders.set(key, founder);
    }
    const path = new DomainPath(pair, this.#context);
    this.#paths.set(key, path);
    return path;
  }

  /** Another server is there: what waits for it knocks at once. */
  retryNow(remote: string): void {
    for (const path of this.#paths.values()) if (path.pair.remote === remote && !path.isOpen) path.retryNow();
  }

  /** Looks at the clock, about once a second. */
  check(): void {
    for (const [key, path] of this.#paths) {
      path.check();
      if (!path.isForgettable) continue;
      path.forgetMark();
      this.#paths.delete(key);
      const founder = this.#founders.get(key);
      if (founder === undefined) continue;
      this.#founders.delete(key);
      this.#pathsOfSender.giveBack(founder);
    }
  }

  /** Stanzas that have not been sent. */
  get waitingStanzas(): number {
    let stanzas = 0;
    for (const path of this.#paths.values()) stanzas += path.waiting;
    return stanzas;
  }

  summaries(): WaitingSummary[] {
    return [...this.#paths.values()]
      .filter((path) => path.waiting > 0 || path.lastFailure !== undefined)
      .map((path) => ({
        ...path.pair,
        stanzas: path.waiting,
        connecting: path.isConnecting,
        reason: path.lastFailure,
      }));
  }
}

function keyOf({ local, remote }: DomainPair): string {
  return `${local}>${remote}`;
}

/** Whose share a path counts against that the stanza makes; nobody's for an answer, which a stranger may have asked for. */
function founderOf({ kind, type, from }: Stanza): string | undefined {
  const isAnswer = type === 'error' || (kind === 'iq' && type === 'result');
  return isAnswer || from === undefined || from.local === '' ? undefined : from.bare;
}
