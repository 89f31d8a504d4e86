import type { DomainPair } from '../../storage/outboxes.ts';

/** What was proved on a stream: the pairs of domains whose stanzas are taken from the peer, and those whose are sent to it. */
export class ProvedPairs {
  readonly #received = new Set<string>();
  readonly #sent = new Map<string, DomainPair>();

  /** Whether anything was proved at all. */
  get areSome(): boolean {
    return this.#received.size > 0 || this.#sent.size > 0;
  }

  /** The pairs, `remote>local`, of which stanzas are taken; `remote>*` for any of our domains. */
  get received(): ReadonlySet<string> {
    return this.#received;
  }

  /** How many pairs are sent. */
  get sentCount(): number {
    return this.#sent.size;
  }

  get sent(): readonly DomainPair[] {
    return [...this.#sent.values()];
  }

  /** The first domain that the peer has proved; undefined where it has proved none. */
  get sender(): string | undefined {
    const [pair] = this.#received;
    return pair?.split('>')[0];
  }

  /** The first domain of the peer that stands in a pair, in whichever direction; empty where nothing was proved. */
  get peer(): string {
    const [pair] = this.#sent.values();
    return pair?.remote ?? this.sender ?? '';
  }

  /** Every domain of the peer that stands in a pair, in whichever direction. */
  get peers(): ReadonlySet<string> {
    const peers = new Set<string>();
    for (const { remote } of this.#sent.values()) peers.add(remote);
    for (const pair of this.#received) peers.add(pair.slice(0, pair.indexOf('>')));
    return peers;
  }

  sends({ local, remote }: DomainPair): boolean {
    return this.#sent.has(`${local}>${remote}`);
  }

  /** Whether stanzas for the domain of the peer are sent. */
  sendsTo(remote: string): boolean {
    for (const pair of this.#sent.values()) if (pair.remote === remote) return true;
    return false;
  }

  /** Whether stanzas of the domain of the peer are taken. */
  receivesFrom(remote: string): boolean {
    for (const pair of this.#received) if (pair.startsWith(`${remote}>`)) return true;
    return false;
  }

  allowSending(pair: DomainPair): void {
    this.#sent.set(`${pair.local}>${pair.remote}`, pair);
  }

  /** @param pair whose `local` is `*` for any of our domains */
  allowReceiving({ local, remote }: DomainPair): void {
    this.#received.add(`${remote}>${local}`);
  }

  clear(): void {
    this.#received.clear();
    this.#sent.clear();
  }
}
