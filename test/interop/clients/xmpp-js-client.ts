// @xmpp/client, steered by a test: see line-protocol.ts for how.
import { client, xml, type Client, type Element } from '@xmpp/client';
import { WebSocket } from 'ws';
import type { ClientCommand } from '../client-events.ts';
import { ANSWERED_VERSION, emit, NS_DELAY, NS_SEQUENCE, serve } from './line-protocol.ts';
import { XmppJsResumption } from './xmpp-js-resumption.ts';

const NS_VERSION = 'jabber:iq:version';
const NS_ROSTER = 'jabber:iq:roster';
const NS_ARCHIVE = 'urn:xmpp:mam:2';
const NS_FORWARD = 'urn:xmpp:forward:0';
const NS_RSM = 'http://jabber.org/protocol/rsm';
const NS_DISCO_INFO = 'http://jabber.org/protocol/disco#info';

// Node.js 20 has none of its own, and the library asks for a browser's.
Object.assign(globalThis, { WebSocket });

let session: Client | undefined;
let resumption: XmppJsResumption | undefined;

function login(command: Extract<ClientCommand, { command: 'login' }>): Client {
  const [username = '', domain = ''] = command.jid.split('@');
  const { host, port, password, resource } = command;
  const service = {
    starttls: `xmpp://${host}:${port}`,
    'direct-tls': `xmpps://${host}:${port}`,
    websocket: command.url,
  }[command.transport];
  const made = client({ service, domain, username, password, resource, timeout: 20_000 });
  let mechanism = '';
  made.on('send', (element) => {
    if (element.is('auth') || element.is('authenticate')) mechanism = element.attrs.mechanism ?? '';
  });
  made.on('stanza', tell);
  if (command.resumes) resumption = new XmppJsResumption(made);
  else made.on('error', (error) => emit({ event: 'failed', reason: error.message }));
  made.iqCallee.get(NS_VERSION, 'query', () =>
    xml('query', NS_VERSION, xml('name', {}, 'xmpp.js'), xml('version', {}, ANSWERED_VERSION)),
  );
  made.iqCallee.set(NS_ROSTER, 'query', ({ element }) => {
    for (const { jid, subscription } of itemsOf(element)) emit({ event: 'roster-push', jid, subscription });
    return {};
  });
  made.on('online', (jid) => emit({ event: 'online', jid: jid.toString(), mechanism }));
  // Interop: it begins to wait for the answer to its stream header when the header is written. When the answer was
  // faster, the promise is rejected at last, although the login has gone on and succeeded.
  made.start().catch(() => undefined);
  return made;
}

function tell(stanza: Element): void {
  const { from: sender = '', type } = stanza.attrs;
  if (stanza.is('presence')) {
    emit({ event: 'presence', sender, type: type ?? 'available', status: stanza.getChildText('status') ?? '' });
  } else if (stanza.is('message')) {
    const forwarded = stanza.getChild('result', NS_ARCHIVE)?.getChild('forwarded', NS_FORWARD);
    if (forwarded === undefined) tellMessage(stanza, attributesOf(stanza, 'delay', NS_DELAY));
    else tellMessage(forwarded.getChild('message')!, attributesOf(forwarded, 'delay', NS_DELAY));
  }
}

function tellMessage(message: Element, delays: Record<string, string>[]): void {
  const { from: sender = '', type = 'normal' } = message.attrs;
  const sequences = attributesOf(message, 'sequence', NS_SEQUENCE);
  emit({ event: 'message', sender, type, body: message.getChildText('body') ?? '', sequences, delays });
}

/** The id of the newest message in the archive. XEP-0313 3.1.2 */
async function archiveEnd({ iqCaller }: Client): Promise<string | undefined> {
  const metadata = await iqCaller.get(xml('metadata', NS_ARCHIVE));
  return metadata?.getChild('end')?.attrs.id;
}

/** Has everything behind an id sent, page by page, as results that `tell` hears. XEP-0313 4.3 */
async function readArchive({ iqCaller }: Client, after: string): Promise<void> {
  for (let next: string | undefined = after; next !== undefined;) {
    const set = xml('set', NS_RSM, xml('after', {}, next));
    const fin = await iqCaller.set(xml('query', NS_ARCHIVE, set));
    const last = fin?.getChild('set', NS_RSM)?.getChildText('last') ?? undefined;
    next = fin?.attrs.complete === 'true' ? undefined : last;
  }
}

function attributesOf(stanza: Element, name: string, namespace: string): Record<string, string>[] {
  return stanza
    .getChildren(name, namespace)
    .map(({ attrs }) => Object.fromEntries(Object.entries(attrs).map(([key, value]) => [key, value ?? ''])));
}

function itemsOf(query: Element | undefined): { jid: string; subscription: string }[] {
  const items = query?.getChildren('item') ?? [];
  return items.map(({ attrs }) => ({ jid: attrs.jid ?? '', subscription: attrs.subscription ?? 'none' }));
}

async function perform(command: ClientCommand): Promise<unknown> {
  if (command.command === 'login') {
    session = login(command);
    return undefined;
  }
  if (session === undefined) throw new Error('nobody is logged in');
  const { iqCaller } = session;
  switch (command.command) {
    case 'presence': {
      const { to, type, status } = command;
      return (resumption ?? session).send(
        xml('presence', { to, type }, ...(status === undefined ? [] : [xml('status', {}, status)])),
      );
    }
    case 'chat':
      for (const body of command.bodies) {
        const message = xml('message', { to: command.to, type: 'chat' }, xml('body', {}, body));
        await (resumption ?? session).send(message);
      }
      return;
    case 'roster':
      return itemsOf(await iqCaller.get(xml('query', NS_ROSTER)));
    case 'roster-set':
      return iqCaller.set(xml('query', NS_ROSTER, xml('item', { jid: command.to, name: command.name })));
    case 'ping':
      await iqCaller.get(xml('ping', 'urn:xmpp:ping'), command.to);
      return undefined;
    case 'version': {
      const query = await iqCaller.get(xml('query', NS_VERSION), command.to);
      return { name: query?.getChildText('name'), version: query?.getChildText('version') };
    }
    case 'disco-info': {
      const query = await iqCaller.get(xml('query', NS_DISCO_INFO), command.to);
      return {
        identities: query?.getChildren('identity').map(({ attrs: { category, type } }) => ({ category, type })),
        features: query?.getChildren('feature').map(({ attrs }) => attrs.var),
      };
    }
    case 'archive':
      return command.after === undefined ? archiveEnd(session) : readArchive(session, command.after);
    case 'logout':
      await session.stop();
      emit({ event: 'offline', reason: '' });
      return undefined;
  }
}

serve(perform);
