import { ChatLoad } from './chat-load.ts';
import type { ClientConnection } from './client-connection.ts';
import { TextWatch } from './text-watch.ts';

const POLL_MS = 2;
const PAGE = 50;

/** Options of exchange. */
export interface ExchangeOptions {
  readonly window: number;
  readonly messages: number;
  readonly timeoutSeconds: number;
}

/**
 * Has the first of two connections send about so many messages to the second, `window` on their way at once; tells how many
 * it was, fewer where that took too long.
 */
export async function exchange(
  connections: readonly ClientConnection[],
  { window, messages, timeoutSeconds }: ExchangeOptions,
): Promise<{ delivered: number }> {
  const chat = new ChatLoad(connections, 1, window);
  const until = performance.now() + timeoutSeconds * 1000;
  chat.start();
  while (chat.delivered < messages - window && performance.now() < until) {
    chat.assertSound();
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  await chat.end();
  return { delivered: chat.delivered };
}

/** Options of readLastPages. */
export interface PageOptions {
  /** How often, one after the other. */
  readonly count: number;
  /** Messages in the archive, at least. */
  readonly archived: number;
  readonly timeoutSeconds: number;
}

/** Asks for the last page of an archive again and again (XEP-0313 4, XEP-0059 2.5) and checks that each page is full. */
export async function readLastPages(
  connection: ClientConnection,
  { count, archived, timeoutSeconds }: PageOptions,
): Promise<{ pages: number; medianMs: number }> {
  const times: number[] = [];
  const until = performance.now() + timeoutSeconds * 1000;
  const results = new TextWatch(/<result[ >]|<fin[ >]/g, 8).attach(connection);
  const expected = Math.min(PAGE, archived) + 1;
  while (times.length < count && (times.length === 0 || performance.now() < until)) {
    const start = performance.now();
    connection.write(
      Buffer.from(
        `<iq type='set' id='page${times.length}'><query xmlns='urn:xmpp:mam:2'>` +
          `<set xmlns='http://jabber.org/protocol/rsm'><max>${PAGE}</max><before/></set></query></iq>`,
      ),
    );
    await results.until(expected * (times.length + 1), 'messages of the last page, and its end');
    times.push(performance.now() - start);
  }
  if (results.count !== expected * times.length) throw new Error('a page held more than it should');
  times.sort((one, other) => one - other);
  return { pages: times.length, medianMs: times[times.length >> 1] ?? NaN };
}
