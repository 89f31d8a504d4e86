import { userName } from '../peers/accounts.ts';
import { DOMAIN } from '../peers/peer.ts';
import { ClientConnection, type Endpoint, type Shared } from './client-connection.ts';
import { TextWatch } from './text-watch.ts';

const ARRIVE = Buffer.from(`<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq><presence/>`);

/** Has a user log in, become a contact of those who are connected, and they of the user (RFC 6121 3.1), and leave. */
export async function befriend(
  { endpoint, user }: { readonly endpoint: Endpoint; readonly user: number },
  contacts: readonly ClientConnection[],
  shared: Shared,
): Promise<void> {
  const owner = await ClientConnection.open(user, endpoint, shared, { arrives: true });
  const requests = watch(owner, 'subscribe');
  const asked = contacts.map((contact) => watch(contact, 'subscribe'));
  for (const contact of contacts) owner.write(presence('subscribe', contact));
  await Promise.all(asked.map((request) => request.until(1, 'a contact is not asked')));
  const approvals = contacts.map((contact) => watch(contact, 'subscribed'));
  for (const contact of contacts) {
    contact.write(presence('subscribed', owner));
    contact.write(presence('subscribe', owner));
  }
  await requests.until(contacts.length, 'the contacts do not ask back');
  for (const contact of contacts) owner.write(presence('subscribed', contact));
  await Promise.all(approvals.map((approval) => approval.until(1, 'a contact is not approved')));
  for (const contact of contacts) contact.receiver = undefined;
  await owner.leave();
}

/** Options of comeAndGo. */
export interface ReturnOptions {
  readonly endpoint: Endpoint;
  readonly user: number;
  /** How often. */
  readonly count: number;
  /** Contacts that are online. */
  readonly contacts: number;
}

/** Has a user log in, ask for the roster and send presence, wait for the presence of every contact, and leave. */
export async function comeAndGo(
  { endpoint, user, count, contacts }: ReturnOptions,
  shared: Shared,
): Promise<{ medianMs: number }> {
  const times: number[] = [];
  for (let turn = 0; turn < count; turn++) {
    const start = performance.now();
    const connection = await ClientConnection.open(user, endpoint, shared);
    const seen = new TextWatch(/<presence[ >]/g, 10).attach(connection);
    connection.write(ARRIVE);
    await seen.until(contacts + 1, 'presence of the contacts and of the own session'); // RFC 6121 4.2.2, 4.3.2
    times.push(performance.now() - start);
    await connection.leave();
  }
  times.sort((one, other) => one - other);
  return { medianMs: times[count >> 1] ?? NaN };
}

function watch(connection: ClientConnection, type: 'subscribe' | 'subscribed'): TextWatch {
  const pattern = new RegExp(`\\btype=['"]${type}['"]`, 'g');
  return new TextWatch(pattern, type.length + 7).attach(connection);
}

function presence(type: string, { user }: ClientConnection): Buffer {
  return Buffer.from(`<presence to='${userName(user)}@${DOMAIN}' type='${type}'/>`);
}
