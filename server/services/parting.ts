import type { Jid } from '../../stanzas/jid.ts';
import { Stanza } from '../../stanzas/stanza.ts';
import type { Account } from '../routing/account.ts';
import type { Session } from '../routing/session.ts';

/**
 * Makes a change that ends a contact's subscription, and shows the contact every available resource go once it is
 * committed (RFC 6121 3.2.2, 3.3.3). Only for who was subscribed: who merely asked must not learn the names of resources
 * (11, presence leaks). Rejects as the change does.
 */
export async function partFrom<Result>(
  account: Account,
  contact: Jid,
  route: (stanza: Stanza) => void,
  change: () => Promise<Result>,
): Promise<Result> {
  // From the change on the contact is told of no resource, so of none that ends before the commit either (4.5.2).
  const present = account.sessions.filter(({ isAvailable }) => isAvailable);
  const leave = ({ jid }: Session): void =>
    route(Stanza.create('presence', { from: jid, to: contact, type: 'unavailable' }));
  try {
    const result = await change();
    present.forEach(leave);
    return result;
  } catch (error) {
    present.filter(({ isAvailable }) => !isAvailable).forEach(leave);
    throw error;
  }
}
