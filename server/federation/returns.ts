import type { Jid } from '../../stanzas/jid.ts';
import type { Stanza } from '../../stanzas/stanza.ts';
import type { StanzaError } from '../../stanzas/stanza-error.ts';
import type { GroupCommit } from '../../storage/group-commit.ts';
import type { DomainPair, Outboxes } from '../../storage/outboxes.ts';
import type { Clock } from '../clock.ts';
import type { Log } from '../log.ts';
import type { Counters } from '../metrics/counters.ts';
import type { Router } from '../routing/router.ts';

export interface ReturnsContext {
  readonly outboxes: Outboxes;
  readonly commit: GroupCommit;
  readonly clock: Clock;
  readonly log: Log;
  readonly counters: Counters;
  readonly router: Pick<Router, 'answer' | 'route' | 'isLocalDomain' | 'presentAddress'>;
}

/** What comes back, as it lies in the outbox. */
export interface Returned {
  readonly stanza: Stanza;
  /** Its place in the outbox; undefined where it is in memory alone. */
  readonly position: number | undefined;
  /** When it was accepted, milliseconds since the epoch. */
  readonly at: number;
}

/** An error for somebody who is away; it lies in the outbox in the place of what it answers. */
interface HeldReply {
  readonly pair: DomainPair;
  readonly position: number;
  /** When what it answers was accepted, milliseconds since the epoch. */
  readonly at: number;
  readonly reply: Stanza;
}

const MAX_HELD = 20_000;
/** One person who writes to servers that do not answer, and leaves, takes no room from others. */
const MAX_HELD_OF_PERSON = 500;
/** How long what is of use to nobody here stays in the store: 30 days. */
export const KEPT_FOR_NOBODY_MS = 30 * 86_400_000;

/**
 * Gives stanzas back to their senders. A message had been acknowledged to its sender, who must hear of its fate though
 * nothing else keeps errors for who is away (XEP-0160 3): the error waits in the outbox until one of the sender's sessions
 * is there.
 */
export class Returns {
  readonly #context: ReturnsContext;
  /** By the bare JID of who is away, oldest first. */
  readonly #held = new Map<string, HeldReply[]>();
  #count = 0;

  constructor(context: ReturnsContext) {
    this.#context = context;
  }

  /** Answers stanzas with the error, each once: they leave the outbox first. */
  give(pair: DomainPair, returned: readonly Returned[], error: StanzaError): void {
    const { commit, outboxes, router } = this.#context;
    const answered: Returned[] = [];
    for (const item of returned) {
      const { stanza, position, at } = item;
      const mayWait = position !== undefined && this.#isFromPerson(stanza) && this.#address(stanza.from!) === undefined;
      if (!mayWait || !this.#hold({ pair, position, at, reply: stanza.errorReply(error) }, true)) answered.push(item);
    }
    if (answered.length === 0) return;
    const answer = (): void => {
      for (const { stanza } of answered) {
        if (!isAnswered(stanza)) continue;
        // Who has sent it from a session that is over hears of it in another one.
        const from = this.#isFromPerson(stanza) ? this.#address(stanza.from!) : undefined;
        router.answer(from === undefined ? stanza : stanza.withHeader({ from }), error);
      }
    };
    const positions = answered.flatMap(({ position }) => (position === undefined ? [] : [position]));
    if (positions.length === 0) setImmediate(answer);
    // Refused: it is answered all the same, and may come again after a restart.
    else commit.add(outboxes.removeWrites(pair, positions), { committed: answer, refused: answer });
  }

  /** Takes up an error that an earlier run of the server has kept. */
  restore(pair: DomainPair, { stanza: reply, position, at }: Returned & { readonly position: number }): void {
    if (!this.#hold({ pair, position, at, reply }, false)) this.#forget({ pair, position, at, reply });
  }

  /** Looks about once a second whether somebody has come. */
  check(): void {
    const oldest = this.#context.clock.now() - KEPT_FOR_NOBODY_MS;
    for (const [bare, held] of this.#held) {
      const left = held.filter((item) => {
        const to = this.#address(item.reply.to!);
        if (to === undefined && item.at > oldest) return true;
        // It leaves the store behind this: a crash in between repeats it, rather than keep it from who must hear.
        if (to !== undefined) this.#context.router.route(item.reply.withHeader({ to }));
        this.#forget(item);
        return false;
      });
      this.#count -= held.length - left.length;
      if (left.length === 0) this.#held.delete(bare);
      else if (left.length < held.length) this.#held.set(bare, left);
    }
  }

  /** Returns false where there is no room. */
  #hold(item: HeldReply, mustBeStored: boolean): boolean {
    const { commit, outboxes, counters, log } = this.#context;
    const { pair, position, at, reply } = item;
    const { bare } = reply.to!;
    const held = this.#held.get(bare);
    if (this.#count >= MAX_HELD || (held?.length ?? 0) >= MAX_HELD_OF_PERSON) {
      log.warn({ ...pair, to: bare }, 'an error cannot wait for who is away: too many wait already');
      return false;
    }
    if (held === undefined) this.#held.set(bare, [item]);
    else held.push(item);
    this.#count++;
    if (!mustBeStored) return true;
    counters.messages.refused++;
    commit.add(outboxes.putWrites(pair, { position, at, isHandedOut: true, document: reply.toDocument() }), {
      committed: () => undefined,
      refused: (error) => log.error({ ...pair, error: error.message }, 'an error for who is away is not stored'),
    });
    return true;
  }

  #forget({ pair, position }: HeldReply): void {
    const { commit, outboxes, log } = this.#context;
    commit.add(outboxes.removeWrites(pair, [position]), {
      committed: () => undefined,
      refused: (error) =>
        log.error({ ...pair, error: error.message }, 'an error that was delivered stays in the outbox'),
    });
  }

  /** Where a person hears something now. */
  #address(jid: Jid): Jid | undefined {
    return this.#context.router.presentAddress(jid);
  }

  /** Whether it is a message of a person here, to whom it was acknowledged. */
  #isFromPerson({ kind, type, from }: Stanza): boolean {
    const isOwn = from !== undefined && from.local !== '' && this.#context.router.isLocalDomain(from.domain);
    return isOwn && kind === 'message' && type !== 'error';
  }
}

/** RFC 6121 4.3: nobody waits for an answer to a probe, nor to a goodbye. */
function isAnswered({ kind, type }: Stanza): boolean {
  return kind !== 'presence' || (type !== 'probe' && type !== 'unavailable' && type !== 'error');
}
