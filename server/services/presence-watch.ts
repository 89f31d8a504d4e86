import type { Stanza } from '../../stanzas/stanza.ts';
import type { Account } from '../routing/account.ts';
import type { SessionTable } from '../routing/session-table.ts';
import type { Session } from '../routing/session.ts';

/** Tells who watches all accounts of sessions that come and go: initial presence and unavailability (RFC 6121 4.2, 4.5). */
export class PresenceWatch {
  readonly #table: Pick<SessionTable, 'sessions'>;
  readonly #watchers: ((account: Account, presence: Stanza) => void)[] = [];

  constructor(table: Pick<SessionTable, 'sessions'>) {
    this.#table = table;
  }

  onChange(watcher: (account: Account, presence: Stanza) => void): void {
    this.#watchers.push(watcher);
  }

  /** For the presence module. */
  changed(account: Account, presence: Stanza): void {
    for (const watcher of this.#watchers) watcher(account, presence);
  }

  /** Who is available now. */
  available(): Session[] {
    return [...this.#table.sessions()].filter(({ isAvailable }) => isAvailable);
  }
}
