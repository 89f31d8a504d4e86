import { DOMAIN } from '../peers/peer.ts';
import { ClientConnection, type Endpoint, type Shared } from './client-connection.ts';
import { inTurns } from './login-load.ts';
import { MessageCheck, MessageRun } from './messages.ts';

const TIMEOUT_MS = 120_000;
const PING = Buffer.from(`<iq type='get' id='stored' to='${DOMAIN}'><ping xmlns='urn:xmpp:ping'/></iq>`);
const PRESENCE = Buffer.from('<presence/>');

/** Users who are away, and how many messages wait for each. */
export interface Away {
  readonly from: number;
  readonly users: number;
  readonly each: number;
}

/** Sends messages to users who are away; resolves when a ping sent after them is answered. */
export async function storeMessages(sender: ClientConnection, { from, users, each }: Away): Promise<void> {
  const answered = new Promise<void>((resolve, reject) => {
    let text = '';
    sender.onFailure = reject;
    sender.receiver = (bytes, length) => {
      text += bytes.toString('latin1', 0, length);
      if (text.includes('<message')) reject(new Error(`a message was refused: ${text}`));
      if (text.includes('stored')) resolve();
    };
  });
  for (let user = 0; user < users; user++) sender.write(new MessageRun(from + user, each).take(0, each, true));
  sender.write(PING);
  await withTimeout(answered, 'the server did not answer after the messages');
}

/** Has the users arrive, `atOnce` at a time; resolves when each has all its messages, in order. */
export async function flushMessages(
  { from, users, each }: Away,
  atOnce: number,
  endpoint: Endpoint,
  shared: Shared,
): Promise<ClientConnection[]> {
  const connections: ClientConnection[] = [];
  await inTurns(users, atOnce, async (index) => {
    const connection = await ClientConnection.open(from + index, endpoint, shared);
    connections.push(connection);
    const check = new MessageCheck();
    const complete = new Promise<void>((resolve, reject) => {
      connection.onFailure = reject;
      connection.receiver = (bytes, length) => {
        check.scan(bytes, length);
        if (check.next === each) resolve();
      };
    });
    connection.write(PRESENCE);
    await withTimeout(complete, `user ${from + index} does not get all messages`);
  });
  return connections;
}

async function withTimeout(promise: Promise<void>, meaning: string): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(meaning)), TIMEOUT_MS);
  });
  await Promise.race([promise, timeout]).finally(() => clearTimeout(timer));
}
