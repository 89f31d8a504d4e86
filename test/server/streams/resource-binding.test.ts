import { expect } from 'chai';

import {
  bindRequest,
  header,
  nextTurn,
  plainAuth,
  StreamStage,
  type StreamPlayer,
} from '../../support/stream-stage.ts';
import { MemoryStore } from '../../../storage/backends/memory.ts';

const BIND = `<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'`;

describe('server/streams: resource binding (RFC 6120 7)', () => {
  let stage: StreamStage;

  beforeEach(async () => {
    stage = await StreamStage.open();
  });

  async function loggedIn(username = 'juliet'): Promise<StreamPlayer> {
    const client = stage.connectSecurely();
    await client.logIn(username);
    await client.open();
    return client;
  }

  async function answerTo(client: StreamPlayer, request: string): Promise<string> {
    client.send(request);
    return client.until(/<iq .*?<\/iq>/);
  }

  it('gives the resource that was asked for (7.7.1)', async () => {
    expect(await answerTo(await loggedIn(), bindRequest('balcony', 'wy2xa82b4'))).to.equal(
      `<iq id='wy2xa82b4' type='result'>${BIND}><jid>juliet@capulet.example/balcony</jid></bind></iq>`,
    );
  });

  it('gives a random resource to who asks for none (7.6)', async () => {
    const resources = new Set<string>();
    for (const request of [bindRequest(), bindRequest(''), bindRequest()]) {
      const answer = await answerTo(await loggedIn(), request);
      resources.add(/<jid>juliet@capulet\.example\/([\w-]{16,})<\/jid>/.exec(answer)?.[1] ?? answer);
    }
    expect(resources.size).to.equal(3);
  });

  it('refuses what cannot be a resource with bad-request, and lets the client try again (7.7.2.1)', async () => {
    const client = await loggedIn();
    const answer = await answerTo(client, bindRequest('x'.repeat(1024)));
    expect(answer).to.match(/^<iq id='bind' type='error'>/);
    expect(answer).to.include(`<error type='modify'><bad-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>`);
    expect(await answerTo(client, bindRequest('balcony'))).to.include('/balcony</jid>');
  });

  it('closes with policy-violation after as many attempts as are configured (7.7.3)', async () => {
    stage = await StreamStage.open({ environment: { POSTHORN_C2S_MAX_BIND_ATTEMPTS: '6' } });
    const client = await loggedIn();
    for (let attempt = 1; attempt < 6; attempt++) await answerTo(client, bindRequest('x'.repeat(1024)));
    client.send(bindRequest('x'.repeat(1024)));
    expect(await client.refusal()).to.equal('policy-violation');
    expect(client.sent).to.match(/^<iq .*<bad-request .*<\/iq><stream:error>/);
  });

  it('ends the older of two sessions with conflict, and lets the newer in (7.7.2.2, the third way)', async () => {
    const older = await loggedIn();
    await answerTo(older, bindRequest('balcony'));
    const newer = await loggedIn();
    expect(await answerTo(newer, bindRequest('balcony'))).to.include('<jid>juliet@capulet.example/balcony</jid>');
    expect(await older.refusal()).to.equal('conflict');
    expect(stage.core.table.sessionCount).to.equal(1);
    await newer.fence();
  });

  it('refuses the newer with conflict where that is configured, and leaves the older alone (the second way)', async () => {
    stage = await StreamStage.open({ environment: { POSTHORN_C2S_RESOURCE_CONFLICT: 'refuse' } });
    const older = await loggedIn();
    await answerTo(older, bindRequest('balcony'));
    const newer = await loggedIn();
    expect(await answerTo(newer, bindRequest('balcony'))).to.include(
      `<error type='modify'><conflict xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>`,
    );
    expect(await answerTo(newer, bindRequest('chamber'))).to.include('/chamber</jid>');
    await older.fence();
  });

  it('refuses one device too many with resource-constraint (7.6.2.1)', async () => {
    stage = await StreamStage.open({ environment: { POSTHORN_C2S_MAX_SESSIONS_PER_ACCOUNT: '1' } });
    await answerTo(await loggedIn(), bindRequest('balcony'));
    const other = await loggedIn();
    expect(await answerTo(other, bindRequest('chamber'))).to.include(
      `<error type='wait'><resource-constraint xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>`,
    );
    expect(await answerTo(await loggedIn('romeo'), bindRequest('orchard'))).to.include('/orchard</jid>');
  });

  it('refuses an account that was disabled since its login with not-allowed (7.6.2.2)', async () => {
    const client = await loggedIn();
    await stage.storage.accounts.update('juliet@capulet.example', (record) => ({ ...record, disabled: true }));
    expect(await answerTo(client, bindRequest('balcony'))).to.include(
      `<error type='cancel'><not-allowed xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>`,
    );
  });

  for (const [what, stanza] of [
    ['a message', `<message to='romeo@capulet.example'><body>Wherefore?</body></message>`],
    ['presence', '<presence/>'],
    ['another request', `<iq id='r' type='get'><query xmlns='jabber:iq:roster'/></iq>`],
    ['a request to bind of the wrong type', bindRequest('balcony').replace(`type='set'`, `type='get'`)],
    ['a request to bind without an id', bindRequest('balcony').replace(`id='bind'`, '')],
    [
      'a request to bind that is for somebody else',
      bindRequest('balcony').replace(' type=', ` to='romeo@capulet.example' type=`),
    ],
    ['what is no stanza', `<foo xmlns='urn:foo'/>`],
    ['<starttls/>', `<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>`],
  ] as const) {
    it(`${what} before a resource is bound: not-authorized (4.3.5, 7.1)`, async () => {
      const client = await loggedIn();
      client.send(stanza);
      expect(await client.refusal()).to.equal('not-authorized');
      expect(stage.core.table.sessionCount).to.equal(0);
    });
  }

  for (const to of ['capulet.example', 'juliet@capulet.example']) {
    it(`may be asked of ${to} by name`, async () => {
      const request = bindRequest('balcony').replace(' type=', ` to='${to}' type=`);
      expect(await answerTo(await loggedIn(), request)).to.include('/balcony</jid>');
    });
  }

  it('happens once: a second request is refused, and the session stays what it is (7.3.2)', async () => {
    const client = stage.connectSecurely();
    await client.enter('juliet', 'balcony');
    expect(await answerTo(client, bindRequest('chamber', 'again'))).to.match(/^<iq [^>]*id='again' type='error'/);
    await client.fence();
    expect([...stage.core.table.sessions()].map(({ jid }) => jid.full)).to.deep.equal([
      'juliet@capulet.example/balcony',
    ]);
  });

  it('cannot be followed by another stream header (7.3.2)', async () => {
    const client = stage.connectSecurely();
    await client.enter('juliet', 'balcony');
    client.send(header().replace(/^<\?.*?\?>/, ''));
    expect(await client.refusal()).to.equal('bad-format');
    expect(stage.core.table.sessionCount).to.equal(0);
  });

  it('leaves no session behind where the connection breaks while the account is read', async () => {
    /** A store whose reads wait for the test. */
    class SlowStore extends MemoryStore {
      gate: Promise<void> = Promise.resolve();
      override async getMany(...parameters: Parameters<MemoryStore['getMany']>) {
        await this.gate;
        return super.getMany(...parameters);
      }
    }
    const store = new SlowStore();
    stage = await StreamStage.open({ store });
    const client = stage.connectSecurely();
    await client.open();
    client.send(plainAuth('juliet'));
    await client.until(/<success [^>]*>/);
    await client.open();
    let open = (): void => undefined;
    store.gate = new Promise((resolve) => (open = resolve));
    client.send(bindRequest('balcony'));
    await nextTurn();
    client.connection.close(new Error('ECONNRESET'));
    open();
    for (let turn = 0; turn < 20; turn++) await nextTurn();
    expect(stage.core.table.sessionCount).to.equal(0);
    expect(stage.context.streams.size).to.equal(0);
  });
});
