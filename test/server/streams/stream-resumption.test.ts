import { expect } from 'chai';
import { MemoryStore } from '../../../storage/backends/memory.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { serverForTests, type ServerForTests } from '../../support/running-server.ts';
import { nextTurn, StreamStage } from '../../support/stream-stage.ts';
import type { TestClient } from '../../support/test-client.ts';
import { TroubledStore } from '../../support/troubled-store.ts';

const SM = `xmlns='urn:xmpp:sm:3'`;

describe('stream resumption (XEP-0198 5)', () => {
  let store: TroubledStore;
  let clock: ManualClock;
  let play: ServerForTests;

  beforeEach(async () => {
    store = new TroubledStore();
    // The store keeps when a session began, and no time before 1970.
    clock = new ManualClock(Date.UTC(2026, 0, 1));
    play = await serverForTests({ store, clock });
  });

  afterEach(() => play.stop());

  /** Logs in, enables stream management and returns the id of the session. */
  async function enter(name: string, resource: string, attributes = `resume='true'`): Promise<[TestClient, string]> {
    const client = await play.login(name, resource);
    client.send(`<enable ${SM} ${attributes}/>`);
    const enabled = await client.until(/<enabled [^>]*>/);
    return [client, / id='([^']+)'/.exec(enabled)?.[1] ?? ''];
  }

  /** Becomes available, and has seen that it is. */
  async function appear(client: TestClient): Promise<void> {
    client.send('<presence/>');
    await client.until(/<presence [^>]*\/>/);
  }

  /** Cuts the connection and waits until the server knows. */
  async function cut(client: TestClient, full: string): Promise<void> {
    client.destroy();
    await until(() => play.server.operations.sessions().some(({ jid, address }) => jid === full && address === ''));
  }

  async function say(client: TestClient, to: string, body: string): Promise<void> {
    client.send(`<message to='${to}' type='chat' id='${body}'><body>${body}</body></message><r ${SM}/>`);
    await client.until(/<a [^>]*>/);
  }

  async function resume(name: string, id: string, h: number): Promise<TestClient> {
    const client = await play.authenticated(name);
    client.open();
    await client.until(/<\/stream:features>/);
    client.send(`<resume ${SM} previd='${id}' h='${h}'/>`);
    return client;
  }

  it('gives an unguessable id, and how long it is good for', async () => {
    const client = await play.login('juliet', 'balcony');
    client.send(`<enable ${SM} resume='1'/>`);
    const enabled = await client.until(/<enabled [^>]*>/);
    expect(enabled).to.match(/^<enabled xmlns='urn:xmpp:sm:3' id='[\w-]{24}' resume='true' max='600'\/>$/);
  });

  it('says where to come back, where that is configured', async () => {
    await play.stop();
    play = await serverForTests({ environment: { POSTHORN_C2S_RESUME_LOCATION: '[2001:db8::1]:9222' } });
    const client = await play.login('juliet', 'balcony');
    client.send(`<enable ${SM} resume='true'/>`);
    expect(await client.until(/<enabled [^>]*>/)).to.match(/ location='\[2001:db8::1\]:9222'\/>$/);
    const counting = await play.login('juliet', 'chamber');
    counting.send(`<enable ${SM}/>`);
    expect(await counting.until(/<enabled [^>]*>/)).to.equal(`<enabled ${SM}/>`);
  });

  it('takes less time where the client prefers that, and never more than is configured', async () => {
    for (const [preferred, max] of [
      ['30', '30'],
      ['100000', '600'],
    ] as const) {
      const client = await play.login('juliet', `balcony-${preferred}`);
      client.send(`<enable ${SM} resume='true' max='${preferred}'/>`);
      expect(await client.until(/<enabled [^>]*>/)).to.include(` max='${max}'`);
    }
  });

  it('counts only, where the client does not ask to resume', async () => {
    for (const [index, attribute] of [``, `resume='false'`, `resume='0'`, `resume='true' max='0'`].entries()) {
      const client = await play.login('juliet', `balcony-${index}`);
      client.send(`<enable ${SM} ${attribute}/>`);
      expect(await client.until(/<enabled[^>]*>/)).to.equal(`<enabled ${SM}/>`);
    }
  });

  it('sends again what the client does not have, in order, and nothing that it has', async () => {
    const [romeo, id] = await enter('romeo', 'orchard');
    await appear(romeo);
    const juliet = (await enter('juliet', 'balcony'))[0];
    await say(juliet, 'romeo@localhost', 'one');
    await say(juliet, 'romeo@localhost', 'two');
    await romeo.until(/two<\/body>/);
    await cut(romeo, 'romeo@localhost/orchard');
    for (const body of ['three', 'four']) await say(juliet, 'romeo@localhost', body);
    const again = await resume('romeo', id, 2); // its own presence and "one"
    await again.until(new RegExp(`<resumed ${SM} h='1' previd='${id}'/>`));
    const received = await again.until(/four<\/body>.*?<\/message>/);
    expect([...received.matchAll(/<body>(\w+)<\/body>/g)].map(([, body]) => body)).to.deep.equal([
      'two',
      'three',
      'four',
    ]);
    expect(received).to.include(`n='2'`).and.include(`n='4'`);
  });

  it('keeps the presence: nobody hears that the client was away', async () => {
    const [romeo, id] = await enter('romeo', 'orchard');
    await appear(romeo);
    const [other] = await enter('romeo', 'phone');
    await appear(other);
    await other.until(/from='romeo@localhost\/orchard'/);
    await cut(romeo, 'romeo@localhost/orchard');
    const again = await resume('romeo', id, 1);
    await again.until(/<resumed [^>]*>/);
    again.send(`<presence><show>away</show></presence>`);
    const heard = await other.until(/<show>away<\/show><\/presence>/);
    expect(heard).to.not.include('unavailable');
  });

  it('tells the client how much of what it sent is handled, and takes the rest from it', async () => {
    const [juliet, id] = await enter('juliet', 'balcony');
    juliet.send(`<message to='romeo@localhost' type='chat'><body>one</body></message>`.repeat(3));
    juliet.send(`<r ${SM}/>`);
    await juliet.until(/<a xmlns='urn:xmpp:sm:3' h='3'\/>/);
    await cut(juliet, 'juliet@localhost/balcony');
    const again = await resume('juliet', id, 0);
    expect(await again.until(/<resumed [^>]*>/)).to.include(`h='3'`);
    again.send(`<message to='romeo@localhost' type='chat'><body>two</body></message><r ${SM}/>`);
    await again.until(/<a xmlns='urn:xmpp:sm:3' h='4'\/>/);
  });

  it('answers item-not-found for the session of somebody else, and leaves that alone', async () => {
    const [juliet, id] = await enter('juliet', 'balcony');
    await cut(juliet, 'juliet@localhost/balcony');
    const romeo = await resume('romeo', id, 0);
    const failed = `<failed ${SM}><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>`;
    expect(await romeo.until(/<failed.*<\/failed>|<resumed/)).to.equal(failed);
    await (await resume('juliet', id, 0)).until(/<resumed/);
  });

  it('lets a client whose resumption failed bind a resource instead', async () => {
    const client = await resume('juliet', 'no-such-session', 7);
    await client.until(/<failed [^>]*><item-not-found/);
    client.send(`<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>`);
    await client.until(/<jid>juliet@localhost\/[^<]+<\/jid>/);
    client.send(`<enable ${SM} resume='true'/>`);
    await client.until(/<enabled [^>]*id=/);
  });

  it('answers bad-request where an attribute is missing or no number', async () => {
    const client = await play.authenticated('juliet');
    client.open();
    await client.until(/<\/stream:features>/);
    for (const attributes of ['', `previd='x'`, `h='1'`, `previd='x' h='-1'`, `previd='x' h='4294967296'`]) {
      client.send(`<resume ${SM} ${attributes}/>`);
      expect(await client.until(/<failed.*?<\/failed>/), attributes).to.include('<bad-request ');
    }
  });

  it('ends a stream that acknowledges more than was sent, and keeps the session', async () => {
    const [juliet, id] = await enter('juliet', 'balcony');
    await appear(juliet);
    await cut(juliet, 'juliet@localhost/balcony');
    const wrong = await resume('juliet', id, 2);
    const error = await wrong.until(/<\/stream:error>/);
    expect(error).to.include(`<undefined-condition xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>`);
    expect(error).to.include(`<handled-count-too-high ${SM} h='2' send-count='1'/>`);
    await (await resume('juliet', id, 1)).until(/<resumed/);
  });

  it('closes a former stream that is still there with conflict, and the later of two resumptions wins', async () => {
    const [first, id] = await enter('juliet', 'balcony');
    const second = await resume('juliet', id, 0);
    await second.until(/<resumed/);
    expect(await first.until(/<\/stream:stream>/)).to.include('<conflict ');
    const third = await resume('juliet', id, 0);
    await third.until(/<resumed/);
    expect(await second.until(/<\/stream:stream>/)).to.include('<conflict ');
    await appear(third);
    expect(play.server.operations.sessions()).to.have.length(1);
  });

  it('ends the session with a stream that was closed in order', async () => {
    const [juliet, id] = await enter('juliet', 'balcony');
    juliet.send('</stream:stream>');
    await juliet.until(/<\/stream:stream>/);
    expect(play.server.operations.sessions()).to.be.empty;
    await (await resume('juliet', id, 0)).until(/<failed [^>]*><item-not-found/);
  });

  it('ends the session when the time is over: messages wait, and the client may learn what had arrived', async () => {
    const [romeo, id] = await enter('romeo', 'orchard');
    await appear(romeo);
    const [juliet] = await enter('juliet', 'balcony');
    await say(romeo, 'juliet@localhost', 'hello');
    await cut(romeo, 'romeo@localhost/orchard');
    await say(juliet, 'romeo@localhost', 'one');
    clock.advance(599_000);
    expect(play.server.operations.sessions()).to.have.length(2);
    await say(juliet, 'romeo@localhost', 'two');
    clock.advance(3000);
    expect(play.server.operations.sessions()).to.have.length(1);
    const again = await resume('romeo', id, 1);
    await again.until(/<failed xmlns='urn:xmpp:sm:3' h='2'><item-not-found/);
    again.send(`<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>`);
    await again.until(/<\/iq>/);
    again.send('<presence/>');
    const received = await again.until(/two<\/body>.*?<\/message>/);
    expect(received.match(/<body>/g)).to.have.length(2);
    expect(received.match(/<delay /g)).to.have.length(2);
    await say(juliet, 'romeo@localhost', 'three');
    expect(await again.until(/three<\/body>/))
      .to.not.include('<body>one')
      .and.not.include('<body>two');
  });

  it('keeps the session of a client that fell silent', async () => {
    const [romeo, id] = await enter('romeo', 'orchard');
    clock.advance(900_000 + 60_000 + 2000); // idle_seconds and ping_timeout_seconds
    expect(await romeo.until(/<\/stream:stream>/)).to.include('<connection-timeout ');
    await (await resume('romeo', id, 0)).until(/<resumed/);
  });

  it('makes room for a new session by one that is away, the longest away first', async () => {
    await play.stop();
    play = await serverForTests({ clock, environment: { POSTHORN_C2S_MAX_SESSIONS_PER_ACCOUNT: '2' } });
    const [one, oneId] = await enter('juliet', 'one');
    const [two, twoId] = await enter('juliet', 'two');
    await cut(two, 'juliet@localhost/two');
    clock.advance(1000);
    await cut(one, 'juliet@localhost/one');
    await play.login('juliet', 'three');
    await (await resume('juliet', twoId, 0)).until(/<failed/);
    await (await resume('juliet', oneId, 0)).until(/<resumed/);
  });

  it('waits for what came over the former stream, so that the client sends nothing twice', async () => {
    const [juliet, id] = await enter('juliet', 'balcony');
    await say(juliet, 'romeo@localhost', 'one');
    const release = store.stall();
    juliet.send(
      `<message to='romeo@localhost' type='chat'><body>two</body></message><iq type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>`,
    );
    await juliet.until(/<iq [^>]*id='p'/);
    await cut(juliet, 'juliet@localhost/balcony');
    const again = await resume('juliet', id, 0);
    const later = await resume('juliet', id, 0);
    release();
    // Both ask at once: the one whose request came last has the session, the other is told so.
    await later.until(/<resumed [^>]*h='3'/);
    await again.until(/<conflict /);
  });

  it('gives the session to one of two that are answered together', async () => {
    const stage = await StreamStage.open({ store });
    const turns = async (): Promise<void> => {
      for (let turn = 0; turn < 20; turn++) await nextTurn();
    };
    const phone = stage.connectSecurely();
    await phone.enter('juliet', 'balcony');
    phone.send(`<enable ${SM} resume='true'/>`);
    const id = / id='([^']+)'/.exec(await phone.until(/<enabled [^>]*>/))?.[1] ?? '';
    const [earlier, later] = [stage.connectSecurely(), stage.connectSecurely()];
    for (const client of [earlier, later]) {
      await client.logIn('juliet');
      await client.open();
    }
    const release = store.stall();
    phone.send(`<message to='romeo@capulet.example' type='chat'><body>one</body></message>`);
    for (const client of [earlier, later]) {
      client.send(`<resume ${SM} previd='${id}' h='0'/>`);
      await turns();
      expect(client.sent).to.equal('');
    }
    release();
    await later.until(/<resumed [^>]*h='1'/);
    await turns();
    expect(await earlier.refusal()).to.equal('conflict');
    await later.fence();
    expect([...stage.core.table.sessions()].filter(({ account }) => account.jid.local === 'juliet')).to.have.length(1);
  });

  it('tells what is committed when the store stalls for a second, and the rest when it is', async () => {
    const [juliet] = await enter('juliet', 'balcony');
    await say(juliet, 'romeo@localhost', 'one');
    const release = store.stall();
    juliet.send(`<message to='romeo@localhost' type='chat'><body>two</body></message><r ${SM}/>`);
    juliet.send(`<iq type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>`);
    expect(await juliet.until(/<iq [^>]*id='p'[^>]*>/)).to.not.include('<a ');
    clock.advance(2000);
    expect(await juliet.until(/<a [^>]*>/)).to.include(`h='1'`);
    release();
    expect(await juliet.until(/<a [^>]*>/)).to.include(`h='2'`);
  });

  it('refuses stream management before its time (Example: before resource binding)', async () => {
    const failed = `<failed ${SM}><unexpected-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>`;
    const client = await play.authenticated('juliet');
    client.open();
    await client.until(/<\/stream:features>/);
    client.send(`<enable ${SM} resume='true'/>`);
    expect(await client.until(/<failed.*<\/failed>/)).to.equal(failed);
    await client.bind('balcony').catch(() => undefined);
  });

  it('refuses to enable twice, and to resume once a resource is bound', async () => {
    const [juliet, id] = await enter('juliet', 'balcony');
    for (const element of [`<enable ${SM}/>`, `<resume ${SM} previd='${id}' h='0'/>`]) {
      juliet.send(element);
      expect(await juliet.until(/<failed.*?<\/failed>/)).to.include('<unexpected-request ');
    }
  });

  it('resumes over a restart as if nothing had been', async () => {
    const [romeo, id] = await enter('romeo', 'orchard');
    romeo.send(`<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>`);
    await romeo.until(/<\/iq>|<iq [^>]*\/>/);
    await appear(romeo);
    const [juliet] = await enter('juliet', 'balcony');
    await say(juliet, 'romeo@localhost', 'one');
    await romeo.until(/one<\/body>.*?<\/message>/);
    await play.server.stop();
    expect(await closing(romeo)).to.not.include('</stream:stream>');
    play = await serverForTests({ store, clock });
    const later = (await enter('juliet', 'nurse'))[0];
    await say(later, 'romeo@localhost', 'two');
    const again = await resume('romeo', id, 2); // the roster and its own presence, but not "one"
    await again.until(new RegExp(`<resumed ${SM} h='2' previd='${id}'/>`));
    const received = await again.until(/two<\/body>.*?<\/message>/);
    expect([...received.matchAll(/<body>(\w+)<\/body>/g)].map(([, body]) => body)).to.deep.equal(['one', 'two']);
    again.send(`<iq type='set' id='s'><query xmlns='jabber:iq:roster'><item jid='nurse@localhost'/></query></iq>`);
    await again.until(/<item [^>]*jid='nurse@localhost'/); // still an interested resource
    // Confirmed now, so nothing comes again.
    again.send(`<a ${SM} h='6'/></stream:stream>`);
    await again.until(/<\/stream:stream>/);
    const fresh = await play.login('romeo', 'orchard');
    await appear(fresh);
    await say(later, 'romeo@localhost', 'three');
    expect(await fresh.until(/three<\/body>/)).to.not.match(/<body>(one|two)/);
  });

  it('tells the client after a crash what is stored: the count of the last commit', async () => {
    const [juliet, id] = await enter('juliet', 'balcony');
    juliet.send(`<message to='romeo@localhost' type='chat'><body>one</body></message>`.repeat(5));
    juliet.send(`<r ${SM}/>`);
    await juliet.until(/<a xmlns='urn:xmpp:sm:3' h='5'\/>/);
    const crashed = play; // never stopped as far as its store knows
    play = await serverForTests({ store: await copyOf(store), clock });
    const again = await resume('juliet', id, 0);
    await again.until(/<failed xmlns='urn:xmpp:sm:3' h='5'><item-not-found/);
    await crashed.stop();
  });
});

/** Everything until the connection is closed. */
async function closing(client: TestClient): Promise<string> {
  await client.closed();
  return client.received;
}

async function copyOf(store: MemoryStore): Promise<MemoryStore> {
  const copy = new MemoryStore();
  const entries = await store.page({ from: Uint8Array.of(), to: Uint8Array.of(0xff) }, Infinity);
  await copy.write(entries.map(([key, value]) => ({ type: 'put', key, value })));
  return copy;
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}
