// strophe.js, the library under Converse.js, steered by a test: see line-protocol.ts for how.
import { Console } from 'node:console';
import { $iq, $msg, $pres, Strophe, type Builder, type Connection, type StropheElement } from 'strophe.js';
import { WebSocket } from 'ws';
import type { ClientCommand } from '../client-events.ts';
import { ANSWERED_VERSION, emit, NS_DELAY, NS_SEQUENCE, serve } from './line-protocol.ts';

const NS_VERSION = 'jabber:iq:version';
const NS_ROSTER = 'jabber:iq:roster';
const NS_DISCO_INFO = 'http://jabber.org/protocol/disco#info';
const NS_PING = 'urn:xmpp:ping';

let session: Connection | undefined;
let lastProblem = '';

/** The library says only that there is no connection; this keeps the reason. */
class ReasonedWebSocket extends WebSocket {
  constructor(url: string, protocol: string) {
    super(url, protocol);
    this.on('error', ({ message }) => (lastProblem = message));
  }
}

function login({ jid, resource, password, url }: Extract<ClientCommand, { command: 'login' }>): Connection {
  const { Status } = Strophe;
  const connection = new Strophe.Connection(url);
  let mechanism = '';
  let isOnline = false;
  connection.xmlOutput = (element) => {
    if (element.tagName === 'auth') mechanism = element.getAttribute('mechanism') ?? '';
  };
  connection.connect(`${jid}/${resource}`, password, (status, reason) => {
    if (status === Status.CONNECTED) {
      isOnline = true;
      listen(connection);
      emit({ event: 'online', jid: connection.jid, mechanism });
    } else if (status === Status.DISCONNECTED) {
      emit({ event: isOnline ? 'offline' : 'failed', reason: `${reason ?? ''} ${lastProblem}` });
    } else if ([Status.ERROR, Status.CONNFAIL, Status.AUTHFAIL, Status.CONNTIMEOUT].includes(status)) {
      emit({ event: 'failed', reason: `${reason ?? `status ${status}`} ${lastProblem}` });
    }
  });
  return connection;
}

function listen(connection: Connection): void {
  const always = (handle: (stanza: StropheElement) => void) => (stanza: StropheElement) => {
    handle(stanza);
    return true;
  };
  connection.addHandler(always(tellPresence), null, 'presence');
  connection.addHandler(always(tellMessage), null, 'message');
  const pushed = (iq: StropheElement): void => {
    for (const { jid, subscription } of itemsOf(child(iq, 'query'))) emit({ event: 'roster-push', jid, subscription });
    connection.send(resultFor(iq));
  };
  connection.addHandler(always(pushed), NS_ROSTER, 'iq', 'set');
  connection.addHandler(
    always((iq) => connection.send(resultFor(iq))),
    NS_PING,
    'iq',
    'get',
  );
  const asked = (iq: StropheElement): void => {
    const query = resultFor(iq).c('query', { xmlns: NS_VERSION });
    connection.send(query.c('name', {}, 'strophe.js').c('version', {}, ANSWERED_VERSION));
  };
  connection.addHandler(always(asked), NS_VERSION, 'iq', 'get');
}

function resultFor(iq: StropheElement): Builder {
  const from = iq.getAttribute('from');
  return $iq({ type: 'result', id: iq.getAttribute('id') ?? '', ...(from === null ? {} : { to: from }) });
}

function tellPresence(stanza: StropheElement): void {
  const type = stanza.getAttribute('type') ?? 'available';
  emit({ event: 'presence', sender: senderOf(stanza), type, status: child(stanza, 'status')?.textContent ?? '' });
}

function tellMessage(stanza: StropheElement): void {
  emit({
    event: 'message',
    sender: senderOf(stanza),
    type: stanza.getAttribute('type') ?? 'normal',
    body: child(stanza, 'body')?.textContent ?? '',
    sequences: children(stanza, 'sequence', NS_SEQUENCE).map(attributesOf),
    delays: children(stanza, 'delay', NS_DELAY).map(attributesOf),
  });
}

const senderOf = (stanza: StropheElement): string => stanza.getAttribute('from') ?? '';

function children(element: StropheElement | undefined, name: string, namespace?: string): StropheElement[] {
  return Array.from(element?.childNodes ?? []).filter(
    (node) => node.tagName === name && (namespace === undefined || node.namespaceURI === namespace),
  );
}

const child = (element: StropheElement, name: string): StropheElement | undefined => children(element, name)[0];

function attributesOf({ attributes }: StropheElement): Record<string, string> {
  return Object.fromEntries(Array.from(attributes, ({ name, value }) => [name, value]));
}

function itemsOf(query: StropheElement | undefined): { jid: string; subscription: string }[] {
  return children(query, 'item').map((item) => ({
    jid: item.getAttribute('jid') ?? '',
    subscription: item.getAttribute('subscription') ?? 'none',
  }));
}

async function perform(command: ClientCommand): Promise<unknown> {
  if (command.command === 'login') {
    session = login(command);
    return undefined;
  }
  const connection = session;
  if (connection === undefined) throw new Error('nobody is logged in');
  const ask = (iq: Builder): Promise<StropheElement> =>
    new Promise((resolve, reject) =>
      connection.sendIQ(iq, resolve, (error) => reject(new Error(error?.textContent ?? 'no answer'))),
    );
  const query = async (iq: Builder): Promise<StropheElement | undefined> => child(await ask(iq), 'query');
  switch (command.command) {
    case 'presence': {
      const { to, type, status } = command;
      const presence = $pres({ ...(to === undefined ? {} : { to }), ...(type === undefined ? {} : { type }) });
      connection.send(status === undefined ? presence : presence.c('status', {}, status));
      return undefined;
    }
    case 'chat':
      for (const body of command.bodies) connection.send($msg({ to: command.to, type: 'chat' }).c('body', {}, body));
      return undefined;
    case 'roster':
      return itemsOf(await query($iq({ type: 'get' }).c('query', { xmlns: NS_ROSTER })));
    case 'roster-set': {
      const set = $iq({ type: 'set' }).c('query', { xmlns: NS_ROSTER });
      await ask(set.c('item', { jid: command.to, name: command.name }));
      return undefined;
    }
    case 'ping':
      await ask($iq({ type: 'get', to: command.to }).c('ping', { xmlns: NS_PING }));
      return undefined;
    case 'version': {
      const answer = await query($iq({ type: 'get', to: command.to }).c('query', { xmlns: NS_VERSION }));
      const text = (name: string) => children(answer, name)[0]?.textContent;
      return { name: text('name'), version: text('version') };
    }
    case 'disco-info': {
      const answer = await query($iq({ type: 'get', to: command.to }).c('query', { xmlns: NS_DISCO_INFO }));
      return {
        identities: children(answer, 'identity').map((identity) => ({
          category: identity.getAttribute('category'),
          type: identity.getAttribute('type'),
        })),
        features: children(answer, 'feature').map((feature) => feature.getAttribute('var')),
      };
    }
    case 'archive':
      throw new Error('what waits is sent to it');
    case 'logout':
      connection.disconnect('');
      return undefined;
  }
}

// The library writes its log where the events go.
globalThis.console = new Console(process.stderr);
Object.assign(globalThis, { WebSocket: ReasonedWebSocket });
serve(perform);
