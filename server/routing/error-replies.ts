import type { Stanza } from '../../stanzas/stanza.ts';
import { StanzaError } from '../../stanzas/stanza-error.ts';
import { StoreError } from '../../storage/ordered-store.ts';
import type { Log } from '../log.ts';
import type { Counters } from '../metrics/counters.ts';
import type { SentStanza } from './account.ts';
import { Unanswered } from './pipeline.ts';
import type { Receipt } from './receipt.ts';
import type { Session } from './session.ts';

/** How an answer gets to who asked. */
export interface ReturnPath {
  /** By its address. */
  route(stanza: Stanza): void;
  /** To one session, in its place among what that is delivered. */
  deliverTo(session: Session, stanza: Stanza): void;
  /** A message that a session sent has reached nobody. */
  showRefused(sent: SentStanza): void;
}

/** The error exit: the one place where a StanzaError becomes an error stanza (RFC 6120 8.3). */
export class ErrorReplies {
  readonly #path: ReturnPath;
  readonly #log: Log;
  readonly #counters: Counters;

  constructor(path: ReturnPath, log: Log, counters: Counters) {
    this.#path = path;
    this.#log = log;
    this.#counters = counters;
  }

  /** As Router.answer. */
  answer(stanza: Stanza, error: unknown, receipt?: Receipt, to?: Session): void {
    let refusal = error instanceof Error ? error : new Error(String(error));
    try {
      if (error instanceof Unanswered) return;
      const known = error instanceof StanzaError ? error : this.#reportBug(stanza, error);
      refusal = known;
      if (!mayAnswer(stanza) || stanza.from === undefined) return;
      if (stanza.kind === 'message') this.#counters.messages.refused++;
      if (to === undefined) this.#path.route(stanza.errorReply(known));
      else this.#path.deliverTo(to, stanza.errorReply(known));
    } finally {
      receipt?.refuse(refusal);
    }
  }

  /**
   * Takes a step for a stanza. Nothing thrown in it leaves here: a StanzaError is an answer, anything else a bug that harms
   * only this stanza.
   *
   * @param session which is answered, as with `answer`
   * @param sent where it is a message that a session of ours sent
   */
  guard(
    stanza: Stanza,
    receipt: Receipt | undefined,
    step: () => void | Promise<void>,
    session?: Session,
    sent?: SentStanza,
  ): void | Promise<void> {
    try {
      const pending = step();
      return pending?.catch((error: unknown) => this.refuse(stanza, error, receipt, session, sent));
    } catch (error) {
      this.refuse(stanza, error, receipt, session, sent);
    }
  }

  /** What a failed step for a stanza comes to; parameters as `guard` has them. */
  refuse(stanza: Stanza, error: unknown, receipt: Receipt | undefined, session?: Session, sent?: SentStanza): void {
    if (sent !== undefined) this.#path.showRefused(sent); // before the error that answers it
    this.answer(stanza, error, receipt, session);
  }

  #reportBug(stanza: Stanza, error: unknown): StanzaError {
    const facts = { kind: stanza.kind, id: stanza.id, from: stanza.from?.full, to: stanza.to?.full };
    if (error instanceof StoreError) {
      this.#log.error({ ...facts, code: error.code, error: error.message }, 'the store does not answer');
      return STORE_FAILED;
    }
    this.#counters.stanzaFaults++;
    const stack = error instanceof Error ? error.stack : String(error);
    this.#log.error({ ...facts, error: stack }, 'handling a stanza failed');
    return new StanzaError('internal-server-error');
  }
}

/** No defect of ours: the sender may try again. */
const STORE_FAILED = new StanzaError('resource-constraint', 'The store does not answer at the moment', 'wait');

/** RFC 6120 8.3.1 rule 8, and an IQ result is no question either. */
function mayAnswer(stanza: Stanza): boolean {
  if (stanza.type === 'error') return false;
  return stanza.kind !== 'iq' || stanza.type !== 'result';
}
