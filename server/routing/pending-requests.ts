import type { Stanza } from '../../stanzas/stanza.ts';
import { StanzaError } from '../../stanzas/stanza-error.ts';
import type { Clock } from '../clock.ts';

export interface PendingRequestsOptions {
  readonly clock: Pick<Clock, 'schedule'>;
  readonly randomId: () => string;
}

/** Requests of the server, or on behalf of a bare JID, that wait for their answers. */
const MAX_WAITING = 10_000;
const TIMEOUT_MS = 60_000;

interface Waiting {
  readonly answered: (answer: Stanza) => void;
  readonly cancel: () => void;
}

/** IQ requests that the server itself sends, and their answers: nobody else has a session to hear them. */
export class PendingRequests {
  readonly #options: PendingRequestsOptions;
  readonly #waiting = new Map<string, Waiting>();

  constructor(options: PendingRequestsOptions) {
    this.#options = options;
  }

  /**
   * Sends a request of type get or set with both addresses, under an id of ours; resolves with its answer, be it a result
   * or an error. Rejects with StanzaError where none comes in time, or too many are waited for.
   */
  ask(request: Stanza, route: (stanza: Stanza) => void): Promise<Stanza> {
    if (this.#waiting.size >= MAX_WAITING) {
      return Promise.reject(new StanzaError('resource-constraint', 'Too many requests wait for an answer', 'wait'));
    }
    const sent = request.withHeader({ id: this.#options.randomId() });
    const key = keyOf(sent.from?.full, sent.to?.full, sent.id);
    return new Promise((resolve, reject) => {
      const cancel = this.#options.clock.schedule(TIMEOUT_MS, () => {
        this.#waiting.delete(key);
        reject(new StanzaError('remote-server-timeout', 'No answer came'));
      });
      this.#waiting.set(key, { answered: resolve, cancel });
      route(sent);
    });
  }

  /** Takes an answer; returns whether somebody waited for it. */
  answer(stanza: Stanza): boolean {
    const key = keyOf(stanza.to?.full, stanza.from?.full, stanza.id);
    const waiting = this.#waiting.get(key);
    if (waiting === undefined) return false;
    this.#waiting.delete(key);
    waiting.cancel();
    waiting.answered(stanza);
    return true;
  }
}

function keyOf(asker: string | undefined, asked: string | undefined, id: string | undefined): string {
  return JSON.stringify([asker, asked, id]);
}
