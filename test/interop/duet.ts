import { expect } from 'chai';
import type { EventNamed, Transport } from './client-events.ts';
import type { ClientKind } from './client-kinds.ts';
import { ClientProcess } from './client-process.ts';
import type { PosthornProcess } from './posthorn-process.ts';

export const PASSWORD = 'wherefore-art-thou';

/** Somebody at a client: an account, and the session in which it is logged in. */
export interface Player {
  readonly kind: ClientKind;
  readonly transport: Transport;
  readonly jid: string;
  readonly full: string;
  readonly mechanism: string;
  readonly client: ClientProcess;
}

/** Which client somebody uses, and how it connects. */
export interface Part {
  readonly kind: ClientKind;
  readonly transport: Transport;
  readonly jid: string;
  /** Where there is something between client and server, its port: the client comes back when that cuts it off. */
  readonly proxyPort?: number;
}

/** Starts a client and begins the login. The caller ends it. */
export async function connect(server: PosthornProcess, part: Part, caFile = server.caFile): Promise<ClientProcess> {
  const client = new ClientProcess(part.kind, caFile);
  try {
    await client.next('ready');
    await client.perform({
      command: 'login',
      jid: part.jid,
      password: PASSWORD,
      resource: 'play',
      transport: part.transport,
      // The name in the certificate, which has to be the one the client was told.
      host: 'localhost',
      port: part.proxyPort ?? server.port(part.transport === 'starttls' ? 'c2s' : 'c2s-tls'),
      url: `wss://localhost:${server.port('http')}/xmpp-websocket`,
      caFile,
      resumes: part.proxyPort !== undefined,
    });
    return client;
  } catch (error) {
    await client.end();
    throw error;
  }
}

/** Logs in; the session has sent no presence yet. */
export async function login(server: PosthornProcess, part: Part): Promise<Player> {
  const client = await connect(server, part);
  try {
    const { jid: full, mechanism } = await client.next('online');
    return { ...part, full, mechanism, client };
  } catch (error) {
    await client.end();
    throw error;
  }
}

/** Ends the session in order: the server closes its side of the stream too. */
export async function logout({ client }: Player): Promise<void> {
  // By the answer the client has confirmed all messages, and has had to: not all do at the end, as XEP-0198 4 recommends.
  await client.perform({ command: 'ping', to: 'localhost' });
  await client.perform({ command: 'logout' });
  await client.next('offline');
  await client.end();
}

/** RFC 6121 3.1: one asks, the other approves; the one then sees the other's presence. Both are available. */
export async function subscribe(one: Player, other: Player, subscription: 'to' | 'both'): Promise<void> {
  await one.client.perform({ command: 'roster-set', to: other.jid, name: 'The other' });
  await one.client.perform({ command: 'presence', type: 'subscribe', to: other.jid });
  await seePresence(other, one.jid, 'subscribe');
  await other.client.perform({ command: 'presence', type: 'subscribed', to: one.jid });
  await seePresence(one, other.jid, 'subscribed');
  await one.client.next('roster-push', (push) => push.jid === other.jid && push.subscription === subscription);
  await seePresence(one, other.full, 'available');
}

/** Waits for a presence. @param sender the full JID; the bare one for what is about a subscription */
export function seePresence(player: Player, sender: string, type: string): Promise<EventNamed<'presence'>> {
  return player.client.next('presence', (presence) => presence.sender === sender && presence.type === type);
}

/**
 * Sends these bodies from each to the other at the same time, and checks what came: all, in order, once, each with the
 * next number of the chat, which counts both directions.
 * @param from the last number the chat has had
 * @returns the numbers Juliet heard, and those Romeo heard
 */
export async function talk(
  juliet: Player,
  romeo: Player,
  bodies: readonly string[],
  from: number,
): Promise<readonly [number[], number[]]> {
  await Promise.all([
    juliet.client.perform({ command: 'chat', to: romeo.jid, bodies }),
    romeo.client.perform({ command: 'chat', to: juliet.jid, bodies }),
  ]);
  const numbers = await Promise.all([hear(juliet, romeo, bodies), hear(romeo, juliet, bodies)]);
  for (const heard of numbers) expect(heard).to.deep.equal([...heard].sort((a, b) => a - b));
  const expected = Array.from({ length: 2 * bodies.length }, (_, index) => from + 1 + index);
  expect(numbers.flat().sort((a, b) => a - b)).to.deep.equal(expected);
  return numbers;
}

/** Waits for messages from the other, with nothing between them, and gives their sequence numbers. */
export async function hear(
  listener: Player,
  speaker: Player,
  bodies: readonly string[],
  check: (message: EventNamed<'message'>) => void = (message) => expect(message.delays).to.deep.equal([]),
): Promise<number[]> {
  const heard: string[] = [];
  const numbers: number[] = [];
  for (let count = 0; count < bodies.length; count++) {
    const message = await listener.client.next('message');
    heard.push(message.body);
    expect(message.sender).to.equal(speaker.full);
    expect(message.type).to.equal('chat');
    expect(message.sequences).to.have.length(1);
    const { by, chat, n } = message.sequences[0]!;
    expect({ by, chat }).to.deep.equal({ by: 'localhost', chat: speaker.jid });
    numbers.push(Number(n));
    check(message);
  }
  expect(heard).to.deep.equal(bodies);
  return numbers;
}
