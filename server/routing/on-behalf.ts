import { StanzaError } from '../../stanzas/stanza-error.ts';
import type { Jid } from '../../stanzas/jid.ts';
import type { Stanza } from '../../stanzas/stanza.ts';
import type { Clock } from '../clock.ts';
import type { PendingRequests } from './pending-requests.ts';
import { InboundLedger, type Receipt } from './receipt.ts';
import type { Router } from './router.ts';
import { Session, type SessionLimits, type SessionStream } from './session.ts';
import type { SessionTable } from './session-table.ts';

export interface OnBehalfOptions {
  readonly table: Pick<SessionTable, 'account'>;
  readonly router: Pick<Router, 'send'>;
  readonly pending: PendingRequests;
  readonly limits: SessionLimits;
  readonly clock: Pick<Clock, 'now'>;
}

/**
 * Sends in the name of an account whose owner does not: what it sends walks the account's own phases, screens and copies
 * among them, as if one of its sessions had sent it, and comes from the bare JID.
 */
export class OnBehalf {
  readonly #options: OnBehalfOptions;
  /** Who has sent the requests that wait for their answers, by account and id: whom they went to knows the id. */
  readonly #askers = new Map<string, Jid>();

  constructor(options: OnBehalfOptions) {
    this.#options = options;
  }

  /** Who sends this request in the name of its sender; undefined where that is the sender itself. */
  askerOf({ from, id }: Stanza): Jid | undefined {
    return this.#askers.get(keyOf(from, id)); // nobody else sends from the bare JID of an account
  }

  /** Sends a stanza. Rejects with StanzaError `forbidden` where there is no such account. */
  async send(owner: Jid, stanza: Stanza, receipt: Receipt): Promise<void> {
    const { table, router, limits, clock, pending } = this.#options;
    const account = table.account(owner);
    await account.loaded;
    if (account.state === 'unreadable')
      throw new StanzaError('resource-constraint', 'The store does not answer', 'wait');
    if (account.state !== 'present') throw new StanzaError('forbidden', 'There is no such account');
    // None of the account's sessions: nothing is delivered to it but the answers to its own requests.
    const session = new Session(account, account.jid, new AnswerStream(pending), clock.now(), limits);
    router.send(session, stanza.withHeader({ from: account.jid }), receipt);
  }

  /**
   * Sends a request to `to`; resolves with its answer, be it a result or an error. Rejects with StanzaError.
   * @param asker who really asks
   */
  async ask(owner: Jid, request: Stanza, asker: Jid): Promise<Stanza> {
    const asked = request.withHeader({ from: owner, to: request.to ?? owner });
    let key = '';
    try {
      return await new Promise<Stanza>((resolve, reject) => {
        const send = (stanza: Stanza): void => {
          key = keyOf(owner, stanza.id);
          this.#askers.set(key, asker);
          this.send(owner, stanza, new InboundLedger(1).begin()).catch(reject);
        };
        this.#options.pending.ask(asked, send).then(resolve, reject);
      });
    } finally {
      this.#askers.delete(key);
    }
  }
}

function keyOf(from: Jid | undefined, id: string | undefined): string {
  return `${from?.full ?? ''} ${id ?? ''}`;
}

/** Where a session without a client takes the answers to its requests. */
class AnswerStream implements SessionStream {
  readonly remoteAddress = '';
  readonly transport = 'none';
  readonly isSecure = true;
  readonly bufferedBytes = 0;
  readonly #pending: PendingRequests;

  constructor(pending: PendingRequests) {
    this.#pending = pending;
  }

  writeStanza(stanza: Stanza): void {
    if (stanza.kind === 'iq' && (stanza.type === 'result' || stanza.type === 'error')) this.#pending.answer(stanza);
  }

  closeWithError(): void {
    // There is nobody to be told.
  }
}
